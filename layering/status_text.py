# SPDX-License-Identifier: GPL-2.0-or-later
"""The text of `layer status`: rpm-ostree's layout, from the values of `layering.status`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from layering.refspec import Branch
from layering.status import AutomaticUpdates, DeploymentStatus, SystemStatus
from rpmtree.console import printable
from rpmtree.rpm.nevra import Pair

#: Of the longest label, so that columns stay where they are from one call to the next.
_WIDTH = len("InactiveBaseReplacements")
Field = tuple[str, str | Sequence[str]]


def to_text(
    status: SystemStatus, *, verbose: bool = False, booted: bool = False, advisories: bool = False, columns: int = 80
) -> str:
    """The text of `status`, each line ended.

    `booted`: of the booted deployment alone; `advisories`: each one of an update; `columns`: where lists break.
    """
    shown = status.booted_only if booted else status
    title = "BootedDeployment:" if booted else "Deployments:"
    lines = [*_head(shown), title if shown.deployments else f"{title} none"]
    for index, deployment in enumerate(shown.deployments):
        if index:
            lines.append("")
        lines += _deployment_lines(deployment, verbose, columns)
    if shown.cached_update is not None:
        lines += ["", "AvailableUpdate:", *_field_lines(_update(shown.cached_update, advisories), columns)]
    return "".join(f"{line}\n" for line in lines)


def _head(status: SystemStatus) -> Iterator[str]:
    yield "State: idle" if status.transaction is None else "State: busy"
    if status.update_driver is not None:
        yield f"AutomaticUpdatesDriver: {_line(status.update_driver)}"
    yield from _automatic(status.automatic)
    if status.finalization_failure is not None:
        yield f"Warning: failed to finalize previous deployment: {_line(status.finalization_failure)}"
    if (at_work := status.transaction) is not None:
        yield f"Transaction: {_line(at_work.title)} (pid {at_work.pid}, since {iso(at_work.since)})"


def _deployment_lines(deployment: DeploymentStatus, verbose: bool, columns: int) -> Iterator[str]:
    origin = deployment.origin
    what = "origin unknown" if origin is None else origin.custom_description or str(origin.base)
    yield f"{'●' if deployment.booted else ' '} {_line(what)}"
    yield from _field_lines(_fields(deployment, verbose), columns)


def _automatic(automatic: AutomaticUpdates) -> Iterator[str]:
    """Silent where nothing is automatic."""
    if automatic.policy == "none":
        return
    when = "never looked" if automatic.last_look is None else f"last looked {iso(automatic.last_look)}"
    said = f": {_line(automatic.message)}" if automatic.message else ""
    yield f"AutomaticUpdates: {automatic.policy}, {when}{said}"


def _update(update: Mapping[str, Any], advisories: bool) -> Iterator[Field]:
    from layering.updates import diff_summary, notice_lines, security_summary

    version, when = update.get("version"), iso(update.get("timestamp", 0))
    if update.get("ref-has-new-commit"):
        yield ("Version", f"{version} ({when})") if version else ("Timestamp", when)
        yield "Commit", str(update.get("checksum"))
    yield "SecAdvisories", security_summary(update)
    if advisories:
        yield from (("Advisory", line) for line in notice_lines(update))
    yield "Diff", diff_summary(update)


def _field_lines(fields: Iterable[Field], columns: int) -> Iterator[str]:
    indent = " " * (_WIDTH + 4)
    for label, content in fields:
        words = [content] if isinstance(content, str) else content
        if any(words):
            first, *rest = _wrapped(list(map(_line, words)), columns - len(indent))
            yield f"  {label:>{_WIDTH}}: {first}"
            yield from (f"{indent}{line}" for line in rest)


def _fields(deployment: DeploymentStatus, verbose: bool) -> Iterator[Field]:
    yield from _identity(deployment, verbose)
    yield from _trust(deployment, verbose)
    if deployment.diff is not None:
        yield "Diff", deployment.diff
    yield from _overrides(deployment)
    yield from _overlays(deployment)
    yield from _condition(deployment)


def _identity(deployment: DeploymentStatus, verbose: bool) -> Iterator[Field]:
    commit, base, origin = deployment.commit, deployment.base, deployment.origin
    shown = base or commit
    if deployment.origin_error is not None:
        yield "OriginError", deployment.origin_error
    if origin and origin.custom_url is not None:
        yield "CustomOrigin", origin.custom_url
    version = commit.version or shown.version
    yield (("Version", f"{version} ({iso(shown.timestamp)})") if version else ("Timestamp", iso(shown.timestamp)))
    yield "BaseCommit" if base else "Commit", shown.checksum
    if base and verbose:
        yield "Commit", f"{commit.checksum} ({iso(commit.timestamp)})"
    if verbose:
        yield "StateRoot", deployment.osname
    if origin and origin.override_commit is not None:
        yield "KeptAtCommit", origin.override_commit
    if deployment.pending_base is not None:
        pending = deployment.pending_base
        yield "PendingBase", f"{pending.version or pending.checksum} ({iso(pending.timestamp)})"


def _trust(deployment: DeploymentStatus, verbose: bool) -> Iterator[Field]:
    if deployment.remote_error is not None:
        yield "RemoteError", deployment.remote_error
    for signature in deployment.signatures:
        label = "GPGSignature" if signature.kind == "gpg" else "Signature"
        who = f"{signature.key} ({signature.user})" if verbose and signature.user else signature.key
        why = f": {signature.error}" if signature.error else ""
        yield label, f"Valid signature by {who}" if signature.valid else f"Invalid signature by {who}{why}"
    if deployment.gpg_enabled and not deployment.signatures:
        yield "GPGSignature", "(unsigned)"
    follows_remote = deployment.origin and isinstance(deployment.origin.base, Branch) and deployment.origin.base.remote
    if follows_remote and not deployment.gpg_enabled and not deployment.is_verified:
        yield "GPGSignature", "not verified"


def _overrides(deployment: DeploymentStatus) -> Iterator[Field]:
    origin = deployment.origin
    terms = {name: f" [{text}]" for name, text in origin.reasons} if origin else {}
    for name in origin.until_newer if origin else ():
        terms[name] = f" [until newer]{terms.get(name, '')}"
    yield "RemovedBasePackages", _listed(f"{n.name} {n.evr}{terms.get(n.name, '')}" for n in deployment.base_removals)
    yield "LocalOverrides", _listed(_change(pair, terms) for pair in deployment.base_local_replacements)
    for repo, pairs in sorted(deployment.base_remote_replacements.items()):
        yield "RemoteOverrides", _listed(f"{_change(pair, terms)} from {repo}" for pair in pairs)
    yield "InactiveBaseRemovals", _listed(map(str, deployment.inactive_removals))
    yield "InactiveBaseReplacements", _listed(map(str, deployment.inactive_replacements))


def _overlays(deployment: DeploymentStatus) -> Iterator[Field]:
    origin = deployment.origin
    yield "LayeredPackages", deployment.packages
    if origin:
        follow = dict.fromkeys(origin.follow, " [follows repositories]")
        local = [f"{package.nevra}{follow.get(package.nevra.name, '')}" for package in origin.local_packages]
        yield "LocalPackages", local
        yield "LocalForcedPackages", [str(package.nevra) for package in origin.local_fileoverride]
    yield "InactiveRequests", _listed(map(str, deployment.inactive_requests))
    if origin and origin.regenerate_initramfs:
        yield "Initramfs", " ".join(("regenerate", *origin.initramfs_args))
    if origin:
        yield "InitramfsEtc", origin.initramfs_etc


def _condition(deployment: DeploymentStatus) -> Iterator[Field]:
    origin = deployment.origin
    flags = {
        "Staged": deployment.staged,
        "FinalizationLocked": deployment.finalization_locked,
        "Pinned": deployment.pinned,
    }
    yield from ((label, "yes") for label, holds in flags.items() if holds)
    if deployment.boot_trial is not None:
        yield "BootTrial", deployment.boot_trial
    if deployment.unlocked != "none":
        yield "Unlocked", deployment.unlocked
    if origin and origin.unconfigured_state is not None:
        yield "UnconfiguredState", origin.unconfigured_state
    if deployment.endoflife is not None:
        yield "EndOfLife", deployment.endoflife


def _change(pair: Pair, terms: Mapping[str, str]) -> str:
    new, old = pair
    return f"{new.name} {old.evr} -> {new.evr}{terms.get(new.name, '')}"


def _listed(entries: Iterable[str]) -> list[str]:
    """Entries that hold spaces, with commas between them."""
    found = list(entries)
    return [*(f"{entry}," for entry in found[:-1]), *found[-1:]]


def _wrapped(words: list[str], width: int) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _line(text: str) -> str:
    """`text` on one line, unable to drive a terminal: versions and descriptions come from elsewhere."""
    return printable(text).replace("\n", "\\n").replace("\t", " ")


def iso(seconds: int) -> str:
    """A time as status shows it: UTC, by ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
