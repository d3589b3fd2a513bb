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
from rpmtree.rpm.database import DATABASE_FILE

_configured: list[bool] = []


def load_installed(sack: Any, directory: Path) -> None:
    """Load the database in `directory`, which must be the root directory of `sack`. Raises StoreError."""
    expected = _count(directory / DATABASE_FILE)
    _configure()
    with _dbpath("/"):
        try:
            sack.load_system_repo()
        except hawkey.Exception as error:
            raise StoreError(f"the rpm database in {directory} can't be read: {error}") from error
    found = len(hawkey.Query(sack).installed())
    if found != expected:
        raise StoreError(f"of {expected} packages in the rpm database in {directory}, {found} can be read")


def _configure() -> None:
    """Have librpm's configuration read, which happens with the first database and puts macros back."""
    if not _configured:
        with tempfile.TemporaryDirectory(prefix="no-root-") as root:
            hawkey.Sack(cachedir=root, arch="noarch", rootdir=root, logfile=f"{root}/log").load_system_repo()
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


def _count(path: Path) -> int:
    """How many packages a database has, without what rpm writes of keys."""
    if not path.is_file():
        raise StoreError(f"{path.parent} has no rpm database in sqlite form")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            query = "SELECT count(DISTINCT hnum) FROM Name WHERE CAST(key AS TEXT) != 'gpg-pubkey'"
            return int(connection.execute(query).fetchone()[0])
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"the rpm database {path} is damaged: {error}") from error
