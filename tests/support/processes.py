# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs on this machine, by its command lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest


def command_lines() -> Iterator[list[str]]:
    """The words of each process; the kernel's own have none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_text("utf-8", "replace").split("\0")
        except OSError:
            continue  # it has just ended


def processes_about(text: str) -> list[str]:
    """Command lines of processes that name `text`."""
    return [line for line in map(" ".join, command_lines()) if text in line]


def none_left(text: str) -> None:
    """Whoever lost its parent has a moment to notice."""
    for _ in range(50):
        if not processes_about(text):
            return
        time.sleep(0.1)
    pytest.fail(f"still running: {processes_about(text)}")
