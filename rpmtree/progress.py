# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine says while it works. It reports to a value; what people see is made in `rpmtree.app`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Reporter:
    """Receives progress; every method does nothing until a front end gives it a body.

    Each step gets one `step_started` and, if it succeeds, one `step_done`; between them any number of
    `advanced` calls, in which `done` grows to `total`. `note` and `warning` may come at any time.
    """

    def step_started(self, name: str) -> None:
        """The step called `name` (a verb phrase, such as "Importing packages") begins."""

    def step_done(self, name: str, summary: str) -> None:
        """The step ended well; `summary` is a short figure ("225 packages") or empty."""

    def advanced(self, done: int, total: int) -> None:
        """The present step has done `done` of `total` units."""

    def note(self, text: str) -> None:
        """A line that a user may want to know."""

    def warning(self, text: str) -> None:
        """A line that a user should act on."""


class Step:
    """A running step; set `summary` before it ends."""

    def __init__(self) -> None:
        self.summary = ""


@contextmanager
def step(reporter: Reporter, name: str) -> Iterator[Step]:
    """Report `name` as begun, and as done if the body does not raise."""
    running = Step()
    reporter.step_started(name)
    yield running
    reporter.step_done(name, running.summary)
