# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit goes from one `bare` repository to another on the same file system by hard links."""

from __future__ import annotations

import os

from rpmtree.errors import StoreError
from rpmtree.files import sync_filesystem
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory, Written


def link_commit(source: Store, target: Store, commit: bytes, root: Directory, written: Written) -> dict[Kind, int]:
    """Give all objects of a commit, durable in `source`, a name in `target`; gives how many of each kind were new.

    Every object is looked for, not only those below new directories: a prune that was interrupted may have
    taken any. Raises StoreError; OSError with EXDEV where the two are on different file systems.
    """
    files = {checksum for _, directory in root.walk() for checksum in directory.files.values()}
    wanted = {Kind.FILE: files, Kind.DIRMETA: written.dirmetas, Kind.DIRTREE: written.dirtrees, Kind.COMMIT: {commit}}
    present = object_names(target)
    new = {}
    for kind in (Kind.FILE, Kind.DIRMETA, Kind.DIRTREE, Kind.COMMIT):
        missing = [checksum for checksum in wanted[kind] if f"{checksum.hex()}.{kind.value}" not in present]
        for checksum in missing:
            _link(source.object_path(kind, checksum), target.object_path(kind, checksum))
        new[kind] = len(missing)
        if missing and kind is Kind.DIRTREE:
            _sync(target)  # a commit object says that all below it is there
    _sync(target)
    return new


def object_names(store: Store) -> set[str]:
    """The names of all objects: the checksum in hexadecimal, a dot, the kind."""
    names: set[str] = set()
    with os.scandir(store.path / "objects") as directories:
        for directory in directories:
            names.update(f"{directory.name}{name}" for name in os.listdir(directory.path))
    return names


def _link(source: str, target: str) -> None:
    try:
        try:
            os.link(source, target, follow_symlinks=False)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        pass
    except FileNotFoundError as error:
        raise StoreError(
            f"the object {source} has vanished", hint="run this again; the package is imported anew"
        ) from error


def _sync(store: Store) -> None:
    fd = os.open(store.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_filesystem(fd)
    except OSError as error:
        raise StoreError(f"{store.path}: what was written could not be made durable: {error.strerror}") from error
    finally:
        os.close(fd)
