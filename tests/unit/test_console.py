# SPDX-License-Identifier: GPL-2.0-or-later
"""What is shown of the work: on a terminal (a real pseudo-terminal), in a pipe, after the reader has left."""

from __future__ import annotations

import io
import itertools
import os
import pty
import time
from collections.abc import Callable

import pytest

from rpmtree.console import LINE_EVERY, Console, JsonLines, Terminal
from rpmtree.progress import Reporter, step


def work(reporter: Reporter) -> None:
    with step(reporter, "Importing [bold]packages[/]") as running:
        for done in range(1, 4):
            reporter.advanced(done, 3)
        reporter.warning("look\x1b[31m out")
        running.summary = "3 packages"


def on_terminal(color: bool, use: Callable[[Terminal], None]) -> str:
    """What arrives at the other end of a terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        console = Terminal(stream, color=color, clock=lambda: 0.0)
        use(console)
        console.close()
        console.close()
        stream.write("end\n")
        stream.flush()
        seen = b""
        while not seen.endswith(b"end\r\n"):
            seen += os.read(ours, 65536)
    os.close(ours)
    return seen.decode()


def test_a_terminal_has_a_bar_and_lines_for_what_is_over() -> None:
    def use(console: Terminal) -> None:
        work(console)
        console.step_started("Second")
        console.advanced(3, 4)
        time.sleep(0.5)  # bars are drawn five times a second

    seen = on_terminal(True, use)
    assert "Importing [bold]packages[/]" in seen  # no markup of ours in other people's text
    assert "3/4" in seen
    assert "look\\x1b[31m out" in seen
    assert "\x1b[1;33mwarning:" in seen
    assert "3 packages, 0.0 s" in seen
    assert seen.endswith("end\r\n")


def test_without_color_no_color_is_sent() -> None:
    codes = {code.partition("m")[0] for code in on_terminal(False, work).split("\x1b[")[1:] if code[:1].isdigit()}
    assert codes & {"31", "33", "1;33", "32", "36", "1;31"} == set()


def test_a_failed_step_leaves_no_bar() -> None:
    def fail(console: Terminal) -> None:
        console.step_started("Importing")
        console.advanced(1, 2)
        console.close()
        console.line("it failed", "error", "1;31")

    last = on_terminal(True, fail).splitlines()[-2]
    assert last.endswith("error:\x1b[0m it failed")


def test_steps_may_follow_without_an_end() -> None:
    def use(console: Terminal) -> None:
        console.advanced(1, 2)
        console.step_started("One")
        console.step_started("Two")
        console.step_done("Two", "")

    assert "Two" in on_terminal(True, use)


def test_a_pipe_has_a_line_now_and_then() -> None:
    stream = io.StringIO()
    clock = itertools.count(0, LINE_EVERY / 4)
    console = Console(stream, clock=lambda: next(clock))
    console.step_started("Importing")
    for done in range(9):
        console.advanced(done, 9)
    assert stream.getvalue().splitlines() == ["Importing... ", "  3 of 9", "  7 of 9"]


def test_a_pipe_has_one_line_a_step_unless_something_is_said_meanwhile() -> None:
    stream = io.StringIO()
    console = Console(stream, clock=lambda: 0.0)
    console.step_started("Solving")
    console.step_done("Solving", "3 packages")
    console.step_started("Importing")
    console.warning("look out")
    console.step_done("Importing", "")
    console.step_started("Committing")
    console.line("disk full", "error")
    assert stream.getvalue().splitlines() == [
        "Solving... 3 packages, 0.0 s",
        "Importing... ",
        "warning: look out",
        "  0.0 s",
        "Committing... ",
        "error: disk full",
    ]


def test_json_lines_always_have_the_last_unit() -> None:
    stream = io.StringIO()
    reporter = JsonLines(stream, clock=lambda: 0.0)
    reporter.step_started("Importing")
    for done in range(1, 10):
        reporter.advanced(done, 9)
    assert [line[-26:] for line in stream.getvalue().splitlines()[1:]] == [
        f'"advanced", "done": {done}, "total": 9}}'[-26:] for done in (1, 9)
    ]


class Left(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("reporter", [Console(Left()), JsonLines(Left()), Console(None)])
def test_a_reader_that_left_does_not_stop_the_work(reporter: Reporter) -> None:
    work(reporter)
    reporter.note("still here")
