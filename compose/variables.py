# SPDX-License-Identifier: GPL-2.0-or-later
"""`${name}` in the texts of a treefile. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")

Value = bool | int | str


class UndefinedVariable(ValueError):
    """A text refers to a variable that nothing defines."""

    def __init__(self, name: str, known: Mapping[str, Value]) -> None:
        super().__init__(f"undefined variable '{name}'")
        self.hint = "variables: " + ", ".join(sorted(known)) if known else None


def substitute(text: str, variables: Mapping[str, Value]) -> str:
    """Put values in the place of references; what they hold is not looked at again. Raises UndefinedVariable."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            raise UndefinedVariable(name, variables)
        found = variables[name]
        return str(found).lower() if isinstance(found, bool) else str(found)

    return _REFERENCE.sub(value, text)
