# SPDX-License-Identifier: GPL-2.0-or-later
"""The description of an update, with the keys of rpm-ostree's `cached-update`, and what `status` says of one.

What is ours is below the key `strata`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from layering.commits import package_list
from layering.origin import Origin
from layering.packagelists import KINDS, SEVERITIES, Notice, notices
from layering.refspec import Branch
from layering.system import System, see
from rpmtree.errors import StoreError
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.packagediff import Change, Kind

if TYPE_CHECKING:
    from layering.outcome import Outcome

#: rpm-ostree's numbers in `rpm-diff`: of the base, and layered.
_BASE, _LAYERED = 0, 1
_KINDS = {kind.value: kind for kind in (Kind.UPGRADED, Kind.DOWNGRADED, Kind.REMOVED, Kind.ADDED)}


def describe(system: System, before: Deployment, outcome: Outcome) -> dict[str, Any] | None:
    """The update that an upgrade of the deployment `before` is; None where it is none. Raises StoreError."""
    if outcome.unchanged:
        return None
    repository, raw = system.sysroot.repository, bytes.fromhex(outcome.base)
    old = base_of(bytes.fromhex(before.checksum), repository.commit(bytes.fromhex(before.checksum)))
    commit = repository.commit(raw)
    base = (*(package_list(repository.commit(old)) or ()), *(package_list(commit) or ()))
    told = notices(repository, raw, {str(change.new) for change in outcome.changes if change.new})
    origin = see(before).origin
    document = {
        "osname": before.osname,
        "origin": None if origin is None else str(origin.base),
        "checksum": outcome.base,
        "version": outcome.version,
        "timestamp": commit.timestamp,
        "ref-has-new-commit": raw != old,
        "gpg-enabled": _gpg_enabled(system, origin),
        "rpm-diff": diff_json(outcome.changes, base),
        "advisories": notices_json(told),
        "strata": {"from-checksum": before.checksum},
    }
    return {key: value for key, value in document.items() if value is not None}


def _gpg_enabled(system: System, origin: Origin | None) -> bool | None:
    if origin is None or not isinstance(origin.base, Branch) or origin.base.remote is None:
        return None
    with suppress(StoreError):
        return system.sysroot.remotes.show(origin.base.remote).gpg_verify
    return None


def diff_json(changes: Iterable[Change], base: Iterable[Nevra]) -> dict[str, list[list[Any]]]:
    """Changes as `rpm-diff` has them; `base` are packages of the old and new base.

    A row is [0 (base) or 1 (layered), name, old, new], each [evr, arch], or [0 or 1, name, evr, arch].
    """
    known = set(base)
    document: dict[str, list[list[Any]]] = {word: [] for word in _KINDS}
    for change in changes:
        sides = [nevra for nevra in (change.old, change.new) if nevra is not None]
        kind = _BASE if known.intersection(sides) else _LAYERED
        shown = [[nevra.evr, nevra.arch] for nevra in sides]
        document[change.kind.value].append([kind, change.name, *(shown if len(shown) == 2 else shown[0])])
    return document


def notices_json(notices: Iterable[Notice]) -> list[list[Any]]:
    """Advisories as rpm-ostree has them: id, kind, severity, packages, and the rest by name."""
    return [
        [n.id, n.kind, n.severity, list(n.packages), {"cve_references": [list(cve) for cve in n.cves]}] for n in notices
    ]


def diff_summary(update: Mapping[str, Any]) -> str:
    """`2 upgraded, 1 added`; empty where no package changes."""
    counts = [(len(update.get("rpm-diff", {}).get(word, ())), word) for word in _KINDS]
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def security_summary(update: Mapping[str, Any]) -> str:
    """`1 unknown severity, 2 important`: how many security advisories are of which severity."""
    rows: Sequence[Sequence[Any]] = update.get("advisories", ())
    counts = Counter(row[2] for row in rows if row[1] == KINDS.index("security"))
    words = ("unknown severity", *SEVERITIES[1:])
    return ", ".join(f"{counts[number]} {word}" for number, word in enumerate(words) if counts[number])


def notice_lines(update: Mapping[str, Any]) -> list[str]:
    """A line for each advisory."""
    rows = update.get("advisories", ())
    return [str(Notice(row[0], row[1], row[2], (), tuple(map(tuple, row[4]["cve_references"])))) for row in rows]
