# SPDX-License-Identifier: GPL-2.0-or-later
"""Each blocker is one line that names what is concerned and what would unblock it."""

from __future__ import annotations

import re

import pytest

from rpmtree.rpm.problems import already_there, explain, kept_out, missing, not_in_base, nothing_to_replace

CASES = {
    "nothing provides": (
        ["conflicting requests", "nothing provides b >= 3 needed by a-1-1.noarch"], ["b >= 3", "a-1-1.noarch"]),
    "conflict": (
        ["package a-1-1.x conflicts with c provided by b-1-1.x", "conflicting requests"], ["a-1-1.x", "b-1-1.x"]),
    "excluded": (["package a-1-1.x is filtered out by exclude filtering"], ["a-1-1.x", "the moon"]),
    "two versions": (["cannot install both a-1-1.x and a-2-1.x"], ["a-1-1.x", "a-2-1.x"]),
    "architecture": (["package a-1-1.s390 does not have a compatible architecture"], ["a-1-1.s390"]),
}  # fmt: skip


#: The base has a and b.
BASE = {"a-1-1.x": "a", "b-1-1.x": "b"}


def as_told(rules: list[str], *, with_repositories: bool) -> list[str]:
    """The rules as libdnf 0.69 tells them, or 0.74."""

    def from_one(package: re.Match[str]) -> str:
        return f"{package[0]} from {'@System' if package[0] in BASE else 'main'}"

    if not with_repositories:
        return rules
    return [
        rule if rule.startswith("problem with") else re.sub(r"[a-z]-\d-\d\.\w+(?! from)", from_one, rule)
        for rule in rules
    ]


@pytest.mark.parametrize("with_repositories", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_problem_is_one_line_with_a_way_out(case: str, with_repositories: bool) -> None:
    rules, named = CASES[case]
    line = explain(as_told(rules, with_repositories=with_repositories), lambda package: "the moon")
    assert "\n" not in line
    assert "conflicting requests" not in line
    problem, arrow, advice = line.partition(" → ")
    assert arrow
    assert advice
    assert all(name in problem for name in named)


#: Rules → names in the problem, names in the advice.
BASE_CASES = {
    "locked": (
        ["package p-2-1.x requires a = 2, but none of the providers can be installed", "conflicting requests",
         "package a-2-1.x is filtered out by exclude filtering",
         "package a-2-1.y is filtered out by exclude filtering"],
        ["p-2-1.x", "requires a = 2", "a-2-1.x and a-2-1.y", "the moon"], ["fly there"]),
    "needed by the base": (
        ["a-1-1.y has inferior architecture",
         "package b-1-1.x requires a, but none of the providers can be installed",
         "problem with installed package b-1-1.x",
         "package a-2-1.x is filtered out by exclude filtering"],
        ["b-1-1.x of the base requires a"], ["override remove b"]),
    "conflict with the base": (
        ["package e-1-1.x conflicts with a provided by a-1-1.x", "problem with installed package a-1-1.x"],
        ["e-1-1.x", "a-1-1.x of the base"], ["override remove a", "e-1-1.x"]),
    "the base conflicts": (
        ["package a-1-1.x conflicts with e provided by e-1-1.x"], ["a-1-1.x of the base", "e-1-1.x"],
        ["override remove a", "e-1-1.x"]),
    "obsoletes": (
        ["package n-1-1.x obsoletes a < 9 provided by a-1-1.x"], ["n-1-1.x", "a-1-1.x of the base"],
        ["override remove a"]),
    "two builds": (
        ["cannot install both a-1-1.x from @System and a-2-1.x from @commandline"], ["a-1-1.x of the base"],
        ["override remove a"]),
}  # fmt: skip


@pytest.mark.parametrize("with_repositories", [False, True])
@pytest.mark.parametrize("case", BASE_CASES)
def test_a_problem_is_in_terms_of_the_base(case: str, with_repositories: bool) -> None:
    rules, said, advised = BASE_CASES[case]
    rules = as_told(rules, with_repositories=with_repositories)
    line = explain(rules, lambda package: "the moon", unblock=lambda package: "fly there", base=BASE.get)
    assert " @" not in line
    assert not any(word in line for word in ("filtering", "inferior", "problem with", "conflicting requests"))
    problem, _, advice = line.partition(" → ")
    assert all(word in problem for word in said), line
    assert all(word in advice for word in advised), line


def test_a_package_that_two_repositories_have_is_named_once() -> None:
    rules = [f"package a-1-1.x from {repo} is filtered out by exclude filtering" for repo in ("main", "other")]
    assert explain(rules, lambda package: "the moon") == "a-1-1.x is kept out by the moon → let a-1-1.x in"


def test_overrides_without_effect_are_named() -> None:
    for line in (not_in_base("vim", "removed"), nothing_to_replace("vim-1-1.x", "updates"), already_there("vim-1-1.x")):
        assert "vim" in line
        assert " → " in line


def test_a_problem_without_a_reason_is_still_one() -> None:
    assert explain(["conflicting requests"], lambda package: "") == "conflicting requests"


def test_missing_packages_are_named_together() -> None:
    line = missing(["vim", "pyton3"], ["python3", "vi"], ["base", "extra"])
    assert all(word in line for word in ("vim", "pyton3", "python3", "base", "extra"))
    assert missing(["vim"], [], []).startswith("no package matches vim, since no repository is enabled →")


def test_a_request_against_an_exclusion_names_both() -> None:
    assert all(word in kept_out("vim", "exclude-packages") for word in ("vim", "exclude-packages"))
