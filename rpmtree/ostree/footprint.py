# SPDX-License-Identifier: GPL-2.0-or-later
"""How much room a commit takes where it is deployed for the first time: figures, read without a copy of anything."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from rpmtree.errors import StoreError
from rpmtree.ostree.objects import parse_dirtree
from rpmtree.ostree.repo import Repository

_BLOCK = 4096
#: What libostree copies to /boot, and what it copies out of the objects that it links else: see `rpmtree.ostree.space`.
_MODULES, _ETC = "usr/lib/modules/", "usr/etc/"
_KERNEL = ("vmlinuz", "initramfs.img", "devicetree", ".vmlinuz.hmac")
#: Directories that a repository and a sysroot have.
_OWN_DIRECTORIES = 400


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes, in whole blocks of 4 KiB: of the repository with one deployment, and of what goes to /boot; inodes."""

    root: int
    boot: int
    inodes: int


def footprint(repository: Repository, checksum: bytes) -> Footprint:
    """The figures of a commit, which must be whole. Raises StoreError."""
    count = _Count(repository)
    commit = repository.commit(checksum)
    count.directory("", commit.tree, commit.meta)
    files = sum(count.sizes.values())
    directories = (count.directories + len(count.metadata) + _OWN_DIRECTORIES) * _BLOCK
    inodes = len(count.sizes) + count.directories + len(count.metadata) + count.etc_files + _OWN_DIRECTORIES
    return Footprint(files + directories + count.etc, count.boot, inodes)


class _Count:
    """What was found so far; an object counts once, a directory each time."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.sizes: dict[bytes, int] = {}
        self.metadata: set[bytes] = set()
        self.directories = self.etc = self.etc_files = self.boot = 0

    def directory(self, path: str, tree: bytes, meta: bytes) -> None:
        """Count a directory (`path` with a slash at its end) and all below it."""
        self.directories += 1
        self.metadata |= {tree, meta}
        if path.startswith(_ETC):
            self.etc += _BLOCK
        files, directories = parse_dirtree(self._read(tree, "dirtree"))
        for name, checksum in files.items():
            if checksum not in self.sizes:
                self.sizes[checksum] = -(-self._size(checksum) // _BLOCK) * _BLOCK
            if path.startswith(_ETC):
                self.etc += self.sizes[checksum]
                self.etc_files += 1
            if path.startswith(_MODULES) and path.count("/") == 4 and (name in _KERNEL or "/dtb/" in path):
                self.boot += self.sizes[checksum]
        for name, (inner, inner_meta) in directories.items():
            self.directory(f"{path}{name}/", inner, inner_meta)

    def _read(self, checksum: bytes, kind: str) -> bytes:
        path = self._path(checksum, kind)
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", hint="the commit is not whole: pull it again") from error

    def _size(self, checksum: bytes) -> int:
        """The size of a file's content; a link takes none worth counting."""
        archive = self._repository.mode == "archive"
        path = self._path(checksum, "filez" if archive else "file")
        try:
            if not archive:
                return os.lstat(path).st_size
            with open(path, "rb") as file:
                # Length of the header, padding, then the header itself, which begins with the size of the content
                # (ostree-core.c, OSTREE_ZLIB_FILE_HEADER_GVARIANT_FORMAT); all big endian.
                return int(struct.unpack(">4x4xQ", file.read(16))[0])
        except (OSError, struct.error) as error:
            raise StoreError(f"{path} can't be read: {error}", hint="the commit is not whole: pull it again") from error

    def _path(self, checksum: bytes, kind: str) -> str:
        name = checksum.hex()
        return f"{self._repository.path}/objects/{name[:2]}/{name[2:]}.{kind}"
