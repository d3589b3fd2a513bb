# SPDX-License-Identifier: GPL-2.0-or-later
"""The error tree of both commands, and what each error means to a shell.

    ToolError            1   a failure that the user can act on
    ├── UsageError       2   bad command line
    ├── ConfigError      3   treefile, origin, .repo file, lockfile, kickstart
    ├── SolveError       4   no solution: all blockers, a line each
    ├── FetchError       5   network, checksum, signature
    ├── ScriptletError   6   a package's script failed
    ├── CommandFailed    7   an outside program failed
    ├── StoreError       8   repository, sysroot or rpm database refused, full or damaged
    ├── ConflictError    9   two packages own different files at one path
    ├── BusyError       75   another process holds the lock
    └── NothingToDo     77   nothing to do, where the user asked to be told so

Everything else that reaches `rpmtree.app` is a bug (70). This module imports nothing of ours.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

#: Failures of the machine rather than of the program, wherever an OSError with them comes up.
STORAGE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a document something is wrong: lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


class ToolError(Exception):
    """A failure that the user can act on: `message` is one line, `hint` says what to do next."""

    exit_code = 1
    #: Whether stdout has the answer, which with `--json` is one document: the error is not added to it.
    answered = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        place: Place | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.place = place
        self.detail = detail


class UsageError(ToolError):
    """The command line is wrong."""

    exit_code = 2


class ConfigError(ToolError):
    """A document that the user wrote is wrong; `place` says where."""

    exit_code = 3


class SolveError(ToolError):
    """No set of packages satisfies the request; `problems` holds every blocker, a line each.

    `droppable`: specs and names of given files without which all others can be had; none where that is not so easy.
    """

    exit_code = 4

    def __init__(
        self, message: str, problems: Sequence[str], *, hint: str | None = None, droppable: Sequence[str] = ()
    ) -> None:
        super().__init__(message, hint=hint, detail="\n".join(f"  - {problem}" for problem in problems))
        self.problems = tuple(problems)
        self.droppable = tuple(droppable)


class FetchError(ToolError):
    """Something could not be fetched, or is not what its checksum or signature says."""

    exit_code = 5


class ScriptletError(ToolError):
    """A package's script failed. `phase` is its RPM name without the percent sign: post, triggerin …"""

    exit_code = 6

    def __init__(self, package: str, phase: str, reason: str, log_tail: str, *, hint: str | None = None) -> None:
        super().__init__(f"%{phase} of {package} {reason}", hint=hint, detail=log_tail)
        self.package = package
        self.phase = phase


class CommandFailed(ToolError):
    """An outside program failed; `detail` is the tail of its stderr."""

    exit_code = 7

    def __init__(self, argv: Sequence[str], status: int, stderr_tail: str, *, hint: str | None = None) -> None:
        reason = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
        super().__init__(f"{argv[0]} {reason}", hint=hint, detail=stderr_tail)
        self.argv = tuple(argv)
        self.status = status


class StoreError(ToolError):
    """A repository, sysroot or rpm database refused, is full, or is damaged."""

    exit_code = 8


class ConflictError(ToolError):
    """Two packages own different files at one path."""

    exit_code = 9

    def __init__(self, path: str, packages: Sequence[str], *, hint: str | None = None) -> None:
        super().__init__(f"{' and '.join(packages)} own different files at {path}", hint=hint)
        self.path = path
        self.packages = tuple(packages)


class BusyError(ToolError):
    """Another process holds the lock."""

    exit_code = 75


class NothingToDo(ToolError):
    """There is nothing to do, and the user asked for a status that says so."""

    exit_code = 77
