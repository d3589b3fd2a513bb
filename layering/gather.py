# SPDX-License-Identifier: GPL-2.0-or-later
"""Gathering what `layer status` shows out of a sysroot: reading only, and as far as who asks may read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from layering import boot_memory, commits, last_look
from layering.origin import Origin
from layering.packagediff import summary
from layering.refspec import Branch
from layering.settings import read_settings
from layering.status import (
    AutomaticUpdates,
    CommitStatus,
    DeploymentStatus,
    Signature,
    SystemStatus,
    Transaction,
)
from layering.system import Seen, see, var_of
from layering.trial import Memory, describe
from rpmtree.errors import ConfigError, StoreError, ToolError
from rpmtree.ostree import finalization
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.lock import at_work
from rpmtree.ostree.objects import PKGLIST, Commit
from rpmtree.ostree.refs import read_ref
from rpmtree.ostree.remotes import Remotes
from rpmtree.ostree.sysroot import Sysroot
from rpmtree.rpm.packagediff import difference


def gather(sysroot: Sysroot, stateroot: str | None = None) -> SystemStatus:
    """The status of all deployments, or of one stateroot's. Raises StoreError."""
    present = sysroot.deployments()
    shown = [found for found in present if stateroot in (None, found.osname)]
    look = _Look(sysroot, next((found for found in present if found.booted), None))
    busy = at_work(sysroot.path / "ostree")
    automatic, update = _updates(sysroot, shown)
    return SystemStatus(
        tuple(look.deployment(see(found)) for found in shown),
        transaction=None if busy is None else Transaction(busy.command, busy.pid, busy.since),
        cached_update=update,
        finalization_failure=finalization.failure(sysroot.path),
        automatic=automatic,
    )


def _updates(sysroot: Sysroot, shown: Sequence[Deployment]) -> tuple[AutomaticUpdates, Mapping[str, Any] | None]:
    """What is done about updates in the stateroot that runs, else in the first; and the update that was found."""
    booted = next((found for found in shown if found.booted), None)
    first = next((found for found in shown if booted is None or found.osname == booted.osname), None)
    if first is None:
        return AutomaticUpdates("none"), None
    last = last_look.read(var_of(sysroot.path, first.osname, running=booted is not None))
    try:
        policy = read_settings((booted or first).path).policy.value
    except ConfigError as error:
        return AutomaticUpdates("unknown", last.when if last else None, f"{error.place}: {error.message}"), None
    if last is None:
        return AutomaticUpdates(policy), None
    return AutomaticUpdates(policy, last.when, last.message), last.update_of(first.checksum)


class _Look:
    """One look at a sysroot: each commit and each remote is read once."""

    def __init__(self, sysroot: Sysroot, booted: Deployment | None) -> None:
        self.repo: Path = sysroot.repo_path
        self._sysroot = sysroot
        self._remotes: Remotes = sysroot.remotes
        self._booted = booted
        repository = sysroot.repository
        self._trials: Callable[[str], tuple[Memory, int]] = lru_cache(self._boots)
        self._commit: Callable[[bytes], Commit] = lru_cache(lambda raw: repository.commit(raw, without=(PKGLIST,)))
        self._whole: Callable[[bytes], Commit] = lru_cache(repository.commit)
        self._verified: Callable[[str], tuple[bool | None, str | None]] = lru_cache(self._gpg_enabled)

    def deployment(self, seen: Seen) -> DeploymentStatus:
        """All of one deployment."""
        found, origin = seen.deployment, seen.origin
        raw = bytes.fromhex(found.checksum)
        try:
            commit = self._commit(raw)
        except StoreError:  # the repository lost it: what else is known is shown all the same
            commit = Commit(b"", b"", found.timestamp)
        base_raw = base_of(raw, commit)
        base = self._status(base_raw)
        layers = self._layers(commit, base_raw, origin)
        remote = origin.base.remote if origin and isinstance(origin.base, Branch) else None
        enabled, remote_error = self._verified(remote) if remote else (None, None)
        return DeploymentStatus(
            osname=found.osname,
            serial=found.serial,
            commit=_status(found.checksum, commit),
            origin=origin,
            origin_error=seen.origin_error,
            base=base if base_raw != raw else None,
            pending_base=self._pending(origin, base),
            booted=found.booted,
            staged=found.staged,
            finalization_locked=found.held_back,
            pinned=found.pinned,
            unlocked=_unlocked(found, origin),
            gpg_enabled=enabled,
            signatures=self._signatures(base_raw, remote) if remote and remote_error is None else (),
            remote_error=remote_error,
            endoflife=commits.text(commit, "ostree.endoflife") or self._end_of_life(base_raw),
            packages=layers.packages,
            base_removals=layers.removed,
            base_local_replacements=layers.replaced,
            base_remote_replacements=layers.replaced_from,
            inactive_requests=layers.inactive_requests,
            inactive_removals=layers.inactive_removals,
            inactive_replacements=layers.inactive_replacements,
            diff=self._diff(found),
            boot_trial=self._trial(found),
        )

    def _layers(self, commit: Commit, base: bytes, origin: Origin | None) -> commits.Layers:
        found = commits.layers(commit)
        if origin is None:
            return found
        try:
            # Long, and only asked for files that the base may have, too.
            packages = commits.package_list(self._whole(base)) if origin.local_names else None
        except StoreError:
            packages = None
        return commits.with_dormant(found, origin, packages or ())

    def _status(self, raw: bytes) -> CommitStatus:
        try:
            return _status(raw.hex(), self._commit(raw))
        except StoreError:
            return CommitStatus(raw.hex(), 0)

    def _end_of_life(self, raw: bytes) -> str | None:
        try:
            return commits.text(self._commit(raw), "ostree.endoflife")
        except StoreError:
            return None

    def _pending(self, origin: Origin | None, base: CommitStatus) -> CommitStatus | None:
        """The tip of the branch that is followed, where it is newer than the base."""
        if origin is None or not isinstance(origin.base, Branch):
            return None
        try:
            tip = read_ref(self.repo, origin.base.branch, remote=origin.base.remote)
        except StoreError:
            return None
        if tip is None or tip.hex() == base.checksum:
            return None
        pending = self._status(tip)
        return pending if pending.timestamp > base.timestamp else None

    def _gpg_enabled(self, remote: str) -> tuple[bool | None, str | None]:
        try:
            return self._remotes.show(remote).gpg_verify, None
        except ToolError as error:
            return None, error.message

    def _signatures(self, raw: bytes, remote: str) -> tuple[Signature, ...]:
        ask: Callable[[str, str], Iterable[Any]] | None = getattr(self._remotes, "signatures", None)
        if ask is None:
            return ()
        try:
            found = ask(raw.hex(), remote)
        except ToolError:
            return ()
        return tuple(Signature(s.kind, s.key, s.valid, s.user, s.timestamp, s.error) for s in found)

    def _trial(self, found: Deployment) -> str | None:
        memory, tries = self._trials(found.osname)
        return describe(memory, found.checksum, tries)

    def _boots(self, osname: str) -> tuple[Memory, int]:
        running = self._booted is not None and self._booted.osname == osname
        memory = boot_memory.read(var_of(self._sysroot.path, osname, running=running))
        known = memory.trial is not None or memory.refused
        return memory, read_settings(Path("/") if self._booted else None).boot_tries if known else 0

    def _diff(self, found: Deployment) -> str | None:
        """How what waits differs from what runs, in a line."""
        if self._booted is None or found.index >= self._booted.index or found.osname != self._booted.osname:
            return None
        try:
            old, new = (
                commits.package_list(self._whole(bytes.fromhex(checksum)))
                for checksum in (self._booted.checksum, found.checksum)
            )
        except StoreError:
            return None
        return summary(difference(old, new)) if old is not None and new is not None else None


def _status(checksum: str, commit: Commit) -> CommitStatus:
    return CommitStatus(checksum, commit.timestamp, commits.text(commit, "version"), commits.to_json(commit.metadata))


def _unlocked(found: Deployment, origin: Origin | None) -> str:
    extras = origin.extras if origin else ()
    persistent = next((extra.raw for extra in extras if (extra.group, extra.key) == ("origin", "unlocked")), None)
    return finalization.unlocked(found.checksum, found.serial, persistent)
