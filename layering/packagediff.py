# SPDX-License-Identifier: GPL-2.0-or-later
"""The difference of two lists of packages as lines. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rpmtree.rpm.packagediff import Change, Kind


def block_lines(changes: Sequence[Change]) -> Iterator[str]:
    """A title for each kind that there is, its packages indented."""
    for kind in Kind:
        of_kind = [change for change in changes if change.kind is kind]
        if of_kind:
            yield f"{kind.value.capitalize()}:"
            yield from (f"  {described(change)}" for change in of_kind)


def summary(changes: Iterable[Change]) -> str | None:
    """`1 upgraded, 2 added`; None where nothing changed."""
    counts = Counter(change.kind.value for change in changes)
    return ", ".join(f"{counts[word]} {word}" for word in (kind.value for kind in Kind) if counts[word]) or None


def diff_lines(changes: Iterable[Change]) -> Iterator[str]:
    """`!old` and `=new` of what changed its version, `-gone`, `+new`."""
    for change in changes:
        if change.old is not None and change.new is not None:
            yield f"!{change.old}"
            yield f"={change.new}"
        else:
            yield f"-{change.old}" if change.old else f"+{change.new}"


def described(change: Change) -> str:
    """A change on a line."""
    if change.old is not None and change.new is not None:
        arch = "" if change.old.arch == change.new.arch else f" ({change.old.arch} -> {change.new.arch})"
        return f"{change.name} {change.old.evr} -> {change.new.evr}{arch}"
    return str(change.new or change.old)
