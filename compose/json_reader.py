# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON as nodes, as its standard says: no comments, no trailing commas, any white space.

The json module of Python tells no places, and a YAML parser would take much that is not JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

from compose.nodes import Builder, Node, Scalar
from rpmtree.errors import ConfigError, Place
from rpmtree.texts import Lines

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<mark>[][{},:])
      | (?P<text>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")
      | (?P<number>-?(?:0|[1-9][0-9]*)(?P<fraction>(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?))(?![0-9A-Za-z_.])
      | (?P<word>true|false|null)(?![0-9A-Za-z_])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_WORDS: Mapping[str, Scalar] = {"true": True, "false": False, "null": None}


class JsonReader:
    """Reads one text. `document` raises ConfigError."""

    def __init__(self, text: str, builder: Builder) -> None:
        self._text = text
        self._builder = builder
        self._lines = Lines(text, builder.file)
        self._token = self._match(0)

    def document(self) -> Node:
        """The value that the text is."""
        node = self._node(0)
        if self._token.lastgroup != "end":
            self._fail("text after the end")
        return node

    def _match(self, offset: int) -> re.Match[str]:
        token = _TOKEN.match(self._text, offset)
        if token is None:
            rest = re.compile(r"[ \t\r\n]*").match(self._text, offset)
            assert rest is not None
            place = self._lines.place(rest.end())
            hint = "JSON has no comments, and nothing but text in double quotes"
            raise ConfigError(f"not JSON: {self._text[rest.end() :][:20]!r}", place=place, hint=hint)
        return token

    def _start(self) -> int:
        """Where the token itself starts, past white space."""
        group = self._token.lastgroup
        return self._token.start("number" if group == "fraction" else group or 0)

    def _place(self) -> Place:
        return self._lines.place(self._start())

    def _is(self, mark: str) -> bool:
        return self._token.group("mark") == mark

    def _next(self) -> None:
        self._token = self._match(self._token.end())

    def _fail(self, problem: str) -> NoReturn:
        raise ConfigError(f"not JSON: {problem}", place=self._place())

    def _node(self, depth: int) -> Node:
        place = self._place()
        self._builder.spend(1, depth, place)
        if self._is("["):
            return Node(tuple(self._items(depth + 1)), place)
        if self._is("{"):
            return self._builder.mapping(self._pairs(depth + 1), place)
        return self._scalar(place)

    def _scalar(self, place: Place) -> Node:
        token = self._token
        if (text := token.group("text")) is not None:
            node = self._builder.scalar(self._text_value(text), place)
        elif (number := token.group("number")) is not None:
            node = self._fraction(number, place) if token.group("fraction") else self._builder.integer(number, place)
        elif (word := token.group("word")) is not None:
            node = Node(_WORDS[word], place)
        else:
            self._fail("a value is missing")
        self._next()
        return node

    def _fraction(self, text: str, place: Place) -> Node:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            return self._builder.wrong("the number is too large", place)
        return Node(value, place)

    def _text_value(self, token: str) -> str:
        try:
            return str(json.loads(token))
        except ValueError:
            self._fail("an escape in a text that JSON does not have")

    def _elements(self, closing: str) -> Iterator[None]:
        """Step over the opening mark, the commas and the closing mark; the reader takes what is between."""
        self._next()
        if not self._is(closing):
            yield
            while self._is(","):
                self._next()
                yield
            if not self._is(closing):
                self._fail(f"expected a comma or {closing}")
        self._next()

    def _items(self, depth: int) -> Iterator[Node]:
        for _ in self._elements("]"):
            yield self._node(depth)

    def _pairs(self, depth: int) -> Iterator[tuple[str, Place, Node]]:
        for _ in self._elements("}"):
            place = self._place()
            if (text := self._token.group("text")) is None:
                self._fail("a key in double quotes is missing")
            self._builder.spend(1, depth, place)
            key = self._text_value(text)
            self._builder.scalar(key, place)
            self._next()
            if not self._is(":"):
                self._fail("expected a colon")
            self._next()
            yield key, place, self._node(depth)
