# SPDX-License-Identifier: GPL-2.0-or-later
"""The loose objects of a `bare` repository, written without libostree.

libostree hashes through GLib, which here is several times slower than hashlib, and every call through
PyGObject costs more than the object that it writes. What libostree promises is kept: an object gets its
name only when its bytes are durable, so that a crash leaves no damaged object behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import FileIO
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import random_name, remove_tree, sync_filesystem
from rpmtree.ostree import objects
from rpmtree.ostree.objects import Commit, FileMeta, Kind

_CHUNK = 1 << 20
_STAGING = "strata-staging-"
_FEW = "few"
#: The order in which objects get their names: nothing is named before what it refers to.
_ORDER = tuple(f".{kind.value}" for kind in (Kind.FILE, Kind.DIRMETA, Kind.DIRTREE, Kind.COMMIT))


class Store:
    """The objects of the repository at `path`, which must be of mode `bare`. Checksums are raw bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._objects = f"{path}/objects"

    def object_path(self, kind: Kind, checksum: bytes) -> str:
        """Where an object is, if it is there."""
        return f"{self._objects}/{_name(kind, checksum)}"

    def has(self, kind: Kind, checksum: bytes) -> bool:
        """Whether the object is there."""
        return os.path.lexists(self.object_path(kind, checksum))

    def read(self, kind: Kind, checksum: bytes) -> bytes:
        """A metadata object's bytes, checked against its name. Raises StoreError."""
        try:
            with open(self.object_path(kind, checksum), "rb", buffering=0) as file:
                data = file.read()
        except OSError as error:
            raise StoreError(
                f"{self.path}: {kind.value} object {checksum.hex()} can't be read: {error.strerror}"
            ) from error
        if hashlib.sha256(data).digest() != checksum:
            raise StoreError(
                f"{self.path}: {kind.value} object {checksum.hex()} is damaged",
                hint=f"remove the file {self.object_path(kind, checksum)}, or all of {self.path}, then run this again",
            )
        return data

    def commit(self, checksum: bytes) -> Commit:
        """A commit, read. Raises StoreError."""
        return objects.parse_commit(self.read(Kind.COMMIT, checksum))


class Staging:
    """Objects written beside a store; `publish` makes them durable, then gives them their names.

    Several processes may fill one staging directory; the one that made it publishes or discards it.
    Like a store it has up to 256 directories, since in one large one each new file costs twice as much (ext4);
    `few` objects are better off in a single one.
    """

    def __init__(self, store: Store, directory: Path | None = None, *, few: bool = False) -> None:
        self.store = store
        self._few = few
        self._made = directory is None
        self.directory = directory or store.path / "tmp" / f"{_STAGING}{random_name()}"
        self._prefix = f"{self.directory}/"
        self._fans: set[str] = set()
        if self._made:
            self.directory.mkdir(mode=0o700)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._made:
            remove_tree(self.directory)

    def add_metadata(self, kind: Kind, data: bytes) -> bytes:
        """Stage a dirtree, dirmeta or commit; gives its checksum."""
        checksum = hashlib.sha256(data).digest()
        if not self.store.has(kind, checksum):
            self._create(_name(kind, checksum), (data,), 0o644, ())
        return checksum

    def add_link(self, meta: FileMeta) -> bytes:
        """Stage a symbolic link; gives its checksum."""
        checksum = hashlib.sha256(objects.file_header(meta)).digest()
        if self.store.has(Kind.FILE, checksum):
            return checksum
        path = self._place(_name(Kind.FILE, checksum))
        try:
            os.symlink(meta.target, path)
            _dress(path, meta)
        except FileExistsError:
            pass
        except OSError as error:
            raise _store_error(self.store.path, error) from error
        return checksum

    def add_file(self, meta: FileMeta, data: bytes) -> bytes:
        """Stage a regular file whose content is at hand; gives its checksum."""
        digest = hashlib.sha256(objects.file_header(meta))
        digest.update(data)
        checksum = digest.digest()
        if not self.store.has(Kind.FILE, checksum):
            self._create_file(_name(Kind.FILE, checksum), (data,), meta)
        return checksum

    def add_stream(self, meta: FileMeta, read: Callable[[int], bytes]) -> bytes:
        """Stage a regular file whose content comes in pieces, `read(limit)` until b""; gives its checksum."""
        digest = hashlib.sha256(objects.file_header(meta))
        temporary = f"00/incoming-{random_name()}"

        def pieces() -> Iterable[bytes]:
            while data := read(_CHUNK):
                digest.update(data)
                yield data

        self._create_file(temporary, pieces(), meta)
        checksum = digest.digest()
        os.rename(self._place(temporary), self._place(_name(Kind.FILE, checksum)))
        return checksum

    def add_copy(self, meta: FileMeta, source: str) -> bytes:
        """Stage a regular file with the content of another one, whose blocks it shares where the file system can."""
        with open(source, "rb", buffering=0) as file:
            checksum = _checksum(meta, file)
            if not self.store.has(Kind.FILE, checksum):
                self._create_file(_name(Kind.FILE, checksum), (), meta, copied=file.fileno())
        return checksum

    def adopt(self, meta: FileMeta, source: str) -> bytes:
        """Stage the regular file `source`, which lies on the same file system and must not change any more.

        It gets a second name rather than a copy; its owner, mode and xattrs must be those of `meta`.
        """
        with open(source, "rb", buffering=0) as file:
            checksum = _checksum(meta, file)
        if not self.store.has(Kind.FILE, checksum):
            path = self._place(_name(Kind.FILE, checksum))
            try:
                os.link(source, path)
            except FileExistsError:
                return checksum
            os.utime(path, (0, 0))
        return checksum

    def size_of(self, checksum: bytes) -> int:
        """The bytes of a regular file that is staged or stored. Raises StoreError."""
        return self._status(checksum).st_size

    def mode_of(self, checksum: bytes) -> int:
        """The mode, with its type bits, of a file or link that is staged or stored. Raises StoreError."""
        return self._status(checksum).st_mode

    def _status(self, checksum: bytes) -> os.stat_result:
        path = self.path_of(checksum)
        try:
            return os.lstat(path)
        except OSError as error:
            raise StoreError(f"{path} can't be read: {error.strerror}") from error

    def path_of(self, checksum: bytes) -> str:
        """Where a file or link is that is staged or stored."""
        staged = self._place(_name(Kind.FILE, checksum))
        return staged if os.path.lexists(staged) else self.store.object_path(Kind.FILE, checksum)

    def publish(self) -> int:
        """Make all staged objects durable, then give them their names; gives their number.

        The names are durable after the next sync of the file system: `refs.write_refs` makes one before it
        names a commit. Raises StoreError.
        """
        names = [
            f"{directory}/{name}"
            for directory in sorted(os.listdir(self.directory))
            for name in sorted(os.listdir(self._prefix + directory))
        ]
        if not names:
            return 0
        try:
            sync_filesystem(self.directory)
        except OSError as error:
            raise StoreError(
                f"{self.store.path}: what was written could not be made durable: {error.strerror}"
            ) from error
        for suffix in _ORDER:
            for name in names:
                if name.endswith(suffix):
                    self._rename(name)
        return len(names)

    def _place(self, name: str) -> str:
        """The path of a staged object, whose directory is there."""
        fan = _FEW if self._few else name[:2]
        if fan not in self._fans:
            with suppress(FileExistsError):
                os.mkdir(self._prefix + fan)
            self._fans.add(fan)
        return f"{self._prefix}{fan}/{name[:2]}{name[3:]}" if self._few else self._prefix + name

    def _rename(self, name: str) -> None:
        fan, _, rest = name.partition("/")
        target = f"{self.store.path}/objects/{f'{rest[:2]}/{rest[2:]}' if fan == _FEW else name}"
        try:
            os.rename(self._prefix + name, target)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(self._prefix + name, target)

    def _create_file(self, name: str, pieces: Iterable[bytes], meta: FileMeta, *, copied: int | None = None) -> None:
        self._create(name, pieces, stat.S_IMODE(meta.mode), meta.xattrs, (meta.uid, meta.gid), copied=copied)

    def _create(
        self,
        name: str,
        pieces: Iterable[bytes],
        mode: int,
        xattrs: objects.Xattrs,
        owner: tuple[int, int] = (0, 0),
        *,
        copied: int | None = None,
    ) -> None:
        try:
            fd = os.open(self._place(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return
        except OSError as error:
            raise _store_error(self.store.path, error) from error
        try:
            for data in pieces:
                _write_all(fd, data)
            if copied is not None:
                _copy_all(copied, fd)
            if owner != (0, 0):
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            for key, value in xattrs:
                os.setxattr(fd, key, value)
            os.utime(fd, (0, 0))
        except OSError as error:
            raise _store_error(self.store.path, error) from error
        finally:
            os.close(fd)


def _checksum(meta: FileMeta, file: FileIO) -> bytes:
    digest = hashlib.sha256(objects.file_header(meta))
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.digest()


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data) if data else 0
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _copy_all(source: int, target: int) -> None:
    at = 0
    while copied := os.copy_file_range(source, target, 1 << 30, at):
        at += copied


def _dress(path: str, meta: FileMeta) -> None:
    """Owner, xattrs and time of a link."""
    if (meta.uid, meta.gid) != (0, 0):
        os.chown(path, meta.uid, meta.gid, follow_symlinks=False)
    for key, value in meta.xattrs:
        os.setxattr(path, key, value, follow_symlinks=False)
    os.utime(path, (0, 0), follow_symlinks=False)


def _name(kind: Kind, checksum: bytes) -> str:
    """An object's path below `objects` or a staging directory."""
    name = checksum.hex()
    return f"{name[:2]}/{name[2:]}.{kind.value}"


def _store_error(path: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"{path}: no space left on the device", hint="free some space, then run this again")
    return StoreError(f"{path}: can't write: {error.strerror}")


def remove_stale_staging(store: Store) -> None:
    """Remove what an interrupted run left; call only while holding the repository's lock."""
    for entry in sorted((store.path / "tmp").glob(f"{_STAGING}*")):
        remove_tree(entry)
