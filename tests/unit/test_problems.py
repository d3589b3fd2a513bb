# SPDX-License-Identifier: GPL-2.0-or-later
"""Each blocker is one line that names what is concerned and what would unblock it."""

from __future__ import annotations

import pytest

from rpmtree.rpm.problems import explain, kept_out, missing

CASES = {
    "nothing provides": (
        ["conflicting requests", "nothing provides b >= 3 needed by a-1-1.noarch"], ["b >= 3", "a-1-1.noarch"]),
    "conflict": (
        ["package a-1-1.x conflicts with c provided by b-1-1.x", "conflicting requests"], ["a-1-1.x", "b-1-1.x"]),
    "excluded": (["package a-1-1.x is filtered out by exclude filtering"], ["a-1-1.x", "the moon"]),
    "two versions": (["cannot install both a-1-1.x and a-2-1.x"], ["a-1-1.x", "a-2-1.x"]),
    "architecture": (["package a-1-1.s390 does not have a compatible architecture"], ["a-1-1.s390"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_problem_is_one_line_with_a_way_out(case: str) -> None:
    rules, named = CASES[case]
    line = explain(rules, lambda package: "the moon")
    assert "\n" not in line
    assert "conflicting requests" not in line
    problem, arrow, advice = line.partition(" → ")
    assert arrow
    assert advice
    assert all(name in problem for name in named)


def test_a_problem_without_a_reason_is_still_one() -> None:
    assert explain(["conflicting requests"], lambda package: "") == "conflicting requests"


def test_missing_packages_are_named_together() -> None:
    line = missing(["vim", "pyton3"], ["python3", "vi"], ["base", "extra"])
    assert all(word in line for word in ("vim", "pyton3", "python3", "base", "extra"))


def test_a_request_against_an_exclusion_names_both() -> None:
    assert all(word in kept_out("vim", "exclude-packages") for word in ("vim", "exclude-packages"))
