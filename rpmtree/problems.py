# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong, or odd, in documents: collected, so that a user sees all of it at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rpmtree.errors import ConfigError, Place

_MAX_SHOWN = 20
#: Characters of a message: a document may quote itself, and be large.
_LONGEST = 400


def tidy(text: str) -> str:
    """A message on one line, of a length that can be read; what can't be printed shows as an escape."""
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that has to change in a document, and where."""

    message: str
    place: Place
    hint: str | None = None

    @classmethod
    def of(cls, error: ConfigError, place: Place) -> Problem:
        """The problem that an error tells, at its own place, else at `place`."""
        return cls(error.message, error.place or place, error.hint)

    def __str__(self) -> str:
        return _line(self)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that works, but that the writer of a document will want to know."""

    message: str
    place: Place
    hint: str | None = None

    def __str__(self) -> str:
        return _line(self)


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that a mistyped one is most likely meant to be."""
    from difflib import get_close_matches

    spelled = {each.lower().replace("_", "-"): each for each in known}
    matches = get_close_matches(word[:100].lower().replace("_", "-"), list(spelled), n=1, cutoff=0.75)
    return spelled[matches[0]] if matches else None


def did_you_mean(guess: str | None) -> str | None:
    """The hint that has a guess."""
    return f"did you mean {guess}?" if guess else None


def _line(said: Problem | Notice) -> str:
    return tidy(f"{said.place}: ") + tidy(said.message) + (f" ({tidy(said.hint)})" if said.hint else "")


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one ConfigError for all problems, if there are any: the first one, the others in its detail.

    They are in the order of their places, file by file as these come up.
    """
    if not problems:
        return
    files = {file: number for number, file in reversed(list(enumerate(problem.place.file for problem in problems)))}
    ordered = sorted(problems, key=lambda p: (files[p.place.file], p.place.line or 0, p.place.column or 0))
    first, others = ordered[0], ordered[1:]
    lines = [str(problem) for problem in others[:_MAX_SHOWN]]
    if len(others) > _MAX_SHOWN:
        lines.append(f"… and {len(others) - _MAX_SHOWN} more")
    hint = tidy(first.hint) if first.hint else None
    raise ConfigError(tidy(first.message), place=first.place, hint=hint, detail="\n".join(lines) or None)


def stop(found: Sequence[Problem], problems: list[Problem] | None) -> NoReturn:
    """Raise the first of what was found; the others are told with it, or are added to `problems` for who has more."""
    if problems is None:
        refuse(found)
    else:
        problems += found[1:]
    first = found[0]
    raise ConfigError(first.message, place=first.place, hint=first.hint)
