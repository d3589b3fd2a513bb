# SPDX-License-Identifier: GPL-2.0-or-later
"""`${name}` in the texts of a treefile. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rpmtree.problems import closest

#: Characters: a short text may refer to a long one many times.
_LONGEST = 64 * 1024
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")

Value = bool | int | str


class UndefinedVariable(ValueError):
    """A text refers to a variable that nothing defines."""

    def __init__(self, name: str, known: Mapping[str, Value]) -> None:
        super().__init__(f"undefined variable '{name}'")
        guess = closest(name, known)
        there = "variables: " + ", ".join(sorted(known)) if known else None
        self.hint = f"did you mean {guess}? {there}" if guess else there


def substitute(text: str, variables: Mapping[str, Value]) -> str:
    """Put values in the place of references; what they hold is not looked at again.

    Raises ValueError, and UndefinedVariable, which is one.
    """

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            raise UndefinedVariable(name, variables)
        found = variables[name]
        return str(found).lower() if isinstance(found, bool) else str(found)

    found = _REFERENCE.sub(value, text)
    if len(found) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters with what its variables hold")
    return found
