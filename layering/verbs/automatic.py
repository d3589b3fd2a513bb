# SPDX-License-Identifier: GPL-2.0-or-later
"""`upgrade --trigger-automatic-update-policy`: what the timer starts."""

from __future__ import annotations

import argparse
from datetime import datetime
from time import time
from typing import TYPE_CHECKING

from layering.verbs import changing
from rpmtree.app import App
from rpmtree.errors import UsageError

if TYPE_CHECKING:
    from layering.automatic import Result
    from layering.settings import Policy


def trigger(args: argparse.Namespace, app: App, locate: changing.Locate) -> None:
    """Do what the system's policy says. Raises UsageError where more is asked for."""
    from layering import automatic
    from layering.decision import Operation, Options
    from layering.settings import Policy, read_settings
    from layering.system import open_system, require_root

    asked = changing.requests_of(args)
    more = args.check, args.preview, args.best_base, args.allow_downgrade, args.reboot
    if asked != changing.Requests() or changing.options_of(args) != Options() or any(more):
        raise UsageError("--trigger-automatic-update-policy: the policy says what is done, other options don't")
    require_root(args.title)
    system = open_system(args)
    if not system.running:
        raise UsageError("the policy for automatic updates is for the system that runs")
    machine = system.etc()
    settings = read_settings(None if machine is None else machine.path)
    if settings.policy is Policy.NONE:
        app.reporter.note("Automatic updates are off: AutomaticUpdatePolicy=none in /etc/rpm-ostreed.conf.")
        _answer(app, settings.policy, automatic.Result())
        return
    title = f"{args.title} --trigger-automatic-update-policy"
    operation = Operation(title, locate, lambda _context, origin, _base: origin, Options(keep=False))
    result = automatic.follow_policy(
        system, operation, settings.policy, wait=args.wait, reporter=app.reporter, when=int(time())
    )
    _tell(app, args, result)
    when = None
    if settings.policy is Policy.APPLY and result.waits:
        when = automatic.reboot(settings.windows, datetime.now(), app.reporter)
        app.reporter.note("Rebooting into it." if when == "now" else f"Reboot: {when}.")
    if result.error is not None:
        raise result.error
    _answer(app, settings.policy, result, when)


def _tell(app: App, args: argparse.Namespace, result: Result) -> None:
    if result.message is not None and result.error is None:
        app.reporter.note(result.message)
    if result.outcome is None:
        return
    if not app.json:
        for line in result.outcome.lines:
            app.print(line)
    if result.outcome.unchanged:
        app.reporter.note(args.nothing)
    elif result.outcome.deployment is not None:
        app.reporter.note(result.outcome.next_step)


def _answer(app: App, policy: Policy, result: Result, reboot: str | None = None) -> None:
    if app.json:
        outcome = None if result.outcome is None else result.outcome.as_json()
        app.print_json({"policy": policy.value, "message": result.message, "outcome": outcome, "reboot": reboot})
