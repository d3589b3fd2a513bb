# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose tree`."""

from __future__ import annotations

import argparse
from pathlib import Path

from compose.verbs.common import (
    Verbs,
    absolute,
    add_commit_options,
    add_install_options,
    add_lockfile_options,
    show,
    tree_options,
)
from rpmtree.app import App
from rpmtree.rpm.nevra import host_basearch


def add(verbs: Verbs) -> None:
    """Add the parser of `compose tree`."""
    tree = verbs.add_parser(
        "tree",
        help="compose a treefile and commit it",
        description="Install the treefile's packages into a tree and commit that to a repository.",
        epilog="Exit status: 0 done, or no change; 3 treefile wrong; 4 no solution; 5 fetching; 6 a package's script; "
        "7 a program; 8 repository; 9 file conflict; 75 locked; 1 other.",
    )
    tree.set_defaults(action=_tree)
    tree.add_argument("treefile", metavar="TREEFILE", type=Path)
    tree.add_argument("-r", "--repo", type=absolute, help="repository to commit to")
    tree.add_argument(
        *("--allow-outside",), type=Path, action="append", default=[], metavar="DIR",
        help="the treefile may name files below DIR, too, and not only of its git checkout, else of its directory",
    )  # fmt: skip
    add_install_options(tree.add_argument_group("installing"))
    add_commit_options(tree.add_argument_group("committing"))
    add_lockfile_options(tree.add_argument_group("lockfiles"))


def _tree(args: argparse.Namespace, app: App) -> None:
    from compose.load import home_of, load

    basearch = host_basearch()
    loaded = load(args.treefile, basearch=basearch, within=[home_of(args.treefile), *args.allow_outside])
    for notice in loaded.warnings:
        app.reporter.warning(str(notice))
    if args.print_only:
        app.print(loaded.to_text().rstrip("\n"))
        return
    from compose.tree import compose_tree

    show(compose_tree(tree_options(args, app), loaded, basearch, app.reporter), app)
