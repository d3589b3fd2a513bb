# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a transaction keeps its work: inside the sysroot, on the repository's file system, and gone afterwards.

What an earlier one left that was killed goes first. Metadata of package repositories is kept in the stateroot's
/var/cache, so that the running system and one at a path share it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from layering import history
from layering.system import System
from rpmtree.errors import StoreError
from rpmtree.files import remove_tree
from rpmtree.ostree.prune_lock import shared_lock
from rpmtree.ostree.refs import INCOMING, REF_PREFIX
from rpmtree.ostree.repo import remove_staging
from rpmtree.ostree.store import Store, remove_stale_staging
from rpmtree.pkgcache.cache import PackageCache

#: Beside rpm-ostree's own directory in the repository (its `extensions/rpmostree/private`).
_WORK = "extensions/strata"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directories of a transaction, `metadata` is kept and `work` is not, and the packages that are imported."""

    store: Store
    metadata: Path
    work: Path
    cache: PackageCache


@contextmanager
def open_workspace(system: System) -> Iterator[Workspace]:
    """The workspace of whoever holds the sysroot's lock. Nothing is pruned meanwhile. Raises BusyError, StoreError."""
    store = Store(system.sysroot.repo_path)
    if system.sysroot.repository.mode != "bare":
        raise StoreError(f"{store.path} is not a repository of mode bare, as those of sysroots are")
    work = store.path / _WORK
    clear_leftovers(system)
    metadata = system.metadata_cache
    with ExitStack() as stack:
        for _ in range(2):  # a signal may come while it is removed, and ends that once
            stack.callback(remove_tree, work)
        try:
            work.mkdir(parents=True, mode=0o700)
            metadata.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"can't make {error.filename}: {error.strerror}") from error
        with shared_lock(store.path):
            yield Workspace(store, metadata, work, PackageCache(store))


def clear_leftovers(system: System) -> None:
    """Remove what transactions that were killed have left; call it with the sysroot's lock held."""
    repo = system.sysroot.repo_path
    remove_tree(repo / _WORK)
    remove_stale_staging(Store(repo))
    for reference in (repo / "tmp").glob(f"{REF_PREFIX}*"):
        reference.unlink()
    remove_staging(repo / "tmp")
    for incoming in (repo / "refs/remotes").glob(f"*{INCOMING}"):
        remove_tree(incoming)
    listed = {deployment.path for deployment in system.sysroot.deployments()}
    deploy = system.path / "ostree/deploy"
    # libglnx's (glnx_file_replace_contents_at): of an origin file, and of the branch that keeps what is deployed.
    temporaries = [*deploy.glob("*/deploy/tmp.??????"), *(repo / "refs/heads/ostree").glob("*/*/tmp.??????")]
    temporaries += (system.var / history.DIRECTORY).glob(".*.strata-new")  # ours (rpmtree.files)
    for temporary in temporaries:
        temporary.unlink()
    if any(path not in listed for path in deploy.glob("*/deploy/*") if path.suffix != ".origin"):
        system.sysroot.discard_unlisted()


@contextmanager
def borrowed_workspace(system: System) -> Iterator[Workspace]:
    """A workspace of a caller who only looks, and may be anyone: metadata is read from a copy that is gone afterwards.

    Raises StoreError where the kept metadata can't be read.
    """
    kept = system.metadata_cache
    with tempfile.TemporaryDirectory(prefix="strata-") as scratch:
        metadata, work = Path(scratch, "metadata"), Path(scratch, "work")
        work.mkdir()
        try:
            if kept.is_dir():
                shutil.copytree(kept / "repos", metadata / "repos", copy_function=_link_or_copy, dirs_exist_ok=True)
        except OSError as error:
            raise StoreError(f"the metadata in {kept} can't be read: {error.strerror or error}") from error
        metadata.mkdir(exist_ok=True)
        store = Store(system.sysroot.repo_path)
        yield Workspace(store, metadata, work, PackageCache(store))


def _link_or_copy(source: str, target: str) -> str:
    """Metadata files are named by what they hold and never written to: a link will do."""
    try:
        os.symlink(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target
