# SPDX-License-Identifier: GPL-2.0-or-later
"""`layer boot-trial`: what systemd's units call, so that a system that does not boot gives way to the one before it."""

from __future__ import annotations

import argparse

from layering.verbs.common import Verbs, add_system
from rpmtree.app import App

_STEPS = {
    "start": "count a try that failed",
    "stop": "have what is new booted next, and that once",
    "check": "run the health checks, and keep what runs or go back",
    "overdue": "go back, where what runs is a try that takes too long",
}


def add(verbs: Verbs) -> None:
    """Add the parser. It is not in the help: units call it, and nobody has to."""
    parser = verbs.add_parser(
        "boot-trial",
        description="Try what is new, and go back where it does not boot. Units of the system call this.",
        epilog="; ".join(f"{name}: {text}" for name, text in _STEPS.items()),
    )
    parser.set_defaults(action=_boot_trial, title="layer boot-trial")
    add_system(parser)
    parser.add_argument("step", choices=tuple(_STEPS))


def _boot_trial(args: argparse.Namespace, app: App) -> None:
    from pathlib import Path

    from layering import boots
    from layering.health import run_checks
    from layering.system import open_system

    system = open_system(args)
    back = False
    match args.step:
        case "start":
            boots.start(system, app.reporter)
        case "stop":
            boots.stop(system, app.reporter)
        case "check":
            failures = run_checks(Path("/"), app.reporter)
            for failure in failures:
                app.reporter.warning(f"{failure.check}: {failure.reason}")
            if failures:
                back = boots.unwell(system, app.reporter)
            else:
                boots.well(system, app.reporter)
        case _:
            back = boots.overdue(system, app.reporter)
    if back:
        from rpmtree import command

        # Units that hang would hang again when they are to stop.
        force = ("--force",) if args.step == "overdue" else ()
        command.run(["systemctl", *force, "reboot"])
