# SPDX-License-Identifier: GPL-2.0-or-later
"""What one tree has that another has not, as a directory that overlayfs shows on top of the other one.

Files are hard links to objects, so nothing may write to them; what is gone is a whiteout
(Documentation/filesystems/overlayfs.rst).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.ostree import objects
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory
from rpmtree.root.checkout import link_object


def write_difference(store: Store, base: Directory, wanted: Directory, path: Path) -> None:
    """Make the directory `path` such that, over a checkout of `base`, it shows `wanted`. Raises StoreError."""
    try:
        _write(store, base, wanted, _made(str(path), wanted.meta))
        if not path.exists():
            _made(str(path), wanted.meta)()
    except OSError as error:
        raise StoreError(f"can't write to {path}: {error.strerror or error}") from error


def _write(store: Store, base: Directory, wanted: Directory, place: Callable[[], str]) -> None:
    """Write what differs; `place` makes the directory when it is first needed, and gives its path."""
    if base.meta != wanted.meta:
        place()
    elif wanted.unread is not None and base.same_as(wanted):
        return
    if base.files != wanted.files:
        for name, checksum in wanted.files.items():
            if base.files.get(name) != checksum:
                link_object(store.object_path(Kind.FILE, checksum), f"{place()}/{name}")
        for name in base.files.keys() - wanted.files.keys() - wanted.dirs.keys():
            _white_out(f"{place()}/{name}")
    for name in base.dirs.keys() - wanted.dirs.keys() - wanted.files.keys():
        _white_out(f"{place()}/{name}")
    for name, directory in wanted.dirs.items():
        present = base.dirs.get(name)
        below = _made_in(place, name, directory.meta)
        if present is None:
            below()
        _write(store, present or Directory(directory.meta), directory, below)


def _white_out(path: str) -> None:
    os.mknod(path, stat.S_IFCHR, 0)


def _made(path: str, meta: bytes) -> Callable[[], str]:
    """A function that makes the directory at its first call, and gives its path."""
    return _once(lambda: path, meta)


def _made_in(parent: Callable[[], str], name: str, meta: bytes) -> Callable[[], str]:
    return _once(lambda: f"{parent()}/{name}", meta)


def _once(path: Callable[[], str], meta: bytes) -> Callable[[], str]:
    made: list[str] = []

    def place() -> str:
        if not made:
            where = path()
            os.mkdir(where)
            mode, uid, gid = objects.parse_dirmeta(meta)
            os.chown(where, uid, gid)
            os.chmod(where, mode)
            made.append(where)
        return made[0]

    return place
