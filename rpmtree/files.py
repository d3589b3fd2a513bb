# SPDX-License-Identifier: GPL-2.0-or-later
"""Files written so that a crash leaves the old or the new one, and trees that can't be escaped."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rpmtree.errors import BusyError, StoreError

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_OPENAT2 = 437  # the same on every architecture (Linux 5.6)
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10
_GETFLAGS, _SETFLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # linux/fs.h
#: How many directories are open at a time while a tree is removed.
_DEEPEST = 64


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def random_name() -> str:
    """16 characters that nobody else has thought of. (`secrets` would do, and takes milliseconds to load.)"""
    return os.urandom(8).hex()


def open_in_root(root_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` as a process chrooted to `root_fd` would: links and `..` never leave the root.

    Raises OSError as open(2) does.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    while True:
        fd = _libc.syscall(_SYS_OPENAT2, root_fd, os.fsencode(path or "."), ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        code = ctypes.get_errno()
        # EAGAIN: something was renamed while the kernel resolved "..".
        if code != errno.EAGAIN:
            raise OSError(code, os.strerror(code), path)


class Root:
    """A directory tree worked on from outside, safe from links planted inside it.

    Every path is relative to the root (a leading slash is ignored). Parents are resolved as in a chroot,
    so `/lib/x` follows a merged-usr link, and an absolute link stays inside. The last component is
    followed by `read`, `open`, `exists` and `is_dir`, and by nothing else. Methods raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Root:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the descriptor; the tree itself is left as it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The directory that holds `path`, opened, and the last component."""
        head, _, name = path.strip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, "not a name inside the tree", path)
        fd = open_in_root(self._fd, head, os.O_PATH | os.O_DIRECTORY)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def open(self, path: str, flags: int = os.O_RDONLY) -> int:
        """A descriptor of the file at `path`; creating is refused, since `write` does that durably."""
        if flags & os.O_CREAT:
            raise OSError(errno.EINVAL, "use write to create files", path)
        return open_in_root(self._fd, path.strip("/"), flags)

    def lstat(self, path: str) -> os.stat_result:
        """The entry itself, not what a link points to."""
        with self.parent(path) as (fd, name):
            return os.stat(name, dir_fd=fd, follow_symlinks=False)

    def stat(self, path: str) -> os.stat_result:
        """What `path` leads to inside the tree."""
        fd = self.open(path, os.O_PATH)
        try:
            return os.fstat(fd)
        finally:
            os.close(fd)

    def lexists(self, path: str) -> bool:
        """Whether there is an entry, be it a dangling link."""
        try:
            self.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def exists(self, path: str) -> bool:
        """Whether `path` leads to something inside the tree."""
        try:
            self.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_dir(self, path: str) -> bool:
        """Whether `path` leads to a directory inside the tree."""
        return self.exists(path) and stat.S_ISDIR(self.stat(path).st_mode)

    def is_symlink(self, path: str) -> bool:
        """Whether the entry is a symbolic link."""
        return self.lexists(path) and stat.S_ISLNK(self.lstat(path).st_mode)

    def readlink(self, path: str) -> str:
        """The target of the link, unresolved."""
        with self.parent(path) as (fd, name):
            return os.readlink(name, dir_fd=fd)

    def read(self, path: str) -> bytes:
        """The content of a file."""
        fd = self.open(path)
        try:
            with os.fdopen(fd, "rb", closefd=False) as file:  # refuses a directory, and leaves it open then
                return file.read()
        finally:
            os.close(fd)

    def read_text(self, path: str) -> str:
        """The content of a file as UTF-8; bytes that are not survive a round trip through `write`."""
        return self.read(path).decode("utf-8", "surrogateescape")

    def write(self, path: str, data: bytes | str, mode: int | None = None) -> None:
        """Replace `path` by a new file owned by root; `mode` None keeps the old file's, or 0644.

        A new inode is made, so that no other name of the old one changes.
        """
        with self.replacing(path, mode) as file:
            file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)

    @contextmanager
    def replacing(self, path: str, mode: int | None = None) -> Iterator[BinaryIO]:
        """A new file to write to, which takes the place of `path` if the body ends well; see `write`."""
        with self.parent(path) as (fd, name):
            if mode is None:
                mode = _mode_of(fd, name, 0o644)
            temporary = f".{name[:200]}.strata-new"
            with suppress(FileNotFoundError):  # by one that was killed: it would be in the way for ever
                os.unlink(temporary, dir_fd=fd)
            out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd)
            try:
                with os.fdopen(out, "wb") as file:
                    yield file
                    os.fchmod(file.fileno(), mode)
                os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=fd)
                raise

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Make a directory with exactly `mode`; its parents must be there."""
        with self.parent(path) as (fd, name):
            os.mkdir(name, mode, dir_fd=fd)
            os.chmod(name, mode, dir_fd=fd)

    def makedirs(self, path: str, mode: int = 0o755) -> None:
        """Make a directory and its missing parents; one that is there keeps its mode."""
        made = ""
        for part in path.strip("/").split("/"):
            made = f"{made}/{part}"
            if not self.is_dir(made):
                self.mkdir(made, mode)

    def symlink(self, target: str, path: str) -> None:
        """Make a link at `path`, in the place of a file or link that is there."""
        with self.parent(path) as (fd, name):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
            os.symlink(target, name, dir_fd=fd)

    def link(self, source: str, path: str) -> None:
        """Give the file `source` the second name `path`, in the place of a file that is there."""
        with self.parent(source) as (source_fd, source_name), self.parent(path) as (fd, name):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
            os.link(source_name, name, src_dir_fd=source_fd, dst_dir_fd=fd, follow_symlinks=False)

    def rename(self, source: str, path: str) -> None:
        """Move an entry; a file at `path` is replaced."""
        with self.parent(source) as (source_fd, source_name), self.parent(path) as (fd, name):
            os.rename(source_name, name, src_dir_fd=source_fd, dst_dir_fd=fd)

    def chmod(self, path: str, mode: int) -> None:
        """Set the mode of a file or directory; a link is refused rather than followed."""
        with self.parent(path) as (fd, name):
            if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, "is a symbolic link", path)
            os.chmod(name, mode, dir_fd=fd)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Set the owner of an entry, of a link itself where it is one."""
        with self.parent(path) as (fd, name):
            os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Remove a file or link."""
        with self.parent(path) as (fd, name):
            os.unlink(name, dir_fd=fd)

    def remove(self, path: str) -> None:
        """Remove an entry with all below it; nothing there is fine. Mount points inside are refused."""
        with suppress(FileNotFoundError, NotADirectoryError), self.parent(path) as (fd, name):
            _remove_at(fd, name, os.stat(name, dir_fd=fd, follow_symlinks=False).st_dev)

    def listdir(self, path: str) -> list[str]:
        """The sorted names in a directory; a missing one has none."""
        try:
            fd = self.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return []
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)

    def walk(self, path: str = "") -> Iterator[str]:
        """All entries below `path`, sorted, directories before what they hold; links are not followed."""
        base = path.strip("/")
        for name in self.listdir(base):
            entry = f"{base}/{name}" if base else name
            yield entry
            with suppress(FileNotFoundError):
                if stat.S_ISDIR(self.lstat(entry).st_mode):
                    yield from self.walk(entry)


def _mode_of(dir_fd: int, name: str, default: int) -> int:
    try:
        found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return default
    return stat.S_IMODE(found) if stat.S_ISREG(found) else default


def _remove_at(dir_fd: int, name: str, device: int) -> None:
    found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        os.unlink(name, dir_fd=dir_fd)
        return
    _remove_directory(dir_fd, name, device, None)


def _remove_directory(dir_fd: int, name: str, device: int, top: int | None, depth: int = 0) -> None:
    """Remove a directory with all below it; `top` is the descriptor of the one where it began.

    What lies too deep to go down to is moved up to `top`, and its turn comes when `top` is looked at again:
    a script can make a tree that is deeper than any stack.
    """
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        if os.fstat(fd).st_dev != device:
            raise OSError(errno.EBUSY, "another file system is mounted there", name)
        while names := os.listdir(fd):
            for child in names:
                if not stat.S_ISDIR(os.stat(child, dir_fd=fd, follow_symlinks=False).st_mode):
                    os.unlink(child, dir_fd=fd)
                elif top is not None and depth >= _DEEPEST:
                    os.rename(child, f".deep-{random_name()}", src_dir_fd=fd, dst_dir_fd=top)
                else:
                    _remove_directory(fd, child, device, fd if top is None else top, depth + 1)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)


def remove_tree(path: Path) -> None:
    """Remove `path` with all below it; nothing there is fine. Never crosses into another file system."""
    with suppress(FileNotFoundError), Root(path.parent) as parent:
        parent.remove(path.name)


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(directory: Path) -> None:
    """Write all that is pending in the file system of `directory` (syncfs(2)); raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(fd)


def set_immutable(path: Path, immutable: bool) -> bool:
    """Have a file or directory be as it is for ever, or no longer; gives what it was before. Raises OSError."""
    fd, flags = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), array("l", [0])
    try:
        fcntl.ioctl(fd, _GETFLAGS, flags)
        before = flags[0]
        flags[0] = before | _IMMUTABLE if immutable else before & ~_IMMUTABLE
        fcntl.ioctl(fd, _SETFLAGS, flags)
    finally:
        os.close(fd)
    return bool(before & _IMMUTABLE)


def write_atomically(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Replace `path` durably: when this returns, a crash can't bring the old content back."""
    with Root(path.parent) as parent, parent.replacing(path.name, mode) as file:
        file.write(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
        file.flush()
        os.fsync(file.fileno())  # before the rename, or a crash could leave the new name without content
    fsync_directory(path.parent)


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the exclusive lock file `path` (flock: the kernel frees it if we die).

    Raises BusyError naming the holder, unless `wait`; StoreError if the file can't be made.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"can't lock {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode("utf-8", "replace").strip() or "another process"
            raise BusyError(f"{path} is locked by {holder}", hint="wait for it to end, then run this again") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
