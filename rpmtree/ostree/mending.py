# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting objects of a `bare` repository right: damaged ones aside, whole ones in their place, never written into.

Deployed files share their bytes with objects, so that writing into one would change what runs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rpmtree.errors import StoreError
from rpmtree.files import fsync_directory, random_name
from rpmtree.ostree import objects
from rpmtree.ostree.checking import Checker, is_whole, read_xattrs
from rpmtree.ostree.library import libostree, wrapped
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store

ASIDE = "strata-damaged"


def broken(store: Store, commit: bytes, checker: Checker) -> Iterator[tuple[Kind, bytes]]:
    """The objects of a commit that are missing or damaged. What is below a damaged directory is not seen."""
    if not is_whole(store, Kind.COMMIT, commit, checker):
        yield Kind.COMMIT, commit
        return
    value = store.commit(commit)
    seen: set[tuple[Kind, bytes]] = set()
    todo = [(Kind.DIRMETA, value.meta), (Kind.DIRTREE, value.tree)]
    while todo:
        kind, checksum = todo.pop()
        if (kind, checksum) in seen:
            continue
        seen.add((kind, checksum))
        if not is_whole(store, kind, checksum, checker):
            yield kind, checksum
        elif kind is Kind.DIRTREE:
            files, directories = objects.parse_dirtree(store.read(kind, checksum))
            todo += [(Kind.FILE, file) for file in files.values()]
            todo += [entry for tree, meta in directories.values() for entry in ((Kind.DIRMETA, meta), (kind, tree))]


def put_aside(store: Store, kind: Kind, checksum: bytes) -> Path | None:
    """Take a damaged object's name away; gives where it is now, None if it was not there. Raises StoreError."""
    aside = store.path / ASIDE
    target = aside / f"{checksum.hex()}.{kind.value}"
    try:
        aside.mkdir(mode=0o700, exist_ok=True)
        os.rename(store.object_path(kind, checksum), target)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"can't move {store.object_path(kind, checksum)} to {aside}: {error.strerror}") from error
    return target


def adopt(store: Store, checksum: bytes, path: str) -> None:
    """Give a file of a deployment, which is that object, its name in the repository again. Raises StoreError."""
    target = store.object_path(Kind.FILE, checksum)
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with suppress(FileExistsError):
            os.link(path, target, follow_symlinks=False)
    except OSError as error:
        raise StoreError(f"can't link {path} into {store.path}: {error.strerror}") from error


class Source:
    """A repository on this machine, of any mode, that whole objects are taken from."""

    def __init__(self, target: Path, source: Path) -> None:
        """Raises StoreError if either is none."""
        self.path = source
        self._target = _open(target)
        self._source = _open(source)

    def fetch(self, kind: Kind, checksum: bytes) -> bool:
        """Copy an object, checked on the way; False where it is not there, or is damaged too."""
        types = libostree().ObjectType
        wanted = {
            Kind.FILE: types.FILE,
            Kind.DIRMETA: types.DIR_META,
            Kind.DIRTREE: types.DIR_TREE,
            Kind.COMMIT: types.COMMIT,
        }[kind]
        try:
            with wrapped(f"{self.path}: {checksum.hex()}"):
                if not self._source.has_object(wanted, checksum.hex(), None)[1]:
                    return False
                self._target.import_object_from_with_trust(self._source, wanted, checksum.hex(), False, None)
        except StoreError:
            return False
        return True


def mark_partial(repo: Path, checksum: str, partial: bool = True) -> None:
    """Tell libostree that a commit lacks objects: the next pull of it looks for them, which else it would not.

    Format: ostree-repo-private.h, _ostree_get_commitpartial_path. Raises StoreError.
    """
    path = repo / "state" / f"{checksum}.commitpartial"
    try:
        if partial:
            path.parent.mkdir(exist_ok=True)
            path.touch()
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def relink(store: Store, checksum: bytes, path: str) -> None:
    """Put the file or link that an object is in the place of the one at `path`, at once and durably.

    Raises StoreError.
    """
    directory, name = os.path.split(path)
    temporary = f"{directory}/.strata-{random_name()}"
    try:
        os.link(store.object_path(Kind.FILE, checksum), temporary, follow_symlinks=False)
        try:
            os.rename(temporary, f"{directory}/{name}")
        finally:
            with suppress(FileNotFoundError):  # it is still there, too, where both were one file already
                os.unlink(temporary)
        fsync_directory(Path(directory))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def dress(path: str, meta: bytes) -> None:
    """Give a directory, made where it is missing, mode, owner and xattrs of a dirmeta object. Raises StoreError."""
    mode, uid, gid, xattrs = objects.parse_dirmeta_xattrs(meta)
    try:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(20, "something else is in its place")
        os.chown(path, uid, gid)
        os.chmod(path, mode)
        wanted = dict(xattrs)
        for key, _ in read_xattrs(path):
            if key not in wanted and key != objects.LABEL:
                os.removexattr(path, key)
        for key, value in xattrs:
            os.setxattr(path, key, value)
        fsync_directory(Path(path).parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _open(path: Path) -> Any:
    from gi.repository import Gio

    repo = libostree().Repo.new(Gio.File.new_for_path(str(path)))
    with wrapped(f"can't open the repository {path}"):
        repo.open(None)
    return repo
