# SPDX-License-Identifier: GPL-2.0-or-later
"""What a system follows: a branch of a remote or of the local repository, or one commit.

`parse_target` reads what a user may ask to rebase to; `parse_base` what an origin holds. Both are pure: whether a
remote, a branch or a commit is there is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from layering import allowed

_CONTAINERS = ("ostree-unverified-", "ostree-remote-", "ostree-image-signed:", "docker://", "registry:", "containers-")


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch; `remote` None is the local repository."""

    remote: str | None
    branch: str

    def __str__(self) -> str:
        return f"{self.remote}:{self.branch}" if self.remote else self.branch


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, which no upgrade leaves."""

    checksum: str

    def __str__(self) -> str:
        return self.checksum


@dataclass(frozen=True, slots=True)
class RemoteOnly:
    """Another remote, the branch as it is."""

    remote: str


@dataclass(frozen=True, slots=True)
class BranchOnly:
    """Another branch, of the remote that is followed."""

    branch: str


@dataclass(frozen=True, slots=True)
class LocalRepo:
    """A branch or commit of the repository at an absolute path: to be pulled, then kept as a `Commit`."""

    path: str
    rev: str


Base = Branch | Commit
Target = Branch | Commit | RemoteOnly | BranchOnly | LocalRepo


def parse_target(text: str) -> Target:
    """Read `remote:branch`, `:branch` (local), `remote:`, `branch`, a commit, or `/path/repo:rev`.

    Raises ValueError.
    """
    text = text.removeprefix("ostree://")
    if text.startswith(_CONTAINERS):
        raise ValueError(f"a container image can't be the base: {text!a}")
    if text.startswith("/"):
        return _local_repo(text)
    if allowed.is_commit(text):
        return Commit(text)
    remote, colon, branch = text.partition(":")
    if not colon:
        return BranchOnly(allowed.branch_name(text))
    if not remote:
        return Branch(None, allowed.branch_name(branch))
    if not branch:
        return RemoteOnly(allowed.remote_name(remote))
    return Branch(allowed.remote_name(remote), allowed.branch_name(branch))


def parse_base(text: str) -> Base:
    """Read `remote:branch`, `branch` (local) or a commit, as origins hold them. Raises ValueError."""
    if allowed.is_commit(text):
        return Commit(text)
    remote, colon, branch = text.partition(":")
    if not colon:
        return Branch(None, allowed.branch_name(text))
    return Branch(allowed.remote_name(remote), allowed.branch_name(branch))


def resolve(target: Target, current: Base) -> Base | LocalRepo:
    """`target` with what it leaves out taken from `current`. Raises ValueError where that has none."""
    if isinstance(target, Branch | Commit | LocalRepo):
        return target
    if isinstance(current, Commit):
        raise ValueError("the system follows a commit, not a branch: name remote:branch in full")
    if isinstance(target, RemoteOnly):
        return Branch(target.remote, current.branch)
    return Branch(current.remote, target.branch)


def _local_repo(text: str) -> LocalRepo:
    path, _, rev = text.partition(":")
    try:
        allowed.free_text(path)
        return LocalRepo(path, rev if allowed.is_commit(rev) else allowed.branch_name(rev))
    except ValueError as error:
        raise ValueError(f"not /path/to/repo:branch or :commit: {text!a}") from error
