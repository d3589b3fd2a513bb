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

from compose.nodes import Builder, Node, Scalar, measure
from rpmtree.errors import ConfigError, Place

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
        if getattr(event, "tag", None) is not None:
            raise ConfigError("YAML tags are not supported", place=place, hint="write text in quotes instead")
        self._builder.spend(1, depth, place)
        if isinstance(event, yaml.SequenceStartEvent):
            node = Node(tuple(self._items(depth + 1)), place)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._builder.mapping(self._pairs(depth + 1), place)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            node = self._builder.scalar(self._value(event, place), place)
        if (anchor := getattr(event, "anchor", None)) is not None:
            self._anchors[anchor] = node
        return node

    def _alias(self, anchor: str | None, depth: int, place: Place) -> Node:
        node = self._anchors.get(anchor or "")
        if node is None:  # also inside of the anchored value itself, which would never end
            raise ConfigError(f"unknown alias *{anchor}", place=place)
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
            if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
                raise ConfigError("a key must be plain text", place=place)
            if event.value == "<<" and event.implicit[0]:
                hint = "put what is shared into a file and include it"
                raise ConfigError("YAML merge keys (<<) are not supported", place=place, hint=hint)
            self._builder.spend(1, depth, place)
            key = self._builder.scalar(event.value, place)
            yield str(key.value), place, self._node(next(self._events), depth)

    def _value(self, event: object, place: Place) -> Scalar:
        text: str = event.value  # type: ignore[attr-defined] # a ScalarEvent
        if not event.implicit[0]:  # type: ignore[attr-defined] # in quotes, or a block of text
            return text
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        return self._builder.integer(text, place) if _INTEGER.fullmatch(text) else text
