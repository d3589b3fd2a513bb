# SPDX-License-Identifier: GPL-2.0-or-later
"""OSTree's objects as bytes: file headers, directory metadata, directory trees, commits.

Pure. Formats: ostree's ostree-core.h (OSTREE_FILEMETA…, OSTREE_DIRMETA…, OSTREE_TREE…, OSTREE_COMMIT_GVARIANT_FORMAT).
Checksums are raw (32 bytes) here; object names on disk are their hexadecimal form.
"""

from __future__ import annotations

import hashlib
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from rpmtree.ostree.variant import Variant, framed, parse, parse_map, serialise, width_of

Xattrs = tuple[tuple[bytes, bytes], ...]
#: The attribute that is a file's SELinux label. Where a commit has none, the kernel gives each file one of its own.
LABEL = b"security.selinux"


class Kind(Enum):
    """The kinds of loose objects; the value is the file name's suffix."""

    FILE = "file"
    DIRMETA = "dirmeta"
    DIRTREE = "dirtree"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class FileMeta:
    """All of a file or link but its content. `mode` has the type bits; `xattrs` are sorted by name."""

    mode: int
    uid: int = 0
    gid: int = 0
    target: str = ""
    xattrs: Xattrs = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit object's fields."""

    tree: bytes
    meta: bytes
    timestamp: int
    metadata: Mapping[str, Variant] = field(default_factory=dict)
    parent: bytes = b""
    subject: str = ""
    body: str = ""


@lru_cache(maxsize=4096)
def file_header(meta: FileMeta) -> bytes:
    """What a content object's checksum covers before the content: length, padding and metadata."""
    xattrs = _xattrs(meta.xattrs)
    target = meta.target.encode("utf-8", "surrogateescape") + b"\0"
    body = struct.pack(">4I", meta.uid, meta.gid, meta.mode, 0) + target
    variant = framed(body + xattrs, [len(body)])
    return struct.pack(">I4x", len(variant)) + variant


def dirmeta(mode: int, uid: int = 0, gid: int = 0, xattrs: Xattrs = ()) -> bytes:
    """A directory's own metadata; `mode` gets the directory bit."""
    return struct.pack(">3I", uid, gid, stat.S_IFDIR | stat.S_IMODE(mode)) + _xattrs(xattrs)


def labelled(xattrs: Iterable[tuple[bytes, bytes]], label: bytes | None) -> Xattrs:
    """Attributes with a label, or without one, and not that which they had."""
    others = [pair for pair in xattrs if pair[0] != LABEL]
    return tuple(sorted([*others, (LABEL, label)] if label is not None else others))


def _xattrs(xattrs: Xattrs) -> bytes:
    return serialise("a(ayay)", [(name + b"\0", value) for name, value in xattrs]) if xattrs else b""


def parse_dirmeta(data: bytes) -> tuple[int, int, int]:
    """(mode without type bits, uid, gid) of a dirmeta object; xattrs are left out."""
    uid, gid, mode = struct.unpack_from(">3I", data)
    return stat.S_IMODE(mode), uid, gid


def parse_dirmeta_xattrs(data: bytes) -> tuple[int, int, int, Xattrs]:
    """The inverse of `dirmeta`: (mode without type bits, uid, gid, xattrs)."""
    pairs = parse("a(ayay)", data[12:]) if len(data) > 12 else []
    return (*parse_dirmeta(data), tuple((name.rstrip(b"\0"), value) for name, value in pairs))


def dirtree(files: Mapping[str, bytes], dirs: Mapping[str, tuple[bytes, bytes]]) -> bytes:
    """A directory's names: files → content checksum, directories → (dirtree, dirmeta) checksums."""
    # By hand, not by serialise(): a distribution has thousands of these.
    first = _array([_file(name.encode("utf-8", "surrogateescape") + b"\0", files[name]) for name in sorted(files)])
    second = _array([_directory(name, *dirs[name]) for name in sorted(dirs)])
    return framed(first + second, [len(first)])


def _file(text: bytes, checksum: bytes) -> bytes:
    end = len(text)
    return text + checksum + (bytes((end,)) if end + 33 < 256 else end.to_bytes(2, "little"))


def _directory(name: str, tree: bytes, meta: bytes) -> bytes:
    text = name.encode("utf-8", "surrogateescape") + b"\0"
    return framed(text + tree + meta, [len(text) + 32, len(text)])


def _array(items: list[bytes]) -> bytes:
    ends, position = [], 0
    for item in items:
        position += len(item)
        ends.append(position)
    return framed(b"".join(items), ends)


def parse_dirtree(data: bytes) -> tuple[dict[str, bytes], dict[str, tuple[bytes, bytes]]]:
    """The inverse of `dirtree`."""
    width = width_of(len(data))
    split = int.from_bytes(data[len(data) - width :], "little")
    files, dirs = {}, {}
    for item in _items(data[:split]):
        end = item.index(b"\0")
        files[item[:end].decode("utf-8", "surrogateescape")] = item[end + 1 : end + 33]
    for item in _items(data[split : len(data) - width]):
        end = item.index(b"\0")
        name = item[:end].decode("utf-8", "surrogateescape")
        dirs[name] = (item[end + 1 : end + 33], item[end + 33 : end + 65])
    return files, dirs


def _items(data: bytes) -> list[bytes]:
    if not data:
        return []
    width = width_of(len(data))
    table = int.from_bytes(data[len(data) - width :], "little")
    ends = [int.from_bytes(data[at : at + width], "little") for at in range(table, len(data), width)]
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


# The metadata (a{sv}) as bytes: it comes first, so that its alignment does not count.
_COMMIT = "(ayaya(say)sstayay)"
#: The one key whose value is large: a row a package.
PKGLIST = "rpmostree.rpmdb.pkglist"
#: Bytes of the files of each package (`at`, in the order of the list), and of kernel and initramfs (`t`).
PACKAGE_SIZES = "strata.package-sizes"
BOOT_SIZE = "strata.boot-size"
#: Before the name of a file that stands for the deletion of it, where layers of images are files of a tree themselves
#: (ostree's process_passthrough_whiteouts).
WHITEOUT_PREFIX = ".ostree-wh."


def is_whiteout(mode: int, device: int) -> bool:
    """Whether that is what overlayfs has for a deletion: the character device 0:0."""
    return stat.S_ISCHR(mode) and device == 0


def commit(value: Commit) -> bytes:
    """A commit object. Metadata keys are sorted and integers in them big-endian, as `ostree` reads them."""
    metadata = serialise("a{sv}", dict(sorted(value.metadata.items())), big=True)
    # a{sv} is aligned to 8, and comes first: nothing before it has to be padded.
    parts = [metadata, value.parent, b"", value.subject.encode() + b"\0", value.body.encode() + b"\0"]
    ends, body = [], bytearray()
    for part in parts:
        body += part
        ends.append(len(body))
    body += b"\0" * (-len(body) % 8) + struct.pack(">Q", value.timestamp)
    body += value.tree
    ends.append(len(body))
    body += value.meta
    return framed(body, ends[::-1])


@lru_cache(maxsize=32)
def parse_commit(data: bytes, *, without: frozenset[str] = frozenset()) -> Commit:
    """The inverse of `commit`; metadata of the keys in `without` is left out.

    A command asks for the commits of its few deployments again and again, and a list of packages takes some ms.
    """
    metadata, parent, _, subject, body, timestamp, tree, meta = parse(_COMMIT, data, big=True)
    return Commit(tree, meta, timestamp, parse_map(metadata, without=without, big=True), parent, subject, body)


def checksum(data: bytes) -> bytes:
    """The raw checksum of a metadata object, or of a link's header."""
    return hashlib.sha256(data).digest()
