# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose lock`."""

from __future__ import annotations

import argparse
from pathlib import Path

from compose.verbs.common import (
    Verbs,
    add_lockfile,
    add_source_options,
    add_treefile,
    load_treefile,
    show,
    tree_options,
)
from rpmtree.app import App
from rpmtree.rpm.nevra import host_basearch


def add(verbs: Verbs) -> None:
    """Add the parser of `compose lock`."""
    lock = verbs.add_parser(
        "lock",
        help="write a lockfile of what a treefile's packages are now",
        description="Solve the treefile's packages, and write which build of each was taken. Nothing is composed, and "
        "no repository is needed.",
    )
    lock.set_defaults(action=_lock)
    add_treefile(lock)
    lock.add_argument(
        *("-o", "--output"), dest="write_lockfile_to", type=Path, metavar="FILE", required=True, help="the lockfile"
    )
    group = lock.add_argument_group("solving")
    add_source_options(group)
    add_lockfile(group, text="versions to take, of packages that are to stay as they are")
    group.add_argument("--lockfile-strict", action="store_true", help="take nothing that is not in the lockfile")


def _lock(args: argparse.Namespace, app: App) -> None:
    if loaded := load_treefile(args, app):
        from compose.lock import lock

        show(lock(tree_options(args, app), loaded, host_basearch(), app.reporter), app)
