# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs about what is under way: finalize-deployment, cancel."""

from __future__ import annotations

import argparse

from layering.verbs.common import Verbs, add_verb
from rpmtree.app import App


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    parser = add_verb(verbs, "finalize-deployment", _finalize, "let a staged deployment that is held back boot, now")
    parser.add_argument("checksum", metavar="CHECKSUM", nargs="?", help="of the base that is staged")
    parser.add_argument("--allow-missing-checksum", action="store_true", help="whatever it is")
    parser.add_argument("--allow-unlocked", action="store_true", help="also if it is not held back")
    add_verb(verbs, "cancel", _cancel, "stop the command that is changing the system", changes=False)


def _finalize(args: argparse.Namespace, app: App) -> None:
    from layering.finalize import check_staged
    from layering.system import open_system
    from rpmtree import command

    system = open_system(args)
    with system.locked(args.title, args.wait):
        staged = check_staged(
            system,
            args.checksum,
            allow_missing_checksum=args.allow_missing_checksum,
            allow_unlocked=args.allow_unlocked,
        )
        system.sysroot.let_go(staged)
    if app.json:
        app.print_json({"id": staged.id, "checksum": staged.checksum})
    else:
        app.print(f"rebooting into {staged.id}")
    command.run(["systemctl", "reboot"])


def _cancel(args: argparse.Namespace, app: App) -> None:
    from layering.finalize import interrupt
    from layering.system import open_sysroot

    holder = interrupt(open_sysroot(args).path)
    if app.json:
        at_work = {"pid": holder.pid, "title": holder.command, "since": holder.since} if holder else None
        app.print_json({"cancelled": at_work})
    else:
        app.print(f"stopped: {holder}" if holder else "No active transaction.")
