# SPDX-License-Identifier: GPL-2.0-or-later
"""One .deb as a value: control fields, conffiles and files in a usr-merged tree. No process per package."""

from __future__ import annotations

import io
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from tests.distro.archive import stanzas
from tests.support.rpmvalues import File

MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_TYPES = {
    tarfile.REGTYPE: stat.S_IFREG, tarfile.AREGTYPE: stat.S_IFREG, tarfile.LNKTYPE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK, tarfile.DIRTYPE: stat.S_IFDIR,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deb:
    """`files` are by path in the merged tree, `conffiles` likewise; `build_time` is the newest file's."""

    control: dict[str, str]
    conffiles: frozenset[str]
    files: dict[str, File]
    build_time: int


def read(path: Path) -> Deb:
    """Read a whole .deb. Device nodes and the like are not in Debian's packages: KeyError."""
    members = dict(_members(path.read_bytes()))
    control, conffiles = {}, frozenset[str]()
    with _tar(members, "control.tar") as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if member.name.lstrip("./") == "control" and stream:
                control = next(stanzas(stream.read().decode()))
            elif member.name.lstrip("./") == "conffiles" and stream:
                lines = [line for line in stream.read().decode().splitlines() if line.startswith("/")]
                conffiles = frozenset(merged(line.strip()) for line in lines)
    with _tar(members, "data.tar") as tar:
        files = dict(_files(tar))
    newest = max((item.mtime or 0 for item in files.values() if not stat.S_ISDIR(item.mode)), default=1_600_000_000)
    return Deb(control, conffiles, files, newest)


def merged(path: str) -> str:
    """Where a path lies when /bin, /sbin and /lib* are links into /usr."""
    top = "/" + path.split("/", 2)[1]
    return f"/usr{path}" if top in MERGED else path


def _members(data: bytes) -> Iterator[tuple[str, memoryview]]:
    """Names and contents of an ar archive."""
    if data[:8] != b"!<arch>\n":
        raise ValueError("not a .deb")
    offset = 8
    while offset + 60 <= len(data):
        name, size = data[offset : offset + 16].decode().strip(" /"), int(data[offset + 48 : offset + 58])
        yield name, memoryview(data)[offset + 60 : offset + 60 + size]
        offset += 60 + size + size % 2


def _tar(members: dict[str, memoryview], stem: str) -> tarfile.TarFile:
    name = next(name for name in members if name.startswith(stem))
    raw = io.BytesIO(members[name])
    if name.endswith(".zst"):
        return tarfile.open(fileobj=zstandard.ZstdDecompressor().stream_reader(raw), mode="r|")
    return tarfile.open(fileobj=raw, mode="r:*")


def _files(tar: tarfile.TarFile) -> Iterator[tuple[str, File]]:
    for member in tar:
        original = "/" + member.name.strip("./") if not member.name.startswith("./") else member.name[1:].rstrip("/")
        path = merged(original)
        if path in ("", "/", *(f"/usr{top}" for top in MERGED)) and member.isdir():
            continue
        target, hardlink, content = "", "", b""
        if member.issym():
            target = _retargeted(original, path, member.linkname)
            if not target:
                continue
        elif member.islnk():
            hardlink = merged("/" + member.linkname.removeprefix("./").lstrip("/"))
        elif member.isreg():
            stream = tar.extractfile(member)
            content = stream.read() if stream else b""
        mode = _TYPES[member.type] | (0o777 if member.issym() else member.mode & 0o7777)
        user, group, when = member.uname or "root", member.gname or "root", int(member.mtime)
        yield path, File(mode, content, user, group, when, target=target, hardlink=hardlink)


def _retargeted(original: str, path: str, target: str) -> str:
    """A link's target when its file has moved; empty for a link that would point at itself."""
    absolute = merged(posixpath.normpath(posixpath.join(posixpath.dirname(original), target)))
    if absolute == path:
        return ""
    if target.startswith("/"):
        return absolute
    if merged(original) == original and not any(f"../{top[1:]}/" in target for top in MERGED):
        return target
    return posixpath.relpath(absolute, posixpath.dirname(path))
