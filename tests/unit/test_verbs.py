# SPDX-License-Identifier: GPL-2.0-or-later
"""The frame of `layer`: options that verbs share, and which system they work on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from layering.cli import build_parser
from layering.system import choose_stateroot, path_of
from layering.verbs import common
from rpmtree.app import App, invoke
from rpmtree.errors import StoreError, ToolError, UsageError


@pytest.mark.parametrize(
    ("words", "wait"),
    [
        ([], 0.0),
        (["--wait"], None),
        (["--wait=0"], 0.0),
        (["--wait=2.5"], 2.5),
        (["--wait=inf"], None),
        (["--wait", "-r"], None),
    ],
)
def test_wait(words: list[str], wait: float | None) -> None:
    assert build_parser().parse_args(["rollback", *words]).wait == wait


@pytest.mark.parametrize("words", [["--wait=soon"], ["--wait=-1"], ["--wait=nan"], ["--wait", "5"], ["--wai"]])
def test_what_is_no_wait(words: list[str]) -> None:
    with pytest.raises(UsageError):
        build_parser().parse_args(["rollback", *words])


def test_options_of_the_system() -> None:
    args = build_parser().parse_args(["rollback", "--peer", "--sysroot=/x/y", "--os", "granite", "-r"])
    assert (args.stateroot, path_of(args), args.reboot, args.title) == ("granite", Path("/x/y"), True, "layer rollback")
    assert path_of(build_parser().parse_args(["rollback", "--sysroot=/"])) is None
    assert "--peer" not in build_parser().format_help()


@pytest.mark.parametrize(
    ("asked", "booted", "present", "chosen"),
    [
        (None, "b", ("a", "b"), "b"),
        (None, None, ("a",), "a"),
        ("a", "b", ("a", "b"), "a"),
    ],
)
def test_the_stateroot(asked: str | None, booted: str | None, present: tuple[str, ...], chosen: str) -> None:
    assert choose_stateroot(asked, booted, present, Path("/x")) == chosen


@pytest.mark.parametrize(
    ("asked", "present", "error"),
    [(None, ("a", "b"), UsageError), ("c", ("a", "b"), UsageError), (None, (), StoreError), ("c", (), UsageError)],
)
def test_no_stateroot(asked: str | None, present: tuple[str, ...], error: type[ToolError]) -> None:
    with pytest.raises(error) as caught:
        choose_stateroot(asked, None, present, Path("/x"))
    assert all(name in str(caught.value.hint) for name in present)


@pytest.mark.parametrize(("asked", "status"), [(False, 0), (True, 77)])
def test_nothing_to_do(asked: bool, status: int) -> None:
    def action(args: argparse.Namespace, app: App) -> None:
        common.unchanged(args, app, "nothing to do")

    def parser() -> common.VerbParser:
        made = common.VerbParser("layer")
        common.add_unchanged(made)
        made.set_defaults(action=action)
        return made

    assert invoke("layer", parser, ["--unchanged-exit-77"] if asked else [], {}) == status


def test_an_error_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("layer", build_parser, ["rollback", "--json", f"--sysroot={tmp_path}"], {}) == StoreError.exit_code
    assert json.loads(capsys.readouterr().out)["error"]["class"] == "StoreError"


def test_no_reboot_without_asking() -> None:
    common.reboot(argparse.Namespace(reboot=False))
