# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a new deployment boots, and what becomes of it if it does not. Pure; who boots and writes is elsewhere.

What is new stays behind what runs, and the boot loader is told at shutdown to boot it once. Whatever goes wrong then,
the next boot is the old system again, which finds that a try was made, and counts it.

    shutdown      what is new goes second, and is armed: the next boot, and that one alone, is a try of it
    start         the old system runs and a try was made: it failed
    health check  passed: what runs goes first and is proven; failed in a try: reboot, into the old system
    shutdown      tries are left, and the old system is well: armed again
    no try left   it is refused: automatic updates leave it alone

A commit is what is counted, not a deployment: to deploy it again gives it no new tries, but for an admin's word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Trial:
    """A commit that has to show that it boots.

    `commit` is in hexadecimal; `identity` is what it is by what it is made of (`layering.state.identity`).
    """

    commit: str
    identity: str
    version: str | None = None
    #: Tries that failed.
    failed: int = 0
    #: The next boot, or the one that runs, is a try.
    armed: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of all boots; it lies in /var, so that every deployment of a stateroot knows the same."""

    #: Commits that passed a health check.
    proven: frozenset[str] = frozenset()
    trial: Trial | None = None
    #: What failed as often as it may.
    refused: tuple[Trial, ...] = ()
    #: The boot (its id) whose health check passed last.
    well: str | None = None

    @property
    def refused_identities(self) -> frozenset[str]:
        """What automatic updates are not to deploy."""
        return frozenset(trial.identity for trial in self.refused)


class Verdict(Enum):
    """What a failed health check leads to."""

    #: Reboot: it is a try, and the boot loader knows the way back.
    REBOOT = "reboot"
    #: What ran before goes first again, then reboot: what runs was never tried, as after a loss of power.
    RETREAT = "retreat"
    #: There is nothing better: stay up, so that somebody can look.
    STAY = "stay"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment as far as it matters here, in the boot menu's order."""

    commit: str
    identity: str
    version: str | None = None
    booted: bool = False


def started(memory: Memory, booted: str, limit: int) -> Memory:
    """What is known once the system at commit `booted` runs: a try that leads elsewhere has failed."""
    trial = memory.trial
    if trial is None or not trial.armed or trial.commit == booted:
        return memory
    return _counted(memory, trial, limit)


def passed(memory: Memory, booted: str, boot: str) -> Memory:
    """What is known once the health check of the boot `boot` has passed; what runs is to go first."""
    trial = memory.trial if memory.trial is None or memory.trial.commit != booted else None
    refused = tuple(found for found in memory.refused if found.commit != booted)
    return Memory(memory.proven | {booted}, trial, refused, boot)


def failed(memory: Memory, deployments: Sequence[Candidate], limit: int) -> tuple[Verdict, Memory]:
    """What a failed health check, or a boot that takes too long, leads to. The first of `deployments` boots next."""
    booted = next((found for found in deployments if found.booted), None)
    trial = memory.trial
    if booted is None:
        return Verdict.STAY, memory
    if trial is not None and trial.armed and trial.commit == booted.commit:
        return Verdict.REBOOT, memory  # the old system counts it
    others = (found for found in deployments if not found.booted and found.commit in memory.proven)
    if booted.commit in memory.proven or next(others, None) is None:
        return Verdict.STAY, memory
    known = trial if trial is not None and trial.commit == booted.commit else _trial(booted)
    return Verdict.RETREAT, _counted(memory, known, limit)


def stopping(memory: Memory, deployments: Sequence[Candidate], boot: str, limit: int) -> Memory:
    """What is known at shutdown of the boot `boot`: the trial is armed if the next boot is to be a try.

    `deployments`: in the boot menu's order, what was staged being in it.
    """
    booted = next((found for found in deployments if found.booted), None)
    first = deployments[0] if deployments else None
    if limit == 0 or booted is None or first is None:
        return replace(memory, trial=None)
    trial = memory.trial
    if first is not booted:
        if first.commit in memory.proven and trial is not None and trial.armed and trial.commit == booted.commit:
            return memory  # it goes down before its health check: the old system counts that
        if first.commit in memory.proven:
            return replace(memory, trial=None)  # an admin's rollback, to what is known to boot
        known = trial if trial is not None and trial.commit == first.commit else _trial(first)
        return replace(memory, trial=replace(known, armed=True))
    there = {found.commit for found in deployments if not found.booted}
    if trial is None or trial.commit not in there:
        return replace(memory, trial=None)
    # A machine that is not well itself does not try again by itself.
    return replace(memory, trial=replace(trial, armed=trial.failed < limit and memory.well == boot))


def forgiven(memory: Memory, commit: str) -> Memory:
    """What is known once an admin has said that `commit` is to boot next: its tries begin anew."""
    trial = memory.trial if memory.trial is None or memory.trial.commit != commit else None
    return replace(memory, trial=trial, refused=tuple(found for found in memory.refused if found.commit != commit))


def describe(memory: Memory, commit: str, limit: int) -> str | None:
    """What `status` says of a deployed commit: `trying 2 of 3`; None where there is nothing to say."""
    trial = memory.trial
    if any(refusal.commit == commit for refusal in memory.refused):
        return f"refused: did not boot in {limit} tries" if limit != 1 else "refused: did not boot"
    if trial is None or trial.commit != commit:
        return None
    number = f"{trial.failed + 1} of {limit}"
    return f"trying {number}" if trial.armed else f"failed {trial.failed} of {limit}"


def _trial(found: Candidate) -> Trial:
    return Trial(found.commit, found.identity, found.version)


def _counted(memory: Memory, trial: Trial, limit: int) -> Memory:
    counted = replace(trial, failed=trial.failed + 1, armed=False)
    if counted.failed < limit:
        return replace(memory, trial=counted)
    refused = (*(found for found in memory.refused if found.commit != trial.commit), counted)
    return replace(memory, trial=None, refused=refused)
