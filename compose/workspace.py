# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a compose keeps its work: the cache directory that the user names, or one that is gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import BusyError, StoreError, ToolError
from rpmtree.files import locked, random_name, remove_tree
from rpmtree.ostree import repo as ostree
from rpmtree.ostree.prune_lock import shared_lock
from rpmtree.ostree.store import Store, remove_stale_staging

_TEMPORARY = "strata-compose-"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directories of a compose, all on one file system.

    `metadata` is the solver's, for RPM metadata and downloads; `store` holds the imported packages; below
    `work` the root is put together.
    """

    metadata: Path
    store: Store
    work: Path


def need_root() -> None:
    """Raise ToolError unless this is root."""
    if os.geteuid() != 0:
        raise ToolError("composing needs root: owners, file capabilities and mounts", hint="run it with sudo")


@contextmanager
def open_workspace(scratch: Path, cachedir: Path | None) -> Iterator[Workspace]:
    """Hold the workspace for this process alone: `cachedir`, or one below `scratch` that is gone afterwards.

    Raises BusyError, StoreError.
    """
    directory = cachedir or scratch / f"{_TEMPORARY}{random_name()}"
    try:
        directory.mkdir(parents=cachedir is not None, exist_ok=True)
    except OSError as error:
        raise StoreError(f"can't make the cache directory {directory}: {error.strerror}") from error
    try:
        with locked(directory / "lock"):
            if cachedir is None:
                _remove_stale(scratch)
            try:
                workspace = _prepared(directory)
            except (FileExistsError, NotADirectoryError) as error:
                raise StoreError(f"{error.filename} is in the way: a directory is wanted there") from error
            with shared_lock(workspace.store.path):
                yield workspace
    finally:
        if cachedir is None:
            remove_tree(directory)


def _remove_stale(directory: Path) -> None:
    """Remove what composes without a cache directory have left that were killed."""
    for lock in sorted(directory.glob(f"{_TEMPORARY}*/lock")):
        # One that is empty is being made by somebody who has not taken it yet.
        with suppress(BusyError, FileNotFoundError):
            if lock.stat().st_size:
                with locked(lock):
                    remove_tree(lock.parent)


def _prepared(directory: Path) -> Workspace:
    packages = directory / "pkgcache-repo"
    ostree.create(packages, "bare")
    for name in ("objects", "refs/heads", "tmp"):  # what an interrupted creation, or someone, has left out
        (packages / name).mkdir(parents=True, exist_ok=True)
    mode = ostree.Repository(packages).mode
    if mode != "bare":
        raise StoreError(
            f"{packages} is a repository of mode {mode}, and bare is wanted",
            hint="another tool made it: remove it, or name another --cachedir",
        )
    store = Store(packages)
    remove_stale_staging(store)
    for name in ("rpm-md", "work"):
        (directory / name).mkdir(exist_ok=True)
    return Workspace(directory / "rpm-md", store, directory / "work")
