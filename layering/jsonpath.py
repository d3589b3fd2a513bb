# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of JSONPath by which scripts ask for a value of the status: `$.deployments[0].version`. Pure.

Grammar: Stefan Gössner's "JSONPath – XPath for JSON", without slices and script expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rpmtree.errors import UsageError

_STEP = re.compile(
    r"""(?P<deep>\.\.)?(?:
        (?:(?<!\.)\.|(?<=\.\.))(?P<name>[A-Za-z_][A-Za-z0-9_-]*|\*)
      | \[\s*(?:(?P<index>-?\d+)|(?P<all>\*)|'(?P<single>[^']*)'|"(?P<double>[^"]*)")\s*\]
    )""",
    re.VERBOSE,
)
Step = tuple[bool, str | int | None]


def query(document: Any, expression: str) -> list[Any]:
    """All values at `expression`, in the order of the document; what is not there gives none. Raises UsageError."""
    found = [document]
    for deep, key in _steps(expression.strip()):
        start = [inner for value in found for inner in _descendants(value)] if deep else found
        found = [inner for value in start for inner in _children(value, key)]
    return found


def _steps(expression: str) -> list[Step]:
    if not expression.startswith("$"):
        raise _wrong(expression, 0)
    steps: list[Step] = []
    position = 1
    while position < len(expression):
        match = _STEP.match(expression, position)
        if match is None:
            raise _wrong(expression, position)
        position = match.end()
        key: str | int | None = next(
            (match[group] for group in ("name", "single", "double") if match[group] is not None), None
        )
        if match["index"] is not None:
            key = int(match["index"])
        elif match["all"] or match["name"] == "*":
            key = None
        steps.append((match["deep"] is not None, key))
    return steps


def _wrong(expression: str, position: int) -> UsageError:
    return UsageError(
        f"{expression!a} is not a JSON path, from character {position + 1} on",
        hint="such as: $.deployments[0].version, $.deployments[*].checksum, $..version",
    )


def _children(value: Any, key: str | int | None) -> Iterator[Any]:
    if key is None:
        yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    elif isinstance(key, int):
        if isinstance(value, list) and -len(value) <= key < len(value):
            yield value[key]
    elif isinstance(value, dict) and key in value:
        yield value[key]


def _descendants(value: Any) -> Iterator[Any]:
    yield value
    for inner in _children(value, None):
        yield from _descendants(inner)
