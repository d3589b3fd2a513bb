# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `compose`: the verbs are in `compose.verbs`, a module a group."""

from __future__ import annotations

from typing import NoReturn

from compose.verbs import GROUPS
from rpmtree.app import Parser, run


def main() -> NoReturn:
    """Run the command and end the process."""
    run("compose", build_parser)


def build_parser() -> Parser:
    """The parser of all verbs."""
    parser = Parser("compose", description="Make OSTree commits out of RPMs, as a treefile says.")
    verbs = parser.add_subparsers(metavar="VERB", title="verbs")
    for add in GROUPS:
        add(verbs)
    return parser
