# SPDX-License-Identifier: GPL-2.0-or-later
"""Golden-tree checks: a tree before, a step, the tree after; then the step again, which must touch nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec
from tests.support.trees import canonical, describe, plant

Apply = Callable[[Root, FinishSpec, Reporter], None]


class Recorder(Reporter):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.done: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def step_done(self, name: str, summary: str) -> None:
        self.done.append(name)


def run(place: Path, apply: Apply, before: str, spec: FinishSpec | None = None) -> tuple[str, Recorder]:
    """The tree after one run of `apply`, and what it said."""
    recorder = Recorder()
    with Root(plant(place / "root", before)) as root:
        apply(root, spec or FinishSpec(), recorder)
    return describe(place / "root"), recorder


def check(place: Path, apply: Apply, before: str, after: str, spec: FinishSpec | None = None) -> Recorder:
    """Assert that `apply` makes `after` of `before`, and that another run writes no file anew."""
    found, recorder = run(place, apply, before, spec)
    assert found == canonical(after)
    inodes = _inodes(place / "root")
    with Root(place / "root") as root:
        apply(root, spec or FinishSpec(), Recorder())
    assert describe(place / "root") == found
    assert _inodes(place / "root") == inodes
    return recorder


def _inodes(top: Path) -> dict[str, int]:
    found = {}
    for directory, names, files in os.walk(top):
        for name in [*names, *files]:
            path = Path(directory) / name
            found[str(path)] = path.lstat().st_ino
    return found
