# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that order, keep and drop deployments: rollback."""

from __future__ import annotations

import argparse

from layering.verbs.common import Verbs, add_reboot, add_verb, reboot
from rpmtree.app import App


def add(verbs: Verbs) -> None:
    """Add the parsers."""
    add_reboot(add_verb(verbs, "rollback", _rollback, "boot the other deployment next; done twice, it is undone"))


def _rollback(args: argparse.Namespace, app: App) -> None:
    from layering.system import open_system

    system = open_system(args)
    with system.locked(args.title, args.wait):
        first, *_ = system.sysroot.rollback()
    if app.json:
        app.print_json({"next": first.id, "checksum": first.checksum, "version": first.version})
    else:
        app.print(f"next to be booted: {first.id}{f' ({first.version})' if first.version else ''}")
    reboot(args)
