# SPDX-License-Identifier: GPL-2.0-or-later
"""A composed commit goes from the workspace into the repository that the user named."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import ConfigError
from rpmtree.ostree.detached import add_detached
from rpmtree.ostree.prune_lock import shared_lock
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signing import sign_gpg
from rpmtree.ostree.store import Store
from rpmtree.ostree.transfer import Figures, check_commit, link_commit
from rpmtree.ostree.variant import Variant
from rpmtree.root.commit import CommittedRoot
from rpmtree.root.labels import has_label


def check_target(repo: Repository) -> None:
    """Refuse a repository of a mode that can't hold a composed commit. Raises ConfigError."""
    if repo.mode not in ("bare", "bare-user", "archive"):
        raise ConfigError(
            f"{repo.path} is of mode {repo.mode}, which can't hold owners and capabilities",
            hint="use a repository of mode archive, bare or bare-user",
        )


@dataclass(frozen=True, slots=True)
class GpgKey:
    """A secret key of gpg's, and the directory that gpg has it in."""

    key: str
    homedir: Path


def publish(
    repo: Repository,
    source: Store,
    committed: CommittedRoot,
    ref: str | None,
    *,
    key: GpgKey | None = None,
    detached: Mapping[str, Variant] | None = None,
) -> Figures:
    """Copy the commit, put `detached` metadata and a signature of `key` beside it, then move the branch `ref`.

    Each of the three may be None. Durable when it returns.

    Raises BusyError, StoreError, ToolError.
    """
    with shared_lock(repo.path):
        figures = _link(repo, source, committed) or _pull(repo, source, committed)
        if detached:
            add_detached(repo, committed.checksum, detached)
        if key is not None:
            sign_gpg(repo, committed.checksum, key.key, key.homedir)
        write_refs(repo.path, {ref: committed.checksum} if ref is not None else {})
    return figures


def _link(repo: Repository, source: Store, committed: CommittedRoot) -> Figures | None:
    """Link the objects where that is possible: into a `bare` repository on the same file system."""
    if repo.mode != "bare":
        return None
    try:
        return link_commit(source, Store(repo.path), committed.checksum, committed.root, committed.written)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EMLINK):
            return None
        raise


def _pull(repo: Repository, source: Store, committed: CommittedRoot) -> Figures:
    check_commit(source, committed.checksum, committed.root, committed.written)
    before = repo.statistics()
    if not has_label(committed.root.meta):
        repo.copy_unlabelled(source, committed.root.all_files())
    repo.pull_commit(source.path, committed.checksum)
    after = repo.statistics()
    return Figures(after[0], after[0] - before[0], after[1], after[1] - before[1])
