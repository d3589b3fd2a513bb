# SPDX-License-Identifier: GPL-2.0-or-later
"""What people and programs see of the work while it goes on: lines, bars, JSON lines.

All of it goes to stderr or to a descriptor that the caller named, never to stdout: that is for results.
A stream whose reader has gone is no reason to stop, so failed writes are dropped here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from rpmtree.progress import Reporter

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Seconds between two lines about one step in a pipe, and between two events of it on a descriptor.
LINE_EVERY, EVENT_EVERY = 30.0, 0.1
RED, YELLOW, DIM = "1;31", "1;33", "2"
Clock = Callable[[], float]


def printable(text: str) -> str:
    """`text` with control characters spelled out, so that a script's output can't drive the terminal."""
    return "".join(c if (c >= " " and not "\x7f" <= c <= "\x9f") or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


class Console(Reporter):
    """Plain lines for a pipe or a file; also the base of what a terminal gets.

    A step has one line, begun when it starts and ended with its figures; what is said meanwhile breaks it.
    `quiet` keeps warnings and drops the rest. `color` is about the words warning, error and hint alone.
    """

    def __init__(
        self, stream: TextIO | None, *, quiet: bool = False, color: bool = False, clock: Clock = time.monotonic
    ):
        self._stream = stream
        self._quiet = quiet
        self._color = color
        self._clock = clock
        self._started = self._shown = 0.0
        self._line_begun = False

    def close(self) -> None:
        """Take back what is drawn only for the moment."""

    def line(self, text: str, label: str = "", style: str = "") -> None:
        """Write `text` as lines of its own, the first one after `label: `."""
        if label:
            label = f"\x1b[{style}m{label}:\x1b[0m " if self._color and style else f"{label}: "
        broken = "\n" if self._line_begun else ""
        self._line_begun = False
        self.write(f"{broken}{label}{printable(text)}\n")

    def write(self, text: str) -> None:
        """Write to the stream, at once."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(text)
                self._stream.flush()

    def step_started(self, name: str) -> None:
        """Say what begins."""
        self._started = self._shown = self._clock()
        if not self._quiet:
            self.write(f"{printable(name)}... ")
            self._line_begun = True

    def step_done(self, name: str, summary: str) -> None:
        """Say what came of it and how long it took."""
        if self._quiet:
            return
        figures = printable(self.figures(summary))
        self.write(f"{figures}\n" if self._line_begun else f"  {figures}\n")
        self._line_begun = False

    def figures(self, summary: str) -> str:
        """The summary of the present step with its duration in seconds."""
        seconds = f"{self._clock() - self._started:.1f} s"
        return f"{summary}, {seconds}" if summary else seconds

    def advanced(self, done: int, total: int) -> None:
        """Say how far a long step is, now and then."""
        now = self._clock()
        if not self._quiet and now - self._shown >= LINE_EVERY:
            self._shown = now
            self.line(f"  {done} of {total}")

    def note(self, text: str) -> None:
        """Say something that is good to know."""
        if not self._quiet:
            self.line(text)

    def warning(self, text: str) -> None:
        """Say something that needs attention; `quiet` does not hide it."""
        self.line(text, "warning", YELLOW)


class Terminal(Console):
    """One bar for the running step; what is over scrolls up as plain lines."""

    def __init__(self, stream: TextIO, *, color: bool = True, clock: Clock = time.monotonic) -> None:
        super().__init__(stream, color=color, clock=clock)
        self._bars: Progress | None = None
        self._task: TaskID | None = None

    def step_started(self, name: str) -> None:
        """Draw a bar without an end until `advanced` tells one."""
        self.close()
        self._started = self._clock()
        self._bars = _bars(self._stream, self._color)
        self._task = self._bars.add_task(printable(name), total=None)
        self._bars.start()

    def step_done(self, name: str, summary: str) -> None:
        """Turn the bar into a line."""
        self.close()
        figures = printable(self.figures(summary))
        self.write(f"{printable(name)}  \x1b[{DIM}m{figures}\x1b[0m\n" if self._color else f"{name}  {figures}\n")

    def advanced(self, done: int, total: int) -> None:
        """Move the bar."""
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, total=total)

    def write(self, text: str) -> None:
        """Write above the bar."""
        if self._bars is None:
            super().write(text)
            return
        with suppress(OSError, ValueError):
            from rich.text import Text

            self._bars.console.print(Text.from_ansi(text.removesuffix("\n")), soft_wrap=True)

    def close(self) -> None:
        """Remove the bar."""
        if self._bars is not None:
            with suppress(OSError, ValueError):
                self._bars.stop()
            self._bars = self._task = None


def _bars(stream: TextIO | None, color: bool) -> Progress:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = RichConsole(file=stream, no_color=not color, highlight=False, markup=False, emoji=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # Results pass by rich: it must not take stdout for itself.
    return Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False, refresh_per_second=5
    )


class JsonLines(Reporter):
    """One JSON object a line on a descriptor: `event` is the Reporter method's name, the rest its arguments.

    `advanced` comes at most ten times a second, and always for the last unit.
    """

    def __init__(self, stream: TextIO, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._shown = float("-inf")

    def _send(self, event: str, **values: str | int) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(json.dumps({"event": event, **values}) + "\n")
            self._stream.flush()

    def step_started(self, name: str) -> None:
        """Send the step's name."""
        self._shown = float("-inf")
        self._send("step_started", name=name)

    def step_done(self, name: str, summary: str) -> None:
        """Send the step's name and summary."""
        self._send("step_done", name=name, summary=summary)

    def advanced(self, done: int, total: int) -> None:
        """Send both figures, unless that was done a moment ago."""
        now = self._clock()
        if done == total or now - self._shown >= EVENT_EVERY:
            self._shown = now
            self._send("advanced", done=done, total=total)

    def note(self, text: str) -> None:
        """Send the text."""
        self._send("note", text=text)

    def warning(self, text: str) -> None:
        """Send the text."""
        self._send("warning", text=text)


class Several(Reporter):
    """Passes every report on to each of `reporters`, in their order."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._reporters = tuple(reporters)

    def step_started(self, name: str) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.step_started(name)

    def step_done(self, name: str, summary: str) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.step_done(name, summary)

    def advanced(self, done: int, total: int) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.advanced(done, total)

    def note(self, text: str) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.note(text)

    def warning(self, text: str) -> None:
        """Pass it on."""
        for reporter in self._reporters:
            reporter.warning(text)
