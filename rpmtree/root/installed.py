# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of a root that was not assembled here, from its rpm database."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import Root
from rpmtree.root.rpmdb import ROOT_HOMES
from rpmtree.rpm.database import DATABASE_FILE, read_records
from rpmtree.rpm.package import Package, installed_from_header
from rpmtree.rpm.signatures import read_header_blob


def copy_database(root: Root, directory: Path) -> Path:
    """Copy the rpm database of a root into `directory`; gives the copy. Raises StoreError where there is none."""
    for home in ROOT_HOMES:
        if root.exists(f"{home}/{DATABASE_FILE}"):
            with (
                os.fdopen(root.open(f"{home}/{DATABASE_FILE}"), "rb") as source,
                open(directory / DATABASE_FILE, "wb") as target,
            ):
                shutil.copyfileobj(source, target)
            return directory / DATABASE_FILE
    raise StoreError(
        f"{root.path} has no rpm database in sqlite form",
        hint=f"it is looked for in {', '.join(f'/{home}' for home in ROOT_HOMES)}",
    )


def read_packages(database: Path) -> tuple[Package, ...]:
    """The packages recorded in the file `database`, in the order of installation. Raises StoreError."""
    found = (record.header for record in read_records(database))
    return tuple(installed_from_header(read_header_blob(header), header) for header in found)
