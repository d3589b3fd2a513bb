# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose tree`."""

from __future__ import annotations

import argparse

from compose.verbs.common import (
    Verbs,
    add_commit_options,
    add_install_options,
    add_lockfile_options,
    add_repo,
    add_treefile,
    check_install_options,
    load_treefile,
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
    add_treefile(tree)
    add_repo(tree, "repository to commit to")
    add_install_options(tree.add_argument_group("installing"))
    add_commit_options(tree.add_argument_group("committing"))
    add_lockfile_options(tree.add_argument_group("lockfiles"))


def _tree(args: argparse.Namespace, app: App) -> None:
    loaded = load_treefile(args, app)
    if loaded is None:
        return
    check_install_options(args, app)
    from compose.tree import compose_tree

    show(compose_tree(tree_options(args, app), loaded, host_basearch(), app.reporter), app)
