# SPDX-License-Identifier: GPL-2.0-or-later
"""The verb `status`."""

from __future__ import annotations

import argparse
import shutil

from layering.verbs.common import Verbs, add_verb, answered
from rpmtree.app import App
from rpmtree.errors import NothingToDo


def add(verbs: Verbs) -> None:
    """Add the parser."""
    parser = add_verb(verbs, "status", _status, "show what is deployed, and what is changed on it", changes=False)
    parser.add_argument("-b", "--booted", action="store_true", help="only the deployment that runs")
    parser.add_argument(
        "-J", "--jsonpath", metavar="EXPRESSION", help="the parts of the JSON at EXPRESSION: $.deployments[0].version"
    )
    parser.add_argument(
        "--pending-exit-77", action="store_true", help="status 77 if another deployment than the running one boots next"
    )
    parser.add_argument("-a", "--advisories", action="store_true", help="each advisory of the update that was found")


def _status(args: argparse.Namespace, app: App) -> None:
    from layering.gather import gather
    from layering.jsonpath import query
    from layering.status import to_json
    from layering.status_text import to_text
    from layering.system import choose_stateroot, open_sysroot

    sysroot = open_sysroot(args)
    if args.stateroot is not None:
        choose_stateroot(args.stateroot, None, sysroot.stateroots(), sysroot.path)
    status = gather(sysroot, args.stateroot)
    if args.jsonpath is not None or app.json:
        document = to_json(status.booted_only if args.booted else status)
        app.print_json(document if args.jsonpath is None else query(document, args.jsonpath))
    else:
        columns = shutil.get_terminal_size().columns
        text = to_text(status, verbose=args.verbose, booted=args.booted, advisories=args.advisories, columns=columns)
        app.print(text.rstrip("\n"))
    first = next(iter(status.deployments), None)
    if args.pending_exit_77 and first is not None and not first.booted and any(d.booted for d in status.deployments):
        raise answered(NothingToDo(f"{first.id} boots next"))
