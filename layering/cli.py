# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `layer`: the verbs are in `layering.verbs`, a module a group."""

from __future__ import annotations

from typing import NoReturn

from layering.verbs import GROUPS
from layering.verbs.common import VerbParser
from rpmtree.app import Parser, run


def main() -> NoReturn:
    """Run the command and end the process."""
    run("layer", build_parser)


def build_parser() -> Parser:
    """The parser of all verbs."""
    parser = VerbParser("layer", description="Look after a system that is deployed with OSTree, and layer RPMs on it.")
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    for add in GROUPS:
        add(verbs)
    return parser
