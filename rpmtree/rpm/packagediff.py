# SPDX-License-Identifier: GPL-2.0-or-later
"""The difference of two lists of packages, as values and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cmp_to_key
from typing import Any

from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.versions import Evr, compare_evr


class Kind(Enum):
    """What happened to a package, in the order in which it is shown."""

    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    REMOVED = "removed"
    ADDED = "added"


#: rpm-ostree's numbers in JSON (RpmOstreePackageDiffTypes …).
_NUMBERS = {Kind.ADDED: 0, Kind.REMOVED: 1, Kind.UPGRADED: 2, Kind.DOWNGRADED: 3}


@dataclass(frozen=True, slots=True)
class Change:
    """A package that differs. `old` None: it is new; `new` None: it is gone."""

    kind: Kind
    old: Nevra | None
    new: Nevra | None

    @property
    def name(self) -> str:
        """The package's name."""
        return next(found.name for found in (self.new, self.old) if found)


def difference(old: Iterable[Nevra], new: Iterable[Nevra]) -> tuple[Change, ...]:
    """What differs, sorted by name. Builds are matched by name and architecture, then by name alone.

    Where several builds of a package are installed beside one another (kernels), the newest are matched.
    """
    before, after = set(old), set(new)
    gone, come = _grouped(before - after), _grouped(after - before)
    changes: list[Change] = []
    for name in sorted({*gone, *come}):
        changes += _changes(gone.get(name, []), come.get(name, []))
    return tuple(changes)


def _grouped(packages: Iterable[Nevra]) -> dict[str, list[Nevra]]:
    found: dict[str, list[Nevra]] = {}
    for nevra in packages:
        found.setdefault(nevra.name, []).append(nevra)
    for builds in found.values():
        builds.sort(key=cmp_to_key(_newest_first))
    return found


def _newest_first(left: Nevra, right: Nevra) -> int:
    order = compare_evr(_evr(right), _evr(left))
    return order or (left > right) - (left < right)


def _changes(gone: list[Nevra], come: list[Nevra]) -> Iterator[Change]:
    pairs: list[tuple[Nevra, Nevra]] = []
    for same_arch in (True, False):
        for new in list(come):
            old = next((found for found in gone if not same_arch or found.arch == new.arch), None)
            if old is not None:
                pairs.append((old, new))
                gone.remove(old)
                come.remove(new)
    for old, new in sorted(pairs):
        order = compare_evr(_evr(old), _evr(new))
        yield Change(Kind.DOWNGRADED if order > 0 else Kind.UPGRADED, old, new)
    yield from (Change(Kind.REMOVED, old, None) for old in gone)
    yield from (Change(Kind.ADDED, None, new) for new in come)


def to_json(changes: Iterable[Change]) -> list[list[Any]]:
    """`[name, number of the kind, {"PreviousPackage": [name, evr, arch], "NewPackage": …}]` for each."""
    return [
        [
            change.name,
            _NUMBERS[change.kind],
            {
                key: [nevra.name, nevra.evr, nevra.arch]
                for key, nevra in (("PreviousPackage", change.old), ("NewPackage", change.new))
                if nevra is not None
            },
        ]
        for change in changes
    ]


def _evr(nevra: Nevra) -> Evr:
    return Evr(nevra.epoch, nevra.version, nevra.release)
