# SPDX-License-Identifier: GPL-2.0-or-later
"""What a system does by itself: it looks for updates, stages them or boots them, as its policy says.

A run that fails changes nothing, and leaves its reason where `status` shows it. What was staged but may not be booted
yet is booted by a later run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from layering import boot_memory, last_look, updates, windows
from layering.bases import BaseCommit
from layering.decision import Context, Operation
from layering.last_look import LastLook
from layering.origin import Origin
from layering.outcome import Outcome
from layering.settings import Policy
from layering.system import System
from layering.transaction import run
from layering.windows import Window
from rpmtree import command
from rpmtree.errors import BusyError, NothingToDo, ToolError
from rpmtree.progress import Reporter

_SERVICE = "rpm-ostreed-automatic.service"
_WAKE = "rpm-ostreed-automatic-window"
_SPREAD = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to. `outcome` None: nothing was looked for, or what was found is passed over."""

    outcome: Outcome | None = None
    #: Why nothing was done.
    message: str | None = None
    #: What went wrong.
    error: ToolError | None = None
    #: A deployment that the policy staged, now or earlier, waits for a boot.
    waits: bool = False


def reboot_time(allowed: Sequence[Window], now: datetime) -> datetime:
    """When a machine may reboot: now, or at the beginning of the next window."""
    return now if not allowed or windows.closes(allowed, now) else windows.opens(allowed, now)


def follow_policy(
    system: System, operation: Operation, policy: Policy, *, wait: float | None, reporter: Reporter, when: int
) -> Result:
    """Look for an update (`operation`), and stage it where the policy says so; not to reboot. `when`: now.

    What was found, or why it failed, is noted durably. Raises BusyError, and StoreError where it can't be noted.
    """
    last = last_look.read(system.var)
    staged = last.staged if last else None
    update: Mapping[str, Any] | None = None
    message, outcome, failed = None, None, None
    try:
        refused = boot_memory.read(system.var).refused_identities
        outcome = run(system, _automatic(operation, policy, refused), wait, reporter)
        if outcome.deployment is None:
            update = updates.describe(system, system.merge().deployment, outcome)
        else:  # there it is to be seen
            staged = outcome.deployment.checksum
    except BusyError:
        raise  # that says nothing of updates
    except NothingToDo as error:
        message = error.message
    except ToolError as error:
        failed, message, update = error, f"failed: {error.message}", last.update if last else None
    last_look.write(system.var, LastLook(when, update, policy.value, message, staged))
    first = system.merge().deployment
    return Result(outcome, message, failed, waits=first.staged and first.checksum == staged)


def _automatic(operation: Operation, policy: Policy, refused: frozenset[str]) -> Operation:
    """The operation as nobody has asked for it: an admin's decisions come first."""

    def locate(context: Context) -> tuple[Origin, Iterable[BaseCommit]]:
        if context.before.deployment.held_back:
            raise NothingToDo("what is staged is held back: an admin decides what becomes of it")
        return operation.locate(context)

    options = replace(operation.options, dry_run=policy is Policy.CHECK)
    return replace(operation, locate=locate, options=options, refused=refused)


def reboot(allowed: Sequence[Window], now: datetime, reporter: Reporter) -> str:
    """Reboot if that may be now, else have it done in the next of the windows; gives `now`, `refused`, or that time.

    It is refused, with a warning, while somebody holds a block inhibitor: then it is left to the next run.
    """
    when = reboot_time(allowed, now)
    if when != now:
        _wake(when, allowed, reporter)
        return when.isoformat(sep=" ")
    # Not to be left to systemctl: for root without a terminal, systemd before 257 does not ask.
    done = command.run(["systemctl", "reboot", "--check-inhibitors=yes"], check=False)
    if done.status == 0:
        return "now"
    reporter.warning(f"the update is staged, but the machine can't be rebooted: {command.tail(done.stderr).strip()}")
    return "refused"


def _wake(when: datetime, allowed: Sequence[Window], reporter: Reporter) -> None:
    """Have the service start in a window: the timer itself may never meet one."""
    closes = windows.closes(allowed, when)
    assert closes is not None
    spread = min(_SPREAD, (closes - when) / 4)  # not all machines at once
    timer = [f"--on-calendar={when:%Y-%m-%d %H:%M:%S}", "--timer-property=AccuracySec=1s"]
    timer.append(f"--timer-property=RandomizedDelaySec={int(spread.total_seconds())}s")
    command.run(["systemctl", "stop", f"{_WAKE}.timer"], check=False)  # of an earlier run
    argv = ["systemd-run", "--quiet", "--collect", f"--unit={_WAKE}", *timer]
    try:
        command.run([*argv, "systemctl", "start", "--no-block", _SERVICE])
    except ToolError as error:
        reporter.warning(f"nothing will start in the maintenance window: {error.message}")
