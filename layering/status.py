# SPDX-License-Identifier: GPL-2.0-or-later
"""What `layer status` knows of deployments, as values, and as JSON for programs (docs/status.schema.json).

Key names are rpm-ostree's; `strata` holds what is ours. Gathering the values is the caller's, the text for people
`layering.status_text`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from layering.classify import Dormant
from layering.origin import Origin
from rpmtree.rpm.nevra import Nevra, Pair


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of the deployed base commit; `kind` is gpg or ed25519, `key` a fingerprint or public key."""

    kind: str
    key: str
    valid: bool
    user: str | None = None
    #: Seconds since 1970.
    timestamp: int | None = None
    #: Why it is not valid.
    error: str | None = None


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """A commit as status shows it. `timestamp`: seconds since 1970; `meta` holds JSON values."""

    checksum: str
    timestamp: int
    version: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeploymentStatus:
    """A deployment. `origin` None: its origin file can't be read, and `origin_error` says why."""

    osname: str
    serial: int
    commit: CommitStatus
    origin: Origin | None
    origin_error: str | None = None
    #: The commit below a layered one; None where the base is deployed as it is.
    base: CommitStatus | None = None
    #: Newer than the base, in the repository, not deployed.
    pending_base: CommitStatus | None = None
    booted: bool = False
    staged: bool = False
    finalization_locked: bool = False
    pinned: bool = False
    #: As libostree calls it: none, development, hotfix, transient.
    unlocked: str = "none"
    #: Whether the remote asks for GPG signatures; None where there is no remote.
    gpg_enabled: bool | None = None
    signatures: tuple[Signature, ...] = ()
    #: Why the remote's configuration could not be read.
    remote_error: str | None = None
    endoflife: str | None = None
    #: Layered requests that took effect.
    packages: tuple[str, ...] = ()
    base_removals: tuple[Nevra, ...] = ()
    #: New and old package.
    base_local_replacements: tuple[Pair, ...] = ()
    #: Repository → new and old packages.
    base_remote_replacements: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    inactive_requests: tuple[Dormant, ...] = ()
    inactive_removals: tuple[Dormant, ...] = ()
    inactive_replacements: tuple[Dormant, ...] = ()
    live_inprogress: str | None = None
    live_replaced: str | None = None
    #: What it has that the booted deployment has not, in a line.
    diff: str | None = None
    #: Whether it has shown that it boots, where that is not so yet: `trying 2 of 3`.
    boot_trial: str | None = None

    @property
    def id(self) -> str:
        """As libostree names it: stateroot, checksum, serial."""
        return f"{self.osname}-{self.commit.checksum}.{self.serial}"

    @property
    def is_verified(self) -> bool:
        """Whether a valid signature stands for what is deployed."""
        return any(signature.valid for signature in self.signatures)


@dataclass(frozen=True, slots=True)
class Transaction:
    """Another command at work: `since` in seconds since 1970."""

    title: str
    pid: int
    since: int


@dataclass(frozen=True, slots=True)
class AutomaticUpdates:
    """The policy, when updates were last looked for (seconds since 1970), and why the policy's run did nothing."""

    policy: str
    last_look: int | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """All deployments, the next to be booted first. `cached_update` holds JSON values."""

    deployments: tuple[DeploymentStatus, ...] = ()
    transaction: Transaction | None = None
    cached_update: Mapping[str, Any] | None = None
    update_driver: str | None = None
    #: Why the previous shutdown did not finish a staged deployment.
    finalization_failure: str | None = None
    automatic: AutomaticUpdates = AutomaticUpdates("none")

    @property
    def booted_only(self) -> SystemStatus:
        """The same with no deployment but the booted one (`-b`)."""
        return replace(self, deployments=tuple(deployment for deployment in self.deployments if deployment.booted))


def to_json(status: SystemStatus) -> dict[str, Any]:
    """The document of `status --json`. Keys without a value are left out, save at the top."""
    return {
        "deployments": [_deployment_json(deployment) for deployment in status.deployments],
        "transaction": None
        if (at_work := status.transaction) is None
        else {"title": at_work.title, "pid": at_work.pid, "since": at_work.since},
        "cached-update": None if status.cached_update is None else dict(status.cached_update),
        "update-driver": status.update_driver,
        "strata": {"automatic-updates": _without_none(asdict(status.automatic))},
    }


def _deployment_json(deployment: DeploymentStatus) -> dict[str, Any]:
    commit, base = deployment.commit, deployment.base
    document = {
        "id": deployment.id,
        "osname": deployment.osname,
        "serial": deployment.serial,
        **_commit_json("", commit),
        **(_commit_json("base-", base) if base else {}),
        **(_commit_json("pending-base-", deployment.pending_base) if deployment.pending_base else {}),
        "base-commit-meta": _meta(base or commit),
        "layered-commit-meta": _meta(commit) if base else None,
        "endoflife": deployment.endoflife,
        **_requested_json(deployment.origin),
        "packages": list(deployment.packages),
        "modules": [],
        "base-removals": [_nevra_json(nevra) for nevra in deployment.base_removals],
        "base-local-replacements": _pairs_json(deployment.base_local_replacements),
        "base-remote-replacements": {
            repo: _pairs_json(pairs) for repo, pairs in sorted(deployment.base_remote_replacements.items())
        },
        "booted": deployment.booted,
        "staged": deployment.staged,
        "finalization-locked": deployment.finalization_locked,
        "pinned": deployment.pinned,
        "unlocked": deployment.unlocked,
        "live-inprogress": deployment.live_inprogress,
        "live-replaced": deployment.live_replaced,
        "gpg-enabled": deployment.gpg_enabled,
        "signatures": [_signature_json(signature) for signature in deployment.signatures],
        "remote-error": deployment.remote_error,
        "strata": _ours_json(deployment),
    }
    return {key: value for key, value in document.items() if value is not None}


def _without_none(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key.replace("_", "-"): value for key, value in document.items() if value is not None}


def _commit_json(prefix: str, commit: CommitStatus) -> dict[str, Any]:
    return {
        f"{prefix}checksum": commit.checksum,
        f"{prefix}version": commit.version,
        f"{prefix}timestamp": commit.timestamp,
    }


def _meta(commit: CommitStatus) -> dict[str, Any]:
    return {key: value for key, value in commit.meta.items() if key != "rpmostree.rpmdb.pkglist"}


def _requested_json(origin: Origin | None) -> dict[str, Any]:
    if origin is None:
        return {}
    custom = [origin.custom_url, origin.custom_description]
    return {
        "origin": str(origin.base),
        "custom-origin": custom if None not in custom else None,
        "requested-packages": list(origin.packages),
        "requested-local-packages": [str(package.nevra) for package in origin.local_packages],
        "requested-local-fileoverride-packages": [str(package.nevra) for package in origin.local_fileoverride],
        "requested-base-removals": list(origin.removals),
        "requested-base-local-replacements": [str(package.nevra) for package in origin.local_replacements],
        "requested-base-remote-replacements": {
            replacement.repo: list(replacement.packages) for replacement in origin.remote_replacements
        },
        "regenerate-initramfs": origin.regenerate_initramfs,
        "initramfs-args": list(origin.initramfs_args),
        "initramfs-etc": list(origin.initramfs_etc),
        "cliwrap": any((extra.group, extra.key, extra.raw) == _CLIWRAP for extra in origin.extras),
    }


def _nevra_json(nevra: Nevra) -> list[str | int]:
    return [str(nevra), nevra.name, nevra.epoch, nevra.version, nevra.release, nevra.arch]


def _pairs_json(pairs: Iterable[Pair]) -> list[list[list[str | int]]]:
    return [[_nevra_json(new), _nevra_json(old)] for new, old in pairs]


def _signature_json(signature: Signature) -> dict[str, Any]:
    document = {
        "kind": signature.kind,
        "key": signature.key,
        "valid": signature.valid,
        "user": signature.user,
        "timestamp": signature.timestamp,
        "error": signature.error,
    }
    return {key: value for key, value in document.items() if value is not None}


def _ours_json(deployment: DeploymentStatus) -> dict[str, Any]:
    origin = deployment.origin
    document = {
        "verified": deployment.is_verified,
        "override-commit": origin and origin.override_commit,
        "unconfigured-state": origin and origin.unconfigured_state,
        "follow": list(origin.follow) if origin else [],
        "until-newer": list(origin.until_newer) if origin else [],
        "reasons": dict(origin.reasons) if origin else {},
        "inactive-requests": _dormant_json(deployment.inactive_requests),
        "inactive-base-removals": _dormant_json(deployment.inactive_removals),
        "inactive-base-replacements": _dormant_json(deployment.inactive_replacements),
        "origin-error": deployment.origin_error,
        "boot-trial": deployment.boot_trial,
    }
    return {key: value for key, value in document.items() if value is not None}


def _dormant_json(entries: Iterable[Dormant]) -> list[dict[str, str]]:
    return [{"what": entry.what, "why": entry.why} for entry in entries]


_CLIWRAP = ("rpmostree", "ex-cliwrap", "true")
