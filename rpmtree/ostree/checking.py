# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether files on disk are the objects that they should be: content, mode, owner, xattrs, to the last byte.

In a `bare` repository, and in what is checked out of it as root, a file on disk has all that its checksum covers.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable

from rpmtree.errors import StoreError
from rpmtree.ostree import objects
from rpmtree.ostree.objects import FileMeta, Kind, Xattrs
from rpmtree.ostree.store import Store

_CHUNK = 1 << 20


class Checker:
    """Reads files and tells which objects they are; one that has several names is read once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int, int], frozenset[bytes]] = {}
        #: Bytes that were read.
        self.bytes = 0

    def is_file(self, path: str, checksum: bytes) -> bool:
        """Whether the regular file or link at `path` is that object. Raises OSError."""
        return checksum in self.checksums(path, os.lstat(path))

    def checksums(self, path: str, info: os.stat_result) -> frozenset[bytes]:
        """What a regular file or link may be called: with its label, and without. Raises OSError."""
        # The time of the last change: a number may be given to another file while we run.
        identity = info.st_dev, info.st_ino, info.st_ctime_ns
        found = self._seen.get(identity)
        if found is None:
            found = self._seen[identity] = self._read(path, info)
        return found

    def _read(self, path: str, info: os.stat_result) -> frozenset[bytes]:
        if not (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
            return frozenset()
        if stat.S_ISREG(info.st_mode):
            self.bytes += info.st_size
        xattrs = read_xattrs(path)
        return _checksums(path, info, {xattrs, objects.labelled(xattrs, None)})


def _checksums(path: str, info: os.stat_result, kinds: Iterable[Xattrs]) -> frozenset[bytes]:
    """What the regular file or link at `path` is called with each of these sets of attributes."""
    target = os.readlink(path) if stat.S_ISLNK(info.st_mode) else ""
    digests = [
        hashlib.sha256(objects.file_header(FileMeta(info.st_mode, info.st_uid, info.st_gid, target, kind)))
        for kind in kinds
    ]
    if stat.S_ISREG(info.st_mode):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while data := os.read(fd, _CHUNK):
                for digest in digests:
                    digest.update(data)
        finally:
            os.close(fd)
    return frozenset(digest.digest() for digest in digests)


def is_labelled_by_kernel(path: str, checksum: bytes) -> bool:
    """Whether the file or link at `path` is that object, and has a label that the object has not. Raises OSError."""
    xattrs = read_xattrs(path)
    plain = objects.labelled(xattrs, None)
    return plain != xattrs and checksum in _checksums(path, os.lstat(path), (plain,))


def is_directory(path: str, info: os.stat_result, meta: bytes) -> bool:
    """Whether a directory on disk has mode, owner and xattrs of the dirmeta object `meta` (its bytes)."""
    xattrs = read_xattrs(path)
    kinds = {xattrs, objects.labelled(xattrs, None)}
    return meta in {objects.dirmeta(info.st_mode, info.st_uid, info.st_gid, kind) for kind in kinds}


def read_xattrs(path: str) -> Xattrs:
    """The extended attributes of a path, links not followed, as objects hold them. Raises OSError."""
    names = os.listxattr(path, follow_symlinks=False)
    return tuple(sorted((os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)) for name in names))


def is_whole(store: Store, kind: Kind, checksum: bytes, checker: Checker) -> bool | None:
    """Whether an object of a `bare` repository is what its name says; None where it is not there."""
    path = store.object_path(kind, checksum)
    if not os.path.lexists(path):
        return None
    try:
        if kind is Kind.FILE:
            return checker.is_file(path, checksum)
        store.read(kind, checksum)
    except (OSError, StoreError):  # a disk that fails to read has damaged it as well
        return False
    return True
