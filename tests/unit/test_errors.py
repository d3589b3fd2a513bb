# SPDX-License-Identifier: GPL-2.0-or-later
"""The exit codes that users' scripts rely on, and what each error carries."""

from __future__ import annotations

import pytest

from rpmtree import errors
from rpmtree.errors import Place

CODES = {
    "ToolError": 1,
    "UsageError": 2,
    "ConfigError": 3,
    "SolveError": 4,
    "FetchError": 5,
    "ScriptletError": 6,
    "CommandFailed": 7,
    "StoreError": 8,
    "ConflictError": 9,
    "BusyError": 75,
    "NothingToDo": 77,
}


def test_every_error_has_the_code_of_the_table() -> None:
    found = {
        name: value.exit_code
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert found == CODES


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place("a.yaml"), "a.yaml"),
        (Place("a.yaml", 3), "a.yaml:3"),
        (Place("a.yaml", 3, 9), "a.yaml:3:9"),
        (Place("a.yaml", 0, 0), "a.yaml:0:0"),
    ],
)
def test_place_is_written_as_compilers_do(place: Place, text: str) -> None:
    assert str(place) == text


def test_every_blocker_of_a_failed_solve_has_a_line() -> None:
    error = errors.SolveError("no solution", ["a needs b", "c conflicts with d"])
    assert error.problems == ("a needs b", "c conflicts with d")
    assert (error.detail or "").splitlines() == ["  - a needs b", "  - c conflicts with d"]


def test_a_failed_script_names_package_and_phase() -> None:
    error = errors.ScriptletError("bash-5-1.x86_64", "post", "exited with status 1", "last line")
    assert (error.package, error.phase, error.detail) == ("bash-5-1.x86_64", "post", "last line")
    assert "%post" in error.message
    assert "bash-5-1.x86_64" in error.message


@pytest.mark.parametrize(("status", "part"), [(3, "status 3"), (-9, "signal 9")])
def test_a_failed_program_says_how_it_ended(status: int, part: str) -> None:
    error = errors.CommandFailed(["dracut", "-f"], status, "no space")
    assert (error.argv, error.status, error.detail) == (("dracut", "-f"), status, "no space")
    assert error.message.startswith("dracut ")
    assert part in error.message


def test_a_conflict_names_path_and_packages() -> None:
    error = errors.ConflictError("/usr/bin/x", ["a", "b"])
    assert (error.path, error.packages) == ("/usr/bin/x", ("a", "b"))
    assert all(part in error.message for part in ("/usr/bin/x", "a", "b"))
