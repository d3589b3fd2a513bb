# SPDX-License-Identifier: GPL-2.0-or-later
"""Each thing that a solution must not do to a base is seen, and what was asked for is let through."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rpmtree.errors import SolveError
from rpmtree.rpm.invariants import check
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.request import FileRole, LocalFile, PackageRequest, Solution, SolvedPackage

BASE = [Nevra.parse(text) for text in ("a-1-1.noarch", "b-1-1.x86_64", "b-1-1.i686", "c-1-1.noarch")]


def file(nevra: str, role: FileRole) -> LocalFile:
    return LocalFile(Path("/x.rpm"), Nevra.parse(nevra), "0" * 64, role)


def result(
    *came: tuple[str, str], removed: tuple[str, ...] = (), replaced: tuple[tuple[str, str], ...] = ()
) -> Solution:
    return Solution(
        tuple(SolvedPackage(Nevra.parse(name), repo, "sha256:", 0, 0, "", "") for name, repo in came),
        (),
        removed=tuple(map(Nevra.parse, removed)),
        replaced=tuple((Nevra.parse(new), Nevra.parse(old)) for new, old in replaced),
    )


A2 = ("a-2-1.noarch", "a-1-1.noarch")
#: Request, what came of it.
RIGHT: dict[str, tuple[dict[str, Any], Solution]] = {
    "nothing": ({}, result()),
    "a new package": ({}, result(("new-1-1.noarch", "r"))),
    "another architecture": ({}, result(("b-1-1.s390x", "r"))),
    "a removal": ({"removals": ("a", "b")}, result(removed=("a-1-1.noarch", "b-1-1.x86_64", "b-1-1.i686"))),
    "a removal of one": ({"removals": ("b.i686",)}, result(removed=("b-1-1.i686",))),
    "a file": (
        {"files": (file(A2[0], FileRole.REPLACE),)}, result((A2[0], "@commandline"), replaced=(A2,))),
    "from a repository": ({"replacements": (("r", ("a",)),)}, result((A2[0], "r"), replaced=(A2,))),
    "removed, and a file in its place": (
        {"removals": ("a",), "files": (file(A2[0], FileRole.INSTALL),)},
        result((A2[0], "@commandline"), replaced=(A2,))),
}  # fmt: skip
#: Request, what came of it, names in the problem.
WRONG: dict[str, tuple[dict[str, Any], Solution, list[str]]] = {
    "removed unasked": ({"removals": ("a",)}, result(removed=("a-1-1.noarch", "c-1-1.noarch")), ["c-1-1.noarch"]),
    "not removed": ({"removals": ("a",)}, result(), ["a-1-1.noarch"]),
    "one of two not removed": ({"removals": ("b",)}, result(removed=("b-1-1.i686",)), ["b-1-1.x86_64"]),
    "replaced unasked": ({}, result((A2[0], "r"), replaced=(A2,)), list(A2)),
    "replaced from elsewhere": (
        {"replacements": (("r", ("a",)),)}, result((A2[0], "s"), replaced=(A2,)), [*A2, "s"]),
    "replaced by another build": (
        {"files": (file("a-3-1.noarch", FileRole.REPLACE),)}, result((A2[0], "r"), replaced=(A2,)), list(A2)),
    "not replaced": ({"files": (file(A2[0], FileRole.REPLACE),)}, result(), [A2[0]]),
    "replaced by another name": (
        {"replacements": (("r", ("z",)),)},
        result(("z-1-1.noarch", "r"), replaced=(("z-1-1.noarch", "a-1-1.noarch"),)), ["z-1-1.noarch"]),
    "the same again": ({}, result(("a-1-1.noarch", "r")), ["a-1-1.noarch"]),
    "beside another build": ({}, result(("a-2-1.noarch", "r")), ["a-2-1.noarch"]),
    "an offer takes a place": (
        {"files": (file(A2[0], FileRole.OFFER),)}, result((A2[0], "@commandline"), replaced=(A2,)), list(A2)),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_what_was_asked_for_is_right(case: str) -> None:
    said, solution = RIGHT[case]
    check(PackageRequest((), (), "x86_64", **said), BASE, solution)


@pytest.mark.parametrize("case", WRONG)
def test_what_was_not_asked_for_is_refused(case: str) -> None:
    said, solution, named = WRONG[case]
    with pytest.raises(SolveError) as raised:
        check(PackageRequest((), (), "x86_64", **said), BASE, solution)
    assert any(all(name in line for name in named) for line in raised.value.problems)
