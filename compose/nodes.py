# SPDX-License-Identifier: GPL-2.0-or-later
"""Plain values that know their line and column, and the limits within which they are made.

Reading text into them is left to `compose.yaml_reader` and `compose.json_reader`, files to `compose.document`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Problem

Scalar = str | int | float | bool | None
Plain = Scalar | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may be: bytes, levels of nesting, values (a mapping's keys count too)."""

    size: int = 1024 * 1024
    depth: int = 64
    nodes: int = 10_000


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands; `keys` says where each key of a mapping stands."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    place: Place
    keys: Mapping[str, Place] = field(default_factory=dict)


def plain(node: Node) -> Plain:
    """The value without its places."""
    value = node.value
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def below(node: Node, step: str | int) -> Node | None:
    """The value of a key, or the item at an index; None where there is no such thing."""
    if isinstance(step, str):
        return node.value.get(step) if isinstance(node.value, Mapping) else None
    return node.value[step] if isinstance(node.value, tuple) and 0 <= step < len(node.value) else None


class Builder:
    """Makes nodes within the limits; what both formats have in common.

    What is wrong in a place of its own goes to `problems`, and null stands there, so that all of it is found. Where a
    document can't be gone on with, ConfigError is raised.
    """

    def __init__(self, file: str, limits: Limits) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._limits = limits
        self._left = limits.nodes

    def spend(self, nodes: int, depth: int, place: Place) -> None:
        """Take `nodes` values that reach down to `depth` from what is allowed."""
        if depth > self._limits.depth:
            raise ConfigError(f"nested deeper than {self._limits.depth} levels", place=place)
        self._left -= nodes
        if self._left < 0:
            hint = "put parts of it into files that it includes; an alias of YAML counts as often as it is used"
            raise ConfigError(f"more than {self._limits.nodes} values", place=place, hint=hint)

    def wrong(self, message: str, place: Place, hint: str | None = None) -> Node:
        """What stands where something is wrong."""
        self.problems.append(Problem(message, place, hint))
        return Node(None, place)

    def scalar(self, value: Scalar, place: Place) -> Node:
        """A scalar that can be written out again, and given to C."""
        if isinstance(value, str) and "\0" in value:
            return self.wrong("a text contains a NUL", place)
        # A decoder lets half of a surrogate pair through, which nothing can write out again.
        if isinstance(value, str) and re.search("[\ud800-\udfff]", value):
            return self.wrong("a text contains half of a surrogate pair", place)
        return Node(value, place)

    def integer(self, text: str, place: Place) -> Node:
        """The number that decimal digits stand for."""
        # The length is checked first, since reading a very long number takes quadratic time.
        if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
            return self.wrong("the number does not fit in 64 bits", place, "write it in quotes if it is text")
        return Node(int(text), place)

    def mapping(self, pairs: Iterable[tuple[str, Place, Node]], place: Place) -> Node:
        """A mapping whose keys are unique: of two values the first."""
        values: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        for key, where, value in pairs:
            if key in keys:
                self.wrong(f"duplicate key {key!r}", where, f"it stands at {keys[key]} already")
            else:
                values[key] = value
                keys[key] = where
        return Node(values, place, keys)


def measure(node: Node) -> tuple[int, int]:
    """How many values a node holds, itself and keys included, and how many levels it spans."""
    if isinstance(node.value, tuple):
        inner = [measure(item) for item in node.value]
    elif isinstance(node.value, Mapping):
        inner = [(size + 1, levels) for size, levels in map(measure, node.value.values())]
    else:
        return 1, 0
    return 1 + sum(size for size, _ in inner), 1 + max((levels for _, levels in inner), default=0)
