# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose schema`."""

from __future__ import annotations

import argparse
import json

from compose.verbs.common import Verbs
from rpmtree.app import App


def add(verbs: Verbs) -> None:
    """Add the parser of `compose schema`."""
    schema = verbs.add_parser(
        "schema",
        help="print the JSON Schema of treefiles, for editors",
        description="Print what a treefile may hold, as JSON Schema, or as the page of the documentation.",
    )
    schema.set_defaults(action=_schema)
    schema.add_argument("--markdown", action="store_true", help="print docs/treefile.md")


def _schema(args: argparse.Namespace, app: App) -> None:
    from compose import reference

    if args.markdown:
        app.print(reference.page().rstrip("\n"))
    else:
        app.print(json.dumps(reference.schema(), indent=2, ensure_ascii=False))
