# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a compose keeps its work: the cache directory that the user names, or one that is gone afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import locked, remove_tree
from rpmtree.ostree import repo as ostree
from rpmtree.ostree.store import Store, remove_stale_staging


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directories of a compose, all on one file system.

    `metadata` is the solver's, for RPM metadata and downloads; `store` holds the imported packages; below
    `work` the root is put together.
    """

    metadata: Path
    store: Store
    work: Path


@contextmanager
def open_workspace(repo: Path, cachedir: Path | None) -> Iterator[Workspace]:
    """Hold the workspace for this process alone. Raises BusyError, StoreError."""
    directory = cachedir or repo / "tmp" / f"strata-compose-{secrets.token_hex(8)}"
    try:
        directory.mkdir(parents=cachedir is not None, exist_ok=True)
    except OSError as error:
        raise StoreError(f"can't make the cache directory {directory}: {error.strerror}") from error
    try:
        with locked(directory / "lock"):
            yield _prepared(directory)
    finally:
        if cachedir is None:
            remove_tree(directory)


def _prepared(directory: Path) -> Workspace:
    packages = directory / "pkgcache-repo"
    ostree.create(packages, "bare")
    store = Store(packages)
    remove_stale_staging(store)
    for name in ("rpm-md", "work"):
        (directory / name).mkdir(exist_ok=True)
    return Workspace(directory / "rpm-md", store, directory / "work")
