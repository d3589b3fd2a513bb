# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's versions and dependency fields, and how they are said in RPM. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

_OPERATORS = {"<<": "<", ">>": ">", "<": "<=", ">": ">="}


@dataclass(frozen=True, slots=True)
class Evr:
    """An RPM version; `epoch` is None where Debian has none."""

    epoch: int | None
    version: str
    release: str

    def __str__(self) -> str:
        return f"{'' if self.epoch is None else f'{self.epoch}:'}{self.version}-{self.release}"


def evr(debian: str) -> Evr:
    """`1:2.0-rc-3` is 1:2.0_rc-3; a version without a revision gets release 0.

    Dependencies write the revision `.` for what is above every real revision: rpm would put it below.
    """
    epoch, colon, rest = debian.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, "0"
    revision = "9999999" if revision == "." else revision
    return Evr(int(epoch) if colon else None, upstream.replace("-", "_"), revision)


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a clause: a package name and, where `operator` is not empty, a Debian version."""

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {evr(self.version)}" if self.operator else self.name


def clauses(field: str) -> Iterator[tuple[Relation, ...]]:
    """A dependency field as clauses of alternatives; architecture qualifiers and build profiles are dropped."""
    for clause in re.split(r"\s*,\s*", field.replace("\n", " ").strip(" ,")):
        if clause:
            yield tuple(_relation(text) for text in re.split(r"\s*\|\s*", clause))


def _relation(text: str) -> Relation:
    match = re.fullmatch(r"([^\s:(\[]+)(?::\S+)?\s*(?:\(([<>=]+)\s*([^\s)]+)\))?\s*(?:\[.*\])?", text.strip())
    if not match:
        raise ValueError(f"not a dependency: {text!r}")
    operator = _OPERATORS.get(match[2] or "", match[2] or "")
    return Relation(match[1], operator, match[3] or "")


def requirement(alternatives: tuple[Relation, ...], vanished: Container[str]) -> str:
    """A clause as an RPM dependency, rich if it has alternatives; empty if one of them has vanished."""
    if any(relation.name in vanished for relation in alternatives):
        return ""
    found = list(dict.fromkeys(str(relation) for relation in alternatives))
    return found[0] if len(found) == 1 else f"({' or '.join(found)})"


def compare(left: str, right: str) -> int:
    """Below, at or above 0, as dpkg orders versions (deb-version(7))."""
    a, b = (_parts(version) for version in (left, right))
    return (a > b) - (a < b)


sort_key = functools.cmp_to_key(compare)


def _parts(version: str) -> tuple[object, ...]:
    epoch, _, rest = version.rpartition(":")
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return int(epoch or 0), _ordered(upstream), _ordered(revision)


def _ordered(part: str) -> tuple[object, ...]:
    """Alternating text and number; in text `~` is below the end, letters below all other characters."""
    result: list[object] = []
    for text, number in re.findall(r"(\D*)(\d*)", part):
        result += [
            (*(-1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256 for c in text), 0),
            int(number or 0),
        ]
    return tuple(result)
