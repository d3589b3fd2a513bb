# SPDX-License-Identifier: GPL-2.0-or-later
"""What a transaction came to, as a value, as lines for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from layering.commits import package_list
from layering.decision import Context, Planned
from layering.origin import format_origin
from layering.packagediff import block_lines
from layering.requests import without_transient
from layering.state import STATE
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.objects import Commit
from rpmtree.rpm.packagediff import Change, difference, to_json


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is new beside the deployment before. `commit`: deployed as it is there already; None: to be made."""

    unchanged: bool
    commit: str | None
    base: str
    version: str | None
    changes: tuple[Change, ...]
    #: What was asked for and has no effect, and overrides that have ended.
    notes: tuple[str, ...] = ()
    dead: tuple[tuple[str, str], ...] = ()
    downloaded: bool = False
    deployment: Deployment | None = None

    def deployed_as(self, deployment: Deployment) -> Outcome:
        """The outcome of a transaction that made `deployment`."""
        return replace(self, deployment=deployment, commit=deployment.checksum)

    @property
    def lines(self) -> tuple[str, ...]:
        """What people are told: what changes, then what has no effect."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        yield from block_lines(self.changes)
        yield from self.notes

    @property
    def next_step(self) -> str:
        """What makes the deployment the running system."""
        assert self.deployment is not None
        if self.deployment.staged:
            return "Changes queued for next boot. Run `systemctl reboot` to start them."
        return f"Deployed {self.deployment.id}; it is the next to be booted."

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return {
            "changed": not self.unchanged,
            "deployment": None if self.deployment is None else self.deployment.id,
            "staged": self.deployment is not None and self.deployment.staged,
            "checksum": self.commit,
            "base": self.base,
            "version": self.version,
            "packages": to_json(self.changes),
            "notes": list(self.notes),
            "dead-repositories": dict(self.dead),
        }


def outcome_of(context: Context, planned: Planned) -> Outcome:
    """What `planned` would come to."""
    before = context.before
    commit = context.system.sysroot.repository.commit(bytes.fromhex(before.deployment.checksum))
    target = _target(commit, before.deployment.checksum, planned)
    same_origin = before.origin is not None and format_origin(without_transient(before.origin)) == format_origin(
        without_transient(planned.origin)
    )
    return Outcome(
        unchanged=target == before.deployment.checksum and same_origin,
        commit=target,
        base=planned.found.checksum,
        version=planned.base.version,
        changes=difference(package_list(commit) or (), planned.packages),
        notes=planned.classified.lines,
        dead=planned.layered.solution.dead if planned.layered else (),
    )


def as_it_is(context: Context) -> Outcome:
    """Nothing is to be done: the deployment before is what was asked for."""
    deployment = context.before.deployment
    commit = context.system.sysroot.repository.commit(bytes.fromhex(deployment.checksum))
    base = base_of(bytes.fromhex(deployment.checksum), commit)
    return Outcome(True, deployment.checksum, base.hex(), deployment.version, ())


def _target(commit: Commit, checksum: str, planned: Planned) -> str | None:
    """The commit that is there already and is what was decided."""
    if planned.layered is None:
        return planned.found.checksum
    made_from = commit.metadata.get(STATE)
    return checksum if made_from is not None and made_from.value == planned.layered.digest else None
