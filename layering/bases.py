# SPDX-License-Identifier: GPL-2.0-or-later
"""Which commit packages are layered on: found without its content, so that what can't work costs no download.

Nothing here moves a branch. Where a transaction fails, what it fetched is removed again; where one only looked, it
stays for the one that follows, and a prune takes what nobody came back for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from layering.origin import Origin
from layering.refspec import Branch, Commit, LocalRepo
from layering.system import System
from rpmtree.errors import StoreError, UsageError
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.objects import Commit as CommitObject
from rpmtree.progress import Reporter, step

#: What a solve wants to know of a base: its packages, its repositories and their keys, which release it is.
SOLVED_FROM = ("/usr/share/rpm", "/usr/lib/sysimage/rpm", "/usr/etc", "/usr/lib/os-release", "/usr/share/pki")


@dataclass(frozen=True, slots=True)
class BaseCommit:
    """A commit to deploy, in hexadecimal, and where its content comes from: a remote, a repository, or nowhere."""

    checksum: str
    remote: str | None = None
    repo: Path | None = None
    #: The branch of `remote` that is at this commit.
    branch: str | None = None


def current(system: System, deployment: Deployment) -> BaseCommit:
    """The base of a deployment."""
    checksum = bytes.fromhex(deployment.checksum)
    return BaseCommit(base_of(checksum, system.sysroot.repository.commit(checksum)).hex())


def tip(
    system: System,
    origin: Origin,
    *,
    newer_than: str | None,
    cache_only: bool,
    reporter: Reporter,
    remote: str | None = None,
) -> BaseCommit:
    """The commit that an origin asks for now: of its branch the newest, or the one that it is kept at.

    With `newer_than` an older one is refused. `remote` may have a commit that is followed without a branch.
    Raises FetchError, StoreError.
    """
    base = origin.base
    kept = base.checksum if isinstance(base, Commit) else origin.override_commit
    if isinstance(base, Branch) and base.remote is not None:
        if kept is not None and is_whole(system, kept):
            return BaseCommit(kept, remote=base.remote)
        if cache_only:
            return BaseCommit(_local_branch(system, base), remote=base.remote, branch=base.branch)
        with step(reporter, f"Looking at {base}"):
            pulled = system.sysroot.remotes.pull(
                base.remote, kept or base.branch, commit_only=True, newer_than=newer_than
            )
        return BaseCommit(pulled.checksum, remote=base.remote, branch=None if kept else base.branch)
    checksum = kept or (_local_branch(system, base) if isinstance(base, Branch) else "")
    if remote is not None and not cache_only and not is_whole(system, checksum):
        with step(reporter, f"Looking at {checksum}"):
            system.sysroot.remotes.pull(remote, checksum, commit_only=True, newer_than=newer_than)
        return BaseCommit(checksum, remote=remote)
    found = system.sysroot.repository.commit(bytes.fromhex(checksum))
    if newer_than is not None:
        refuse_older(system, checksum, found, newer_than)
    return BaseCommit(checksum)


def from_repo(system: System, target: LocalRepo) -> BaseCommit:
    """A commit of another repository on this machine, pulled whole. Raises StoreError."""
    path = Path(target.path)
    return BaseCommit(system.sysroot.remotes.pull_local(path, target.rev).checksum, repo=path)


def by_revision(
    system: System, origin: Origin, revision: str, *, skip_branch_check: bool, cache_only: bool
) -> BaseCommit:
    """The commit that `version=X`, `revision=CHECKSUM` or either alone names on the origin's branch.

    Raises UsageError for a commit that is not of the branch, unless `skip_branch_check`; FetchError, StoreError.
    """
    kind, equals, value = revision.partition("=")
    if equals and kind not in ("version", "revision"):
        raise UsageError(f"{revision!r} is neither version=X nor revision=CHECKSUM")
    wanted = value if equals else revision
    if not isinstance(origin.base, Branch):
        raise UsageError("the system follows a commit, not a branch, in whose history a version could be looked up")
    remote = origin.base.remote
    if skip_branch_check and len(wanted) == 64 and remote is not None:
        checksum = system.sysroot.remotes.pull(remote, wanted, commit_only=True).checksum
        return BaseCommit(checksum, remote=remote)
    for checksum, commit in history(system, origin.base, cache_only=cache_only):
        version = commit.metadata.get("version")
        if checksum == wanted or (kind != "revision" and version is not None and version.value == wanted):
            return BaseCommit(checksum, remote=remote)
    raise UsageError(
        f"{origin.base} has no commit {wanted!r}",
        hint="--skip-branch-check takes a commit of another branch, given by its checksum",
    )


def history(system: System, branch: Branch, *, cache_only: bool = False) -> Iterator[tuple[str, CommitObject]]:
    """The commits of a branch, the newest first, as far as they are to be had. Raises FetchError, StoreError."""
    if branch.remote is None or cache_only:
        checksum = _local_branch(system, branch)
    else:
        checksum = system.sysroot.remotes.pull(branch.remote, branch.branch, commit_only=True, depth=-1).checksum
    repository = system.sysroot.repository
    while checksum:
        try:
            commit = repository.commit(bytes.fromhex(checksum))
        except StoreError:
            return  # the server keeps no more of it
        yield checksum, commit
        checksum = commit.parent.hex()


def back_to(
    system: System, branch: Branch, newest: BaseCommit, current: BaseCommit, cache_only: bool
) -> Iterator[BaseCommit]:
    """`newest`, the commits of its branch before it, and at last what is deployed now."""
    yield newest
    for checksum, _ in history(system, branch, cache_only=cache_only):
        if checksum == current.checksum:
            break
        if checksum != newest.checksum:
            yield BaseCommit(checksum, remote=branch.remote)
    yield current


def fetch_for_solve(system: System, found: BaseCommit) -> None:
    """Have what of the commit a solve reads. Raises FetchError."""
    if found.remote is not None and not is_whole(system, found.checksum):
        system.sysroot.remotes.pull_paths(found.remote, found.checksum, SOLVED_FROM)


def fetch(system: System, found: BaseCommit, reporter: Reporter) -> None:
    """Have all of the commit. Raises FetchError."""
    if found.remote is None:
        raise StoreError(
            f"the repository has only a part of the commit {found.checksum}", hint="`layer repair` gets it"
        )
    with step(reporter, "Fetching the base"):
        system.sysroot.remotes.pull(found.remote, found.checksum, reporter=reporter)


def is_whole(system: System, checksum: str) -> bool:
    """Whether the repository has a commit with all its content (libostree notes those of which it has a part)."""
    repo = system.sysroot.repo_path
    name = f"{checksum[:2]}/{checksum[2:]}.commit"
    return (repo / "objects" / name).exists() and not (repo / "state" / f"{checksum}.commitpartial").exists()


def are_partial(system: System) -> bool:
    """Whether the repository has a part of any commit alone."""
    return any((system.sysroot.repo_path / "state").glob("*.commitpartial"))


def refuse_older(system: System, checksum: str, commit: CommitObject, than: str) -> None:
    """Raise StoreError where a commit is older than the one deployed."""
    present = system.sysroot.repository.commit(bytes.fromhex(than))
    if commit.timestamp < present.timestamp:
        raise StoreError(
            f"the commit {checksum} is older than the one deployed, {than}",
            hint="if that is meant: --allow-downgrade",
        )


def unpinned(origin: Origin) -> Origin:
    """The origin as an upgrade follows it, no longer kept at a commit of its branch."""
    return replace(origin, override_commit=None) if origin.override_commit and not origin.custom_url else origin


def _local_branch(system: System, branch: Branch) -> str:
    found = system.sysroot.repository.resolve_branch(branch.remote, branch.branch)
    if found is None:
        raise StoreError(f"the repository has no branch {branch}", hint="without --cache-only it would be fetched")
    return found.hex()
