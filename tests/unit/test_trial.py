# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a new deployment boots: each step alone, and machines that go through many of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layering.boot_memory import dump, parse
from layering.trial import (
    Candidate,
    Memory,
    Trial,
    Verdict,
    describe,
    failed,
    forgiven,
    passed,
    started,
    stopping,
)

OLD, NEW, NEWER = "1" * 64, "2" * 64, "3" * 64
BASE = "b" * 64
LIMIT = 3
RUNS = Candidate(OLD, OLD, "12.0", booted=True)
STAGED = Candidate(NEW, BASE, "12.1")
WELL = Memory(frozenset({OLD}), well="this")


def trial(failures: int = 0, *, armed: bool = False) -> Trial:
    return Trial(NEW, BASE, "12.1", failures, armed)


STOPS = {
    "what is staged is tried": (WELL, (STAGED, RUNS), trial(armed=True)),
    "nothing new": (WELL, (RUNS,), None),
    "again, after a failure": (replace(WELL, trial=trial(1)), (RUNS, STAGED), trial(1, armed=True)),
    "not again by a machine that is not well": (replace(WELL, trial=trial(1), well="that"), (RUNS, STAGED), trial(1)),
    "the same commit, staged again": (replace(WELL, trial=trial(2)), (STAGED, RUNS), trial(2, armed=True)),
    "another commit": (
        replace(WELL, trial=trial(2)),
        (Candidate(NEWER, NEWER), RUNS),
        Trial(NEWER, NEWER, armed=True),
    ),
    "gone meanwhile": (replace(WELL, trial=trial(1)), (RUNS,), None),
    "back to what is proven": (
        replace(WELL, proven=frozenset({OLD, NEW}), trial=trial(1)),
        (STAGED, RUNS),
        None,
    ),
    "a try that goes down before its check": (
        replace(WELL, trial=trial(1, armed=True)),
        (replace(RUNS, booted=False), replace(STAGED, booted=True)),
        trial(1, armed=True),
    ),
}


@pytest.mark.parametrize(("memory", "deployments", "expected"), STOPS.values(), ids=STOPS)
def test_stopping(memory: Memory, deployments: tuple[Candidate, ...], expected: Trial | None) -> None:
    assert stopping(memory, deployments, "this", LIMIT).trial == expected


def test_without_tries_nothing_is_armed() -> None:
    assert stopping(WELL, (STAGED, RUNS), "this", 0).trial is None


def test_a_try_that_leads_back_is_counted_and_the_last_one_refused() -> None:
    memory = WELL
    for count in range(1, LIMIT):
        memory = stopping(memory, (RUNS, STAGED) if count > 1 else (STAGED, RUNS), "this", LIMIT)
        memory = started(memory, OLD, LIMIT)
        assert memory.trial == trial(count)
        assert not memory.refused
    memory = started(stopping(memory, (RUNS, STAGED), "this", LIMIT), OLD, LIMIT)
    assert memory.trial is None
    assert memory.refused == (trial(LIMIT),)
    assert memory.refused_identities == {BASE}
    assert stopping(memory, (RUNS, STAGED), "this", LIMIT).trial is None


def test_a_boot_that_was_no_try_counts_nothing() -> None:
    assert started(replace(WELL, trial=trial(1)), OLD, LIMIT).trial == trial(1)
    assert started(replace(WELL, trial=trial(1, armed=True)), NEW, LIMIT).trial == trial(1, armed=True)


def test_what_passed_is_proven_and_no_trial_any_more() -> None:
    memory = passed(Memory(trial=trial(2, armed=True), refused=(trial(3),)), NEW, "this")
    assert memory == Memory(frozenset({NEW}), None, (), "this")
    assert passed(Memory(trial=trial(1)), OLD, "this").trial == trial(1)


FAILURES = {
    "a try": (
        replace(WELL, trial=trial(armed=True)),
        (replace(RUNS, booted=False), replace(STAGED, booted=True)),
        Verdict.REBOOT,
        trial(armed=True),
    ),
    "the old system": (WELL, (RUNS, STAGED), Verdict.STAY, None),
    "the only system": (Memory(), (RUNS,), Verdict.STAY, None),
    "new and never tried": (
        WELL,
        (replace(STAGED, booted=True), replace(RUNS, booted=False)),
        Verdict.RETREAT,
        trial(1),
    ),
    "both are unproven": (
        Memory(),
        (replace(STAGED, booted=True), replace(RUNS, booted=False)),
        Verdict.STAY,
        None,
    ),
    "nothing runs": (WELL, (STAGED,), Verdict.STAY, None),
}


@pytest.mark.parametrize(("memory", "deployments", "verdict", "expected"), FAILURES.values(), ids=FAILURES)
def test_failing(memory: Memory, deployments: tuple[Candidate, ...], verdict: Verdict, expected: Trial | None) -> None:
    found, after = failed(memory, deployments, LIMIT)
    assert (found, after.trial) == (verdict, expected)


def test_an_admin_gives_new_tries() -> None:
    known = Memory(frozenset({OLD}), trial(2), (trial(3),))
    assert forgiven(known, NEW) == Memory(frozenset({OLD}))
    assert forgiven(known, OLD) == known


def test_status_says_which_try_it_is() -> None:
    assert describe(replace(WELL, trial=trial(1, armed=True)), NEW, LIMIT) == "trying 2 of 3"
    assert describe(replace(WELL, trial=trial(1)), NEW, LIMIT) == "failed 1 of 3"
    assert describe(replace(WELL, refused=(trial(3),)), NEW, LIMIT) == "refused: did not boot in 3 tries"
    assert describe(WELL, OLD, LIMIT) is None


def test_memory_survives_its_file() -> None:
    known = Memory(frozenset({OLD, NEW}), trial(2, armed=True), (trial(3),), "this")
    assert parse(dump(known)) == known
    assert parse(dump(Memory())) == Memory()


class _Machine:
    """Two deployments, a boot loader that boots once, and power that may go at any time."""

    def __init__(self, limit: int, *, new_boots: bool, old_is_well: bool) -> None:
        self.limit, self.new_boots, self.old_is_well = limit, new_boots, old_is_well
        self.memory = passed(Memory(), OLD, "0")
        self.order = [OLD]
        self.once: str | None = None
        self.runs = OLD
        self.boots = 0
        self.tries = 0

    def candidates(self) -> list[Candidate]:
        return [Candidate(commit, commit, booted=commit == self.runs) for commit in self.order]

    def shut_down(self) -> None:
        self.memory = stopping(self.memory, self.candidates(), str(self.boots), self.limit)
        found = self.memory.trial
        if found is not None and found.armed and found.commit != self.runs:
            rest = [one for one in self.order if one not in (self.runs, found.commit)]
            self.order = [self.runs, found.commit, *rest]
            self.once = found.commit

    def boot(self) -> None:
        self.boots += 1
        self.runs, self.once = self.once or self.order[0], None
        if self.runs == NEW and not self.new_boots:
            self.tries += 1
            assert self.order[0] == OLD  # the way back
            self.boot()
            return
        self.memory = started(self.memory, self.runs, self.limit)
        if self.runs == NEW or self.old_is_well:
            self.memory = passed(self.memory, self.runs, str(self.boots))
            self.order = [self.runs, *(one for one in self.order if one != self.runs)]
        else:
            verdict, self.memory = failed(self.memory, self.candidates(), self.limit)
            assert verdict is Verdict.STAY


@given(st.integers(1, 5), st.booleans(), st.lists(st.sampled_from(["reboot", "cut"]), max_size=12))
def test_a_machine_ends_in_a_system_that_boots(limit: int, new_boots: bool, ends: list[str]) -> None:
    machine = _Machine(limit, new_boots=new_boots, old_is_well=True)
    machine.order = [NEW, OLD]
    machine.shut_down()
    machine.boot()
    for end in [*ends, *["reboot"] * limit]:
        if end == "reboot":
            machine.shut_down()
        machine.boot()
    assert machine.runs == (NEW if new_boots else OLD)
    assert machine.tries == (0 if new_boots else limit)
    assert (NEW in machine.memory.refused_identities) is not new_boots


@given(st.lists(st.sampled_from(["reboot", "cut"]), max_size=12))
def test_where_both_are_bad_there_is_one_fall_back(ends: list[str]) -> None:
    machine = _Machine(LIMIT, new_boots=False, old_is_well=False)
    machine.order = [NEW, OLD]
    machine.shut_down()
    for end in [*ends, "reboot"]:
        machine.boot()
        if end == "reboot":
            machine.shut_down()
    assert (machine.runs, machine.tries) == (OLD, 1)
