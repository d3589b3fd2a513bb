# SPDX-License-Identifier: GPL-2.0-or-later
"""The syntax of origin files: GLib's key files (GKeyFile), without what origins don't use (comments kept, locales).

Values are read as GLib reads them; what a key means is `layering.origin`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from rpmtree.errors import ConfigError, Place

_GROUP = re.compile(r"\[(?P<name>[^\[\]\x00-\x1f\x7f]+)\][ \t]*")
_KEY = re.compile(r"[^\[\]=\x00-\x1f\x7f]+(?:\[[^\[\]=\x00-\x1f\x7f]*\])?")
_BLANK = " \t\n\r\f\v"
_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_CODES = {"\n": "\\n", "\r": "\\r", "\\": "\\\\"}
_LEADING = {" ": "\\s", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Value:
    """What stands after the `=` of a key, as it is written, and where."""

    raw: str
    place: Place


def parse(text: str, file: str) -> dict[str, dict[str, Value]]:
    """Group → key → value, in the order of the file. As for GLib, the last of two equal keys holds.

    Comments and groups without keys are left out. `file` is for places. Raises ConfigError.
    """
    groups: dict[str, dict[str, Value]] = {}
    keys: dict[str, Value] | None = None
    for number, full in enumerate(text.split("\n"), start=1):
        place = Place(file, number)
        line = full.removesuffix("\r").lstrip(_BLANK)
        if "\x00" in line:
            raise ConfigError("there is a zero byte in the line", place=place)
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            if (match := _GROUP.fullmatch(line)) is None:
                raise ConfigError("the line starts like a [group] and is none", place=place)
            keys = groups.setdefault(match["name"], {})
            continue
        key, equals, raw = line.partition("=")
        key = key.rstrip(_BLANK)
        if not equals or not _KEY.fullmatch(key):
            raise ConfigError("the line is neither [group] nor key=value", place=place)
        if keys is None:
            raise ConfigError("there is a key before the first [group]", place=place)
        keys[key] = Value(raw.lstrip(_BLANK), place)
    return {name: found for name, found in groups.items() if found}


def render(groups: Mapping[str, Mapping[str, str]]) -> str:
    """The text of a key file of raw values; groups without keys are left out."""
    return "\n".join(
        "\n".join((f"[{name}]", *(f"{key}={raw}" for key, raw in keys.items()), ""))
        for name, keys in groups.items()
        if keys
    )


def string(raw: str) -> str:
    """The text that a raw value stands for. Raises ValueError."""
    return "".join(char for char, _ in _characters(raw, ""))


def strings(raw: str) -> tuple[str, ...]:
    """The items of a list, each ended by `;`, which the last may do without. Raises ValueError."""
    items, item, begun = [], "", False
    for char, escaped in _characters(raw, ";"):
        if char == ";" and not escaped:
            items.append(item)
            item, begun = "", False
        else:
            item, begun = item + char, True
    return (*items, item) if begun else tuple(items)


def boolean(raw: str) -> bool:
    """`true` or `1`, `false` or `0`. Raises ValueError."""
    word = raw.rstrip(_BLANK)
    if word not in {"true", "1", "false", "0"}:
        raise ValueError(f"neither true nor false: {word!a}")
    return word in {"true", "1"}


def from_string(text: str) -> str:
    """The raw value of a text."""
    return _escaped(text, "")


def from_strings(items: Iterable[str]) -> str:
    """The raw value of a list."""
    return "".join(f"{_escaped(item, ';')};" for item in items)


def _characters(raw: str, separator: str) -> Iterator[tuple[str, bool]]:
    """Each character that `raw` stands for, and whether it was written with a backslash."""
    position = 0
    while position < len(raw):
        char = raw[position]
        position += 1
        if char != "\\":
            yield char, False
            continue
        code = raw[position : position + 1]
        position += 1
        if code and code == separator:
            yield code, True
        elif code in _ESCAPES:
            yield _ESCAPES[code], True
        else:
            raise ValueError(f"\\{code} is no escape" if code else "there is a backslash at the end of the line")


def _escaped(text: str, separator: str) -> str:
    codes = _CODES | ({separator: f"\\{separator}"} if separator else {})
    escaped, leading = "", True
    for char in text:
        escaped += _LEADING[char] if leading and char in _LEADING else codes.get(char, char)
        leading = (leading and char in " \t\n\r") or char == separator
    return escaped
