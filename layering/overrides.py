# SPDX-License-Identifier: GPL-2.0-or-later
"""What `override list` tells: each override of the next deployment, what became of it, and why it was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from layering.commits import Layers, layers, with_dormant
from layering.origin import Origin
from layering.system import System
from rpmtree.rpm.nevra import Nevra


@dataclass(frozen=True, slots=True)
class Override:
    """One override. `kind` is remove, replace, or replace from a repository; `effect` is empty where it has none."""

    name: str
    kind: str
    effect: str
    why_not: str = ""
    reason: str = ""
    until_newer: bool = False

    def __str__(self) -> str:
        terms = [*(["until newer"] if self.until_newer else []), *([self.reason] if self.reason else [])]
        told = self.effect or f"NO EFFECT: {self.why_not or 'the base has nothing to override'}"
        return f"{self.name}: {self.kind}: {told}" + (f" [{'; '.join(terms)}]" if terms else "")

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.name,
            "kind": self.kind,
            "effect": self.effect or None,
            "why-not": self.why_not or None,
            "reason": self.reason or None,
            "until-newer": self.until_newer,
        }


def listed(system: System) -> tuple[Override, ...]:
    """The overrides of the deployment that boots next, sorted by name. Raises StoreError."""
    seen = system.merge()
    commit = system.sysroot.repository.commit(bytes.fromhex(seen.deployment.checksum))
    origin = seen.require_origin()
    return tuple(sorted(_overrides(origin, with_dormant(layers(commit), origin, ())), key=lambda each: each.name))


def _overrides(origin: Origin, found: Layers) -> Iterator[Override]:
    removed = {nevra.name: f"{nevra} is left out" for nevra in found.removed}
    pairs = (*found.replaced, *(pair for pairs in found.replaced_from.values() for pair in pairs))
    replaced = {new.name: _change(new, old) for new, old in pairs}
    why = {entry.what: entry.why for entry in (*found.inactive_removals, *found.inactive_replacements)}
    reasons, lasting = dict(origin.reasons), set(origin.until_newer)

    def override(name: str, kind: str, effects: dict[str, str], label: str) -> Override:
        return Override(name, kind, effects.get(name, ""), why.get(label, ""), reasons.get(name, ""), name in lasting)

    yield from (override(name, "remove", removed, name) for name in origin.removals)
    for package in origin.local_replacements:
        yield override(package.nevra.name, "replace", replaced, str(package.nevra))
    for remote in origin.remote_replacements:
        for name in remote.packages:
            yield override(name, f"replace from {remote.repo}", replaced, f"{name} from {remote.repo}")


def _change(new: Nevra, old: Nevra) -> str:
    return f"{old.evr} -> {new.evr}"
