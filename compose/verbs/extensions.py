# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose extensions`."""

from __future__ import annotations

import argparse
from pathlib import Path

from compose.verbs.common import (
    Verbs,
    absolute,
    add_layer_repo,
    add_repo,
    add_source_options,
    add_touch,
    add_treefile,
    load_treefile,
    show,
    tree_options,
)
from rpmtree.app import App
from rpmtree.rpm.nevra import host_basearch


def add(verbs: Verbs) -> None:
    """Add the parser of `compose extensions`."""
    extensions = verbs.add_parser(
        "extensions",
        help="download packages that machines may add to a base",
        description="Download the packages that EXTYAML names, and what they need beside a base, to a directory.",
    )
    extensions.set_defaults(action=_extensions)
    add_treefile(extensions)
    extensions.add_argument("extensions", metavar="EXTYAML", type=Path)
    extensions.add_argument(
        *("--output-dir",), type=absolute, metavar="DIR", required=True, help="where the packages go"
    )
    add_repo(extensions, "repository that has the base")
    base = extensions.add_mutually_exclusive_group()
    base.add_argument("--base-rev", metavar="REV", help="the base is this commit; else that of the treefile's branch")
    base.add_argument("--rootfs", type=absolute, metavar="DIR", help="the base is the root in that directory")
    add_touch(extensions)
    solving = extensions.add_argument_group("solving")
    add_source_options(solving)
    # rpm-ostree takes it; a base is composed, with its layers.
    add_layer_repo(solving, argparse.SUPPRESS)


def _extensions(args: argparse.Namespace, app: App) -> None:
    if loaded := load_treefile(args, app):
        from compose.extend import Wish, extend

        wish = Wish(args.extensions, args.output_dir, args.base_rev, args.rootfs)
        show(extend(tree_options(args, app), loaded, wish, host_basearch(), app.reporter), app)
