# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong, or odd, in documents: collected, so that a user sees all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rpmtree.errors import ConfigError, Place

_MAX_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that has to change in a document, and where."""

    message: str
    place: Place
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that works, but that the writer of a document will want to know."""

    message: str
    place: Place
    hint: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one ConfigError for all problems, if there are any: the first one, the others in its detail."""
    if not problems:
        return
    ordered = sorted(problems, key=lambda problem: (problem.place.line or 0, problem.place.column or 0))
    first, others = ordered[0], ordered[1:]
    lines = [str(problem) for problem in others[:_MAX_SHOWN]]
    if len(others) > _MAX_SHOWN:
        lines.append(f"… and {len(others) - _MAX_SHOWN} more")
    raise ConfigError(first.message, place=first.place, hint=first.hint, detail="\n".join(lines) or None)
