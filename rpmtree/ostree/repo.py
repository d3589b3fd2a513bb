# SPDX-License-Identifier: GPL-2.0-or-later
"""Repositories through libostree: opening, creating, references, pulls between repositories on this machine.

The only module, with its neighbours, that imports gi; objects of `bare` repositories are read and written by
`rpmtree.ostree.store` without it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterable
from configparser import ConfigParser
from configparser import Error as IniError
from contextlib import suppress
from pathlib import Path
from typing import Any

from rpmtree.errors import StoreError
from rpmtree.files import remove_tree
from rpmtree.ostree.checking import is_labelled_by_kernel, read_xattrs
from rpmtree.ostree.library import libostree, wrapped
from rpmtree.ostree.objects import Commit, Kind, labelled, parse_commit
from rpmtree.ostree.refs import read_ref
from rpmtree.ostree.store import Store

_HEX = frozenset("0123456789abcdef")
#: What a content object has of a file beside its content and xattrs.
_OF_CONTENT = (
    "standard::type,standard::size,standard::is-symlink,standard::symlink-target,unix::mode,unix::uid,unix::gid"
)


class Repository:
    """The repository at `path`; libostree is loaded when it is first needed."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError if there is no repository."""
        self.path = path
        self.mode = _mode(path)
        if not (path / "objects").is_dir():
            raise StoreError(f"{path} is damaged: it has a config, and no directory of objects")
        self._repo: Any = None

    def resolve(self, rev: str) -> bytes | None:
        """The raw checksum that a branch or a checksum in hexadecimal names; None if there is none."""
        if len(rev) == 64 and set(rev) <= _HEX:
            return bytes.fromhex(rev)
        return read_ref(self.path, rev)

    def resolve_branch(self, remote: str | None, branch: str) -> bytes | None:
        """The raw checksum at which a branch of a remote, or a local one, was last seen; None if it was not."""
        return read_ref(self.path, branch, remote=remote)

    def commit(self, checksum: bytes, *, without: Iterable[str] = ()) -> Commit:
        """A commit, read; metadata of the keys in `without` is left out. Raises StoreError."""
        return parse_commit(self.commit_bytes(checksum), without=frozenset(without))

    def commit_bytes(self, checksum: bytes) -> bytes:
        """A commit object as it is stored, which is what its checksum and signatures are over. Raises StoreError."""
        path = self.path / "objects" / checksum.hex()[:2] / f"{checksum.hex()[2:]}.commit"
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{self.path} has no commit {checksum.hex()}: {error.strerror}") from error
        if hashlib.sha256(data).digest() != checksum:
            raise StoreError(
                f"{self.path}: the commit {checksum.hex()} is damaged",
                hint="`ostree fsck` finds what else is; without the branch, the next compose starts anew",
            )
        return data

    def read_file(self, checksum: bytes, path: str) -> bytes | None:
        """The content of a file in a commit; None if there is none. Raises StoreError."""
        from gi.repository import Gio

        with wrapped(f"can't read {path} of commit {checksum.hex()} in {self.path}"):
            _, root, _ = self.handle().read_commit(checksum.hex(), None)
            file = root.resolve_relative_path(path)
            if file.query_file_type(Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, None) != Gio.FileType.REGULAR:
                return None
            _, stream, info, _ = self.handle().load_file(file.get_checksum(), None)
            return bytes(stream.read_bytes(info.get_size(), None).get_data() or b"") if info.get_size() else b""

    def pull_commit(self, source: Path, checksum: bytes) -> None:
        """Copy a commit with all its objects out of another repository on this machine. Raises StoreError."""
        from gi.repository import Gio, GLib

        options = GLib.Variant(
            "a{sv}",
            {
                "refs": GLib.Variant("as", [checksum.hex()]),
                "depth": GLib.Variant("i", 0),
            },
        )
        with wrapped(f"can't copy the commit into {self.path}"):
            try:
                self.handle().pull_with_options(Gio.File.new_for_path(str(source)).get_uri(), options, None, None)
            except GLib.Error:
                remove_staging(self.path / "tmp")
                raise
        if not (self.path / "objects" / checksum.hex()[:2] / f"{checksum.hex()[2:]}.commit").exists():
            raise StoreError(f"{self.path}: the commit {checksum.hex()} did not arrive")

    def copy_unlabelled(self, source: Store, files: Iterable[bytes]) -> None:
        """Copy files and links out of a `bare` repository that have no label, and were given one by the kernel.

        As all are that are made where SELinux runs. libostree would take the label for a part of the object. Others are
        left out, as those that are here. Raises StoreError.
        """
        from gi.repository import Gio, GLib

        ostree, handle = libostree(), self.handle()
        with wrapped(f"can't copy files into {self.path}"):
            paths = {checksum: source.object_path(Kind.FILE, checksum) for checksum in files}
            labelled_ones = [checksum for checksum, path in paths.items() if is_labelled_by_kernel(path, checksum)]
            missing = [checksum for checksum in labelled_ones if not self._has_file(checksum)]
            if not missing:  # as everywhere else; a transaction syncs the file system
                return
            handle.prepare_transaction(None)
            try:
                for checksum in missing:
                    path = paths[checksum]
                    file = Gio.File.new_for_path(path)
                    info = file.query_info(_OF_CONTENT, Gio.FileQueryInfoFlags.NOFOLLOW_SYMLINKS, None)
                    stream: Any = Gio.MemoryInputStream.new()
                    if info.get_file_type() == Gio.FileType.REGULAR:
                        stream = file.read(None)
                    else:
                        info.set_size(0)  # of the target, which is no content
                    kept = labelled(read_xattrs(path), None)
                    xattrs = GLib.Variant("a(ayay)", [(name + b"\0", value) for name, value in kept])
                    _, content, size = ostree.raw_file_to_content_stream(stream, info, xattrs, None)
                    handle.write_content(checksum.hex(), content, size, None)
            except BaseException:
                handle.abort_transaction(None)
                raise
            handle.commit_transaction(None)

    def _has_file(self, checksum: bytes) -> bool:
        return bool(self.handle().has_object(libostree().ObjectType.FILE, checksum.hex(), None)[1])

    def statistics(self) -> tuple[int, int]:
        """Numbers of loose metadata and content objects, as `ostree-n-*-total` counts them."""
        metadata = content = 0
        for directory in os.scandir(self.path / "objects"):
            for name in os.listdir(directory.path):
                if name.endswith((".file", ".filez")):
                    content += 1
                else:
                    metadata += 1
        return metadata, content

    def kept_free(self) -> int:
        """The bytes that libostree leaves free of the file system when it fetches (core.min-free-space-…)."""
        with wrapped(f"can't read the configuration of {self.path}"):
            return int(self.handle().get_min_free_space_bytes()[1])

    def handle(self) -> Any:
        """The repository as libostree has it, opened. Raises StoreError."""
        if self._repo is None:
            from gi.repository import Gio

            ostree = libostree()
            with wrapped(f"can't open {self.path}"):
                repo = ostree.Repo.new(Gio.File.new_for_path(str(self.path)))
                repo.open(None)
            self._repo = repo
        return self._repo


def create(path: Path, mode: str) -> None:
    """Make an empty repository of `mode` (bare, bare-user, archive); one that is there is left as it is."""
    if (path / "config").exists():
        return
    from gi.repository import Gio

    ostree = libostree()
    modes = {
        "bare": ostree.RepoMode.BARE,
        "bare-user": ostree.RepoMode.BARE_USER,
        "archive": ostree.RepoMode.ARCHIVE,
    }
    with wrapped(f"can't make a repository at {path}"):
        path.mkdir(parents=True, exist_ok=True)
        ostree.Repo.new(Gio.File.new_for_path(str(path))).create(modes[mode], None)


def remove_staging(directory: Path) -> None:
    """Remove what pulls that failed have staged: libostree keeps it, and on a full disk that is what fills it.

    A pull that is going on holds an open-file-description lock on the file beside its directory (libglnx,
    glnx_make_lock_file), and is left alone.
    """
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    # A kill can come between the two, and then only the lock's file is there.
    for name in sorted({path.name.removesuffix("-lock") for path in directory.glob("staging-*")}):
        staging, lock = directory / name, directory / f"{name}-lock"
        with open(lock, "wb") as file, suppress(BlockingIOError):
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole_file)
            remove_tree(staging)
            lock.unlink()


def _mode(path: Path) -> str:
    config = ConfigParser(interpolation=None, strict=False)
    try:
        config.read_string((path / "config").read_text())
        mode = config["core"]["mode"]
    except OSError as error:
        raise StoreError(
            f"{path} is not an OSTree repository: {error.strerror}",
            hint=f"make one: ostree --repo={path} init --mode=archive",
        ) from error
    except (IniError, KeyError, UnicodeDecodeError) as error:
        raise StoreError(f"{path}/config is damaged") from error
    return "archive" if mode == "archive-z2" else mode
