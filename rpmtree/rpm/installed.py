# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of an rpm database as installed ones in libsolv."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hawkey

from rpmtree.errors import StoreError
from rpmtree.rpm import headeronly
from rpmtree.rpm.database import DATABASE_FILE

_configured: list[bool] = []


def load_installed(sack: Any, directory: Path) -> None:
    """Load the database in `directory`, which must be the root directory of `sack`. Raises StoreError."""
    expected, header = _look(directory / DATABASE_FILE)
    _configure(header)
    with _dbpath("/"):
        try:
            sack.load_system_repo()
        except hawkey.Exception as error:
            raise StoreError(f"the rpm database in {directory} can't be read: {error}") from error
    found = len(hawkey.Query(sack).installed())
    if found != expected:
        raise StoreError(f"of {expected} packages in the rpm database in {directory}, {found} can be read")


def _configure(header: bytes | None) -> None:
    """Have librpm's configuration read, which happens with the first package or database, and puts macros back.

    A package, since of a database the place is looked up first: Debian's rpm runs a shell to know it.
    """
    if _configured:
        return
    with tempfile.TemporaryDirectory(prefix="no-root-") as root:
        sack = hawkey.Sack(cachedir=root, arch="noarch", rootdir=root, logfile=f"{root}/log")
        if header is None:
            sack.load_system_repo()
        else:
            headeronly.write(header, Path(root, "any.rpm"))
            sack.add_cmdline_package(f"{root}/any.rpm")
    _configured.append(True)


@contextmanager
def _dbpath(path: str) -> Iterator[None]:
    import rpm

    # Debian's default is below the home directory.
    rpm.addMacro("_dbpath", path)
    try:
        yield
    finally:
        rpm.delMacro("_dbpath")


def _look(path: Path) -> tuple[int, bytes | None]:
    """How many packages a database has, without what rpm writes of keys; and its smallest header."""
    if not path.is_file():
        raise StoreError(f"{path.parent} has no rpm database in sqlite form")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            query = "SELECT count(DISTINCT hnum) FROM Name WHERE CAST(key AS TEXT) != 'gpg-pubkey'"
            count = int(connection.execute(query).fetchone()[0])
            smallest = connection.execute("SELECT blob FROM Packages ORDER BY length(blob) LIMIT 1").fetchone()
            return count, smallest[0] if smallest else None
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"the rpm database {path} is damaged: {error}") from error
