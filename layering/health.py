# SPDX-License-Identifier: GPL-2.0-or-later
"""Health checks: programs that say whether the system that has just booted does what it is for.

Each executable file of /usr/lib/strata/health.d and /etc/strata/health.d is run, in the order of their names; one in
/etc takes the place of one of the same name in /usr, and a link to /dev/null takes it away (as with systemd.unit(5)).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rpmtree import command
from rpmtree.errors import CommandFailed, ToolError
from rpmtree.progress import Reporter

DIRECTORIES = ("usr/lib/strata/health.d", "etc/strata/health.d")
#: Seconds for one check.
TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that did not pass."""

    check: Path
    reason: str


def checks(root: Path) -> tuple[Path, ...]:
    """The checks of the system at `root`, in the order in which they run."""
    found: dict[str, Path] = {}
    for directory in DIRECTORIES:
        found.update((path.name, path) for path in _files(root / directory))
    return tuple(
        path for _, path in sorted(found.items()) if path.resolve() != Path("/dev/null") and os.access(path, os.X_OK)
    )


def run_checks(root: Path, reporter: Reporter, *, timeout: float = TIMEOUT) -> tuple[Failure, ...]:
    """Run all checks, the later ones too where one fails; those that did not pass. Their output goes to the journal."""
    return tuple(failure for check in checks(root) if (failure := _run(check, reporter, timeout)) is not None)


def _run(check: Path, reporter: Reporter, timeout: float) -> Failure | None:
    try:
        done = command.run([str(check)], timeout=timeout, check=False)
    except CommandFailed:
        return Failure(check, f"ran longer than {timeout:g} s")
    except (OSError, ToolError) as error:
        return Failure(check, str(error))
    for line in command.tail(done.stdout + done.stderr).splitlines():
        reporter.note(f"{check.name}: {line}")
    return None if done.status == 0 else Failure(check, f"exited with status {done.status}")


def _files(directory: Path) -> Iterator[Path]:
    try:
        names = os.listdir(directory)
    except OSError:
        return
    yield from (directory / name for name in names if not name.startswith("."))
