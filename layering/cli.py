# SPDX-License-Identifier: GPL-2.0-or-later
"""The `layer` command. So far it answers --version and --help; the verbs are still to be written."""

from __future__ import annotations

import argparse
from typing import NoReturn

from rpmtree.app import App, Parser, run
from rpmtree.errors import UsageError


def main() -> NoReturn:
    """Run `layer` with the process's arguments."""
    run("layer", build_parser)


def build_parser() -> Parser:
    """The command line of `layer`."""
    parser = Parser("layer", description="Layer packages on a deployed OSTree system (not there yet).")
    parser.add_argument("verb", nargs=argparse.REMAINDER, help="what will be: install, uninstall, upgrade, rebase …")
    parser.set_defaults(action=refuse)
    return parser


def refuse(args: argparse.Namespace, app: App) -> None:
    """Say what is not there yet. Raises UsageError always."""
    asked = f"{app.program} {args.verb[0]}" if args.verb else app.program
    raise UsageError(f"{asked} is not there yet", hint="of this project, only `compose` works so far")
