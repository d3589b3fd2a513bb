# SPDX-License-Identifier: GPL-2.0-or-later
"""A second name for the rpm database, which keeps telling what the base held after packages are layered."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tree import is_file, is_real_dir
from rpmtree.progress import Reporter
from rpmtree.root.rpmdb import HOME
from rpmtree.root.spec import FinishSpec

BASE_DB = "usr/lib/sysimage/rpm-ostree-base-db"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Link the database's files under BASE_DB, in the place of an older copy."""
    names = [name for name in root.listdir(HOME) if is_file(root, f"{HOME}/{name}")]
    if is_real_dir(root, BASE_DB) and root.listdir(BASE_DB) == names and all(_linked(root, name) for name in names):
        return
    root.remove(BASE_DB)
    root.makedirs(BASE_DB)
    for name in names:
        root.link(f"{HOME}/{name}", f"{BASE_DB}/{name}")


def _linked(root: Root, name: str) -> bool:
    """Whether the two names are those of one file."""
    return root.lstat(f"{HOME}/{name}").st_ino == root.lstat(f"{BASE_DB}/{name}").st_ino
