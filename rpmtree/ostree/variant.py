# SPDX-License-Identifier: GPL-2.0-or-later
"""The GVariant serialisation, as far as OSTree's objects need it.

libglib's own is reached through PyGObject, whose calls cost more than the bytes they make. Pure; the
format is GLib's "GVariant Specification". Integers are big-endian where `big` is set, as OSTree wants
them in metadata; framing offsets are little-endian always.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_FIXED = {"y": "B", "b": "?", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d"}
_SIZES = {code: struct.calcsize(letter) for code, letter in _FIXED.items()}


@dataclass(frozen=True, slots=True)
class Variant:
    """A value that carries its type, for the type `v`."""

    signature: str
    value: Any


def serialise(signature: str, value: Any, *, big: bool = False) -> bytes:
    """The bytes of `value` as a GVariant of type `signature`.

    bytes stand for `ay`, str for `s`, mappings for `a{…}`, tuples or lists for the rest, Variant for `v`.
    Raises ValueError on a type that the format does not have.
    """
    return _serialise(_parsed(signature), value, big)


def parse(signature: str, data: bytes | memoryview, *, big: bool = False) -> Any:
    """The value of type `signature` in `data`, in the shapes that `serialise` takes."""
    return _parse(_parsed(signature), memoryview(data), big)


def parse_map(data: bytes | memoryview, *, without: Container[str] = (), big: bool = False) -> dict[str, Variant]:
    """The value of type `a{sv}` in `data`; values of the keys in `without` are not looked at, and left out."""
    view, found = memoryview(data), {}
    kind = _parsed("{sv}")
    for start, end in _elements(kind, view):
        entry = view[start:end]
        if not without or bytes(entry).partition(b"\0")[0].decode("utf-8", "surrogateescape") not in without:
            key, value = _parse(kind, entry, big)
            found[key] = value
    return found


@dataclass(frozen=True, slots=True)
class _Type:
    code: str  # a fixed type's letter, s, v, a, (
    signature: str
    parts: tuple[_Type, ...] = ()

    @property
    def alignment(self) -> int:
        if self.code in _SIZES:
            return _SIZES[self.code]
        if self.code == "v":
            return 8
        return max((part.alignment for part in self.parts), default=1)

    @property
    def fixed_size(self) -> int | None:
        if self.code in _SIZES:
            return _SIZES[self.code]
        if self.code != "(":
            return None
        size = 0
        for part in self.parts:
            if part.fixed_size is None:
                return None
            size = _aligned(size, part.alignment) + part.fixed_size
        return _aligned(size, self.alignment) or 1


@lru_cache(maxsize=256)
def _parsed(signature: str) -> _Type:
    found, rest = _take(signature)
    if rest:
        raise ValueError(f"not one GVariant type: {signature}")
    return found


def _take(text: str) -> tuple[_Type, str]:
    code = text[:1]
    if code in _FIXED or (code and code in "sv"):
        return _Type(code, code), text[1:]
    if code == "a":
        part, rest = _take(text[1:])
        return _Type("a", text[: len(text) - len(rest)], (part,)), rest
    if code and code in "({":
        close, parts, rest = (")" if code == "(" else "}"), [], text[1:]
        while rest and not rest.startswith(close):
            part, rest = _take(rest)
            parts.append(part)
        if rest:
            return _Type("(", text[: len(text) - len(rest) + 1], tuple(parts)), rest[1:]
    raise ValueError(f"not a GVariant type: {text}")


def _aligned(position: int, alignment: int) -> int:
    return position + -position % alignment


def _serialise(kind: _Type, value: Any, big: bool) -> bytes:
    if kind.code in _FIXED:
        return struct.pack((">" if big else "<") + _FIXED[kind.code], value)
    if kind.code == "s":
        return str(value).encode("utf-8", "surrogateescape") + b"\0"
    if kind.code == "v":
        inner: Variant = value
        return _serialise(_parsed(inner.signature), inner.value, big) + b"\0" + inner.signature.encode()
    if kind.code == "a":
        return _serialise_array(kind.parts[0], value, big)
    return _serialise_tuple(kind, value, big)


def _serialise_array(part: _Type, value: Any, big: bool) -> bytes:
    if part.code == "y":
        return bytes(value)
    items: Sequence[Any] = list(value.items()) if isinstance(value, Mapping) else value
    body, ends = bytearray(), []
    for item in items:
        body += b"\0" * (-len(body) % part.alignment)
        body += _serialise(part, item, big)
        ends.append(len(body))
    return bytes(body) if part.fixed_size is not None else framed(body, ends)


def _serialise_tuple(kind: _Type, value: Sequence[Any], big: bool) -> bytes:
    body, ends = bytearray(), []
    for part, item in zip(kind.parts, value, strict=True):
        body += b"\0" * (-len(body) % part.alignment)
        body += _serialise(part, item, big)
        if part.fixed_size is None:
            ends.append(len(body))
    if kind.fixed_size is not None:
        return bytes(body).ljust(kind.fixed_size, b"\0")
    if kind.parts[-1].fixed_size is None:
        ends.pop()
    return framed(body, ends[::-1])


def framed(body: bytes | bytearray, ends: Sequence[int]) -> bytes:
    """`body` with the framing offsets of a container behind it, as wide as its whole size asks."""
    if not ends:
        return bytes(body)
    return bytes(body) + struct.pack(f"<{len(ends)}{_offset_letter(len(body), len(ends))}", *ends)


def _offset_letter(size: int, count: int) -> str:
    """The struct letter of `count` framing offsets behind a body of `size` bytes."""
    for width, letter in ((1, "B"), (2, "H"), (4, "I")):
        if size + count * width < 1 << (8 * width):
            return letter
    return "Q"


def width_of(total: int) -> int:
    """Width in bytes of the framing offsets in a container of `total` bytes."""
    return 1 if total < 1 << 8 else 2 if total < 1 << 16 else 4 if total < 1 << 32 else 8


def _offset(data: memoryview, width: int, from_end: int) -> int:
    at = len(data) - from_end * width
    return int.from_bytes(data[at : at + width], "little")


def _parse(kind: _Type, data: memoryview, big: bool) -> Any:
    if kind.code in _FIXED:
        return struct.unpack((">" if big else "<") + _FIXED[kind.code], data)[0]
    if kind.code == "s":
        return bytes(data[:-1]).decode("utf-8", "surrogateescape")
    if kind.code == "v":
        split = bytes(data).rindex(b"\0")
        signature = bytes(data[split + 1 :]).decode()
        return Variant(signature, _parse(_parsed(signature), data[:split], big))
    if kind.code == "a":
        return _parse_array(kind.parts[0], data, big)
    return _parse_tuple(kind, data, big)


def _parse_array(part: _Type, data: memoryview, big: bool) -> Any:
    if part.code == "y":
        return bytes(data)
    if part.code == "(" and part.parts and all(inner.code == "s" for inner in part.parts):
        return _parse_rows(len(part.parts), part, data)
    items = [_parse(part, data[start:end], big) for start, end in _elements(part, data)]
    return dict(items) if part.signature.startswith("{") else items


def _parse_rows(columns: int, part: _Type, data: memoryview) -> list[tuple[str, ...]]:
    """Rows of texts: lists of packages are long. No text holds a zero byte, which ends each."""
    whole, rows = bytes(data), []
    for start, end in _elements(part, data):
        cells = whole[start:end].split(b"\0", columns)
        if len(cells) <= columns:
            raise ValueError("a row of texts is cut short")
        rows.append(tuple([cell.decode("utf-8", "surrogateescape") for cell in cells[:columns]]))
    return rows


def _elements(part: _Type, data: memoryview) -> list[tuple[int, int]]:
    if not data:
        return []
    if part.fixed_size is not None:
        return [(at, at + part.fixed_size) for at in range(0, len(data), part.fixed_size)]
    width = width_of(len(data))
    first = _offset(data, width, 1)
    letter = {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
    ends = struct.unpack(f"<{(len(data) - first) // width}{letter}", data[first:])
    alignment = part.alignment
    starts = [0, *(_aligned(end, alignment) for end in ends[:-1])]
    return list(zip(starts, ends, strict=True))


def _parse_tuple(kind: _Type, data: memoryview, big: bool) -> tuple[Any, ...]:
    values, position, used = [], 0, 0
    width = width_of(len(data))
    for number, part in enumerate(kind.parts):
        position = _aligned(position, part.alignment)
        if part.fixed_size is not None:
            end = position + part.fixed_size
        elif number == len(kind.parts) - 1:
            end = len(data) - used * width
        else:
            used += 1
            end = _offset(data, width, used)
        values.append(_parse(part, data[position:end], big))
        position = end
    return tuple(values)
