# SPDX-License-Identifier: GPL-2.0-or-later
"""The conditions of `conditional-include`: a variable, an operator, a value. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from compose.variables import UndefinedVariable, Value

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*(?P<name>[A-Za-z0-9_]+)\s*(?P<operator>[^\s\w\"]+)\s*(?P<value>.*?)\s*", re.DOTALL)
_KINDS = {bool: "true or false", int: "a number", str: "a text"}


def holds(condition: str, variables: Mapping[str, Value]) -> bool:
    """Whether `condition` holds. Raises ValueError, and UndefinedVariable, which is one."""
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ValueError(f"invalid condition: {condition!r} (NAME OPERATOR VALUE is wanted)")
    name, sign = match["name"], match["operator"]
    if sign not in _OPERATORS:
        raise ValueError(f"invalid condition: {condition!r}: expected one of {', '.join(_OPERATORS)}")
    value = _value(match["value"], condition)
    if name not in variables:
        raise UndefinedVariable(name, variables)
    found = variables[name]
    if type(found) is not type(value):
        raise ValueError(f"{name} is not same type as {match['value']}: it is {_KINDS[type(found)]}")
    if sign not in ("==", "!=") and type(value) is not int:
        raise ValueError(f"invalid op for values: {condition!r} (only numbers have an order)")
    return _OPERATORS[sign](found, value)


def number_in(text: str) -> int | None:
    """The number that a text of up to 20 digits is; None where it is something else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _value(text: str, condition: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if (number := number_in(text)) is not None:
        return number
    if len(text) >= 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        return text[1:-1]
    raise ValueError(f"invalid condition: {condition!r}: expected true, false, digits or a text in double quotes")
