# SPDX-License-Identifier: GPL-2.0-or-later
"""The rpm database's home: /usr/share/rpm, found by every rpm in the image, and without lock files."""

from __future__ import annotations

import os

from rpmtree.errors import StoreError
from rpmtree.files import Root
from rpmtree.finish.tree import is_file, is_real_dir, move, put_link
from rpmtree.progress import Reporter
from rpmtree.root.rpmdb import HOME, SYSIMAGE, ensure_macro_file
from rpmtree.root.spec import FinishSpec

_STRAYS = (".dbenv.lock", ".rpm.lock", "rpmdb.sqlite-shm", "rpmdb.sqlite-wal")
_STRAY_PREFIX = "__db."
#: Offset of the "write version" in an SQLite header, and its value for a write-ahead log (SQLite file format 1.3.4).
_WRITE_VERSION_AT = 18
_WAL = 2


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Put links, macro file and database in order. Raises StoreError on a database that was left open."""
    root.makedirs(HOME)
    if is_real_dir(root, SYSIMAGE):
        move(root, SYSIMAGE, HOME)
    remove_strays(root)
    put_link(root, "../../share/rpm", SYSIMAGE)
    ensure_macro_file(root)


def remove_strays(root: Root) -> None:
    """Remove what an rpm leaves beside its database. Raises StoreError if that would lose packages."""
    if _needs_its_log(root):
        raise StoreError("the rpm database was not closed: its write-ahead log still holds changes")
    for name in root.listdir(HOME):
        if name in _STRAYS or name.startswith(_STRAY_PREFIX):
            root.remove(f"{HOME}/{name}")


def _needs_its_log(root: Root) -> bool:
    log, database = f"{HOME}/rpmdb.sqlite-wal", f"{HOME}/rpmdb.sqlite"
    if not is_file(root, log) or root.lstat(log).st_size == 0 or not is_file(root, database):
        return False
    with os.fdopen(root.open(database), "rb") as file:
        header = file.read(_WRITE_VERSION_AT + 1)
    return len(header) > _WRITE_VERSION_AT and header[_WRITE_VERSION_AT] == _WAL
