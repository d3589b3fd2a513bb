# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML as nodes: events are counted against the limits before anything is built from them.

Scalars are those of YAML 1.2's core schema without its surprises: `true`/`false`, `null`, decimal integers that fit
in 64 bits, and text. So `no`, `1:30`, `012`, `1.10` and `2024-01-01` stay text. Tags and merge keys are refused;
an alias counts as many values as it stands for, each time that it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from compose.nodes import Builder, Node, measure
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import closest

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")


class YamlReader:
    """Reads one text. `document` raises ConfigError."""

    def __init__(self, text: str, builder: Builder) -> None:
        loader = getattr(yaml, "CLoader", yaml.Loader)  # libyaml where PyYAML was built with it
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=loader)
        self._builder = builder
        self._anchors: dict[str, Node] = {}

    def document(self) -> Node:
        """The only document of the stream; an empty stream is null."""
        try:
            node: Node | None = None
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if node is not None:
                        raise ConfigError("more than one document in a file", place=self._place(event))
                    node = self._node(next(self._events), 0)
            return node or Node(None, Place(self._builder.file, 1, 1))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = Place(self._builder.file, mark.line + 1, mark.column + 1) if mark else Place(self._builder.file)
            raise ConfigError(f"not YAML: {error.problem or error.context}", place=place) from error
        except yaml.YAMLError as error:
            first_line = str(error).partition("\n")[0]
            raise ConfigError(f"not YAML: {first_line}", place=Place(self._builder.file)) from error

    def _place(self, event: object) -> Place:
        mark = event.start_mark  # type: ignore[attr-defined] # every event has one
        return Place(self._builder.file, mark.line + 1, mark.column + 1)

    def _node(self, event: object, depth: int) -> Node:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, depth, place)
        self._check_tag(event, place)
        self._builder.spend(1, depth, place)
        if isinstance(event, yaml.SequenceStartEvent):
            node = Node(tuple(self._items(depth + 1)), place)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._builder.mapping(self._pairs(depth + 1), place)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            node = self._value(event, place)
        if (anchor := getattr(event, "anchor", None)) is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, anchor: str | None, depth: int, place: Place) -> Node:
        node = self._anchors.get(anchor or "")
        if node is None:  # also inside of the anchored value itself, which would never end
            guess = closest(anchor or "", self._anchors)
            return self._builder.wrong(f"unknown alias *{anchor}", place, f"did you mean *{guess}?" if guess else None)
        size, levels = measure(node)
        self._builder.spend(size, depth + levels, place)
        return node

    def _items(self, depth: int) -> Iterator[Node]:
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event, depth)

    def _pairs(self, depth: int) -> Iterator[tuple[str, Place, Node]]:
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return
            place = self._place(event)
            key = self._key(event, depth, place)
            value = self._node(next(self._events), depth)
            if key is not None:
                yield key, place, value

    def _key(self, event: object, depth: int, place: Place) -> str | None:
        """The text of a key; None for one that has no place in a document, which is a problem."""
        if not isinstance(event, yaml.ScalarEvent):
            self._builder.wrong("a key must be plain text", place)
            self._node(event, depth)
            return None
        self._check_tag(event, place)
        if event.value == "<<" and event.implicit[0]:
            hint = "put what is shared into a file and include it"
            self._builder.wrong("YAML merge keys (<<) are not supported", place, hint)
            return None
        self._builder.spend(1, depth, place)
        return None if self._builder.scalar(event.value, place).value is None else str(event.value)

    def _check_tag(self, event: object, place: Place) -> None:
        if getattr(event, "tag", None) is not None:
            self._builder.wrong("YAML tags are not supported", place, "write text in quotes instead")

    def _value(self, event: yaml.ScalarEvent, place: Place) -> Node:
        text: str = event.value
        if not event.implicit[0]:  # in quotes, or a block of text
            return self._builder.scalar(text, place)
        if text in _NULLS:
            return Node(None, place)
        if text in _BOOLEANS:
            return Node(_BOOLEANS[text], place)
        return self._builder.integer(text, place) if _INTEGER.fullmatch(text) else self._builder.scalar(text, place)
