# SPDX-License-Identifier: GPL-2.0-or-later
"""The order of versions as rpm has it, in pure Python: where no header is at hand, and none is worth making.

The rules are those of rpm-version(7): a version is a row of numbers and words; `~` sorts before the end of
the version, `^` after it but before anything that follows.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SEGMENT = re.compile(r"~|\^|[0-9]+|[A-Za-z]+")


class Evr(NamedTuple):
    """Epoch, version, release; None where the text does not give one."""

    epoch: int | None
    version: str
    release: str | None

    @classmethod
    def parse(cls, text: str) -> Evr:
        """Read `[epoch:]version[-release]`."""
        head, colon, rest = text.partition(":")
        if not (colon and (head.isdigit() or not head)):
            head, rest = "", text
        version, dash, release = rest.rpartition("-")
        if not dash:
            version, release = rest, ""
        return cls(int(head) if head else None, version, release if dash else None)


def compare_versions(left: str, right: str) -> int:
    """-1, 0 or 1 as `left` is older than, the same as, or newer than `right` (one part, such as a version)."""
    ours, theirs = _SEGMENT.findall(left), _SEGMENT.findall(right)
    for index in range(max(len(ours), len(theirs))):
        order = _compare_segments(
            ours[index] if index < len(ours) else None, theirs[index] if index < len(theirs) else None
        )
        if order:
            return order
    return 0


def _rank(segment: str | None) -> int:
    """What kind of segment sorts before what kind; numbers before words is dealt with by the value."""
    if segment is None:
        return 1
    return {"~": 0, "^": 2}.get(segment, 4 if segment[0].isdigit() else 3)


def _compare_segments(left: str | None, right: str | None) -> int:
    ranks = _rank(left), _rank(right)
    if ranks[0] != ranks[1]:
        return 1 if ranks[0] > ranks[1] else -1
    if left is None or right is None or left == right:
        return 0
    if ranks[0] == 4:
        left, right = left.lstrip("0"), right.lstrip("0")
        if len(left) != len(right):
            return 1 if len(left) > len(right) else -1
    return (left > right) - (left < right)


def compare_evr(left: Evr, right: Evr) -> int:
    """-1, 0 or 1; a missing epoch is 0, and a release that either side leaves out is not compared."""
    epochs = left.epoch or 0, right.epoch or 0
    if epochs[0] != epochs[1]:
        return 1 if epochs[0] > epochs[1] else -1
    order = compare_versions(left.version, right.version)
    if order or left.release is None or right.release is None:
        return order
    return compare_versions(left.release, right.release)


def satisfies(evr: Evr, sense: int, wanted: Evr) -> bool:
    """Whether `evr` meets `sense wanted`: RPMSENSE_LESS 2, GREATER 4, EQUAL 8; a sense of 0 is always met."""
    if not sense:
        return True
    order = compare_evr(evr, wanted)
    return bool(sense & (2 if order < 0 else 4 if order > 0 else 8))
