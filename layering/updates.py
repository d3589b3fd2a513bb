# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found when updates were last looked for: a note in the stateroot's /var, which `status` shows.

The update is described with the keys of rpm-ostree's `cached-update`; what is ours is below `strata`. It says of which
deployment it is the update: beside any other one it is out of date, and not shown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layering.commits import package_list
from layering.origin import Origin
from layering.packagelists import KINDS, SEVERITIES, Notice, notices
from layering.refspec import Branch
from layering.system import System, see
from rpmtree.errors import StoreError
from rpmtree.files import write_atomically
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.packagediff import Change, Kind

if TYPE_CHECKING:
    from layering.outcome import Outcome

#: Below /var; rpm-ostree has a file of its own form in /var/cache/rpm-ostree.
FILE = "cache/strata/cached-update.json"
#: rpm-ostree's numbers in `rpm-diff`: of the base, and layered.
_BASE, _LAYERED = 0, 1
_KINDS = {kind.value: kind for kind in (Kind.UPGRADED, Kind.DOWNGRADED, Kind.REMOVED, Kind.ADDED)}


@dataclass(frozen=True, slots=True)
class LastLook:
    """The note. `when`: seconds since 1970; `update`: JSON values, None where there was nothing newer."""

    when: int
    update: Mapping[str, Any] | None = None
    #: By which policy; None: a person looked.
    policy: str | None = None
    #: Why an automatic run did nothing.
    message: str | None = None
    #: The commit that was staged by the policy, to be booted when that is allowed.
    staged: str | None = None

    def update_of(self, checksum: str) -> Mapping[str, Any] | None:
        """The update, if it is one of the deployed commit `checksum`."""
        ours = self.update.get("strata", {}) if self.update else {}
        return self.update if ours.get("from-checksum") == checksum else None


def looked(before: LastLook | None, when: int, update: Mapping[str, Any] | None) -> LastLook:
    """The note after a person has looked, and nothing was in the way; what a policy has staged is known still."""
    return replace(before, when=when, update=update, policy=None, message=None) if before else LastLook(when, update)


def read(var: Path) -> LastLook | None:
    """The note in a stateroot's /var; None where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads((var / FILE).read_text("utf-8"))
        update = said["update"]
        if update is not None and not isinstance(update, dict):
            return None
        return LastLook(int(said["when"]), update, said["policy"], said["message"], said["staged"])
    return None


def write(var: Path, look: LastLook) -> None:
    """Leave the note, durably. Raises StoreError."""
    path = var / FILE
    document = {
        "when": look.when,
        "policy": look.policy,
        "message": look.message,
        "staged": look.staged,
        "update": None if look.update is None else dict(look.update),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


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
