# SPDX-License-Identifier: GPL-2.0-or-later
"""The package repositories of the system as it is, for questions that change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from layering import bases
from layering.repos import repositories
from layering.system import System
from layering.workspace import Workspace, borrowed_workspace, open_workspace
from rpmtree.progress import Reporter
from rpmtree.root.base import read_base
from rpmtree.rpm.database import DATABASE_FILE
from rpmtree.rpm.nevra import host_basearch
from rpmtree.rpm.request import PackageRequest
from rpmtree.rpm.solver import PackageSource, open_source


@contextmanager
def catalogue(
    system: System,
    title: str,
    wait: float | None,
    reporter: Reporter,
    *,
    refresh: bool = False,
    cache_only: bool = False,
) -> Iterator[PackageSource]:
    """The repositories of the deployment that is next, with its base installed; metadata that has expired is fetched.

    Anyone but root gets what is kept, as it is. Raises BusyError, FetchError, StoreError.
    """
    if not system.writable:
        with borrowed_workspace(system) as workspace:
            yield from _sources(system, workspace, reporter, refresh=False, cache_only=True)
        return
    with system.locked(title, wait), open_workspace(system) as workspace:
        yield from _sources(system, workspace, reporter, refresh=refresh, cache_only=cache_only)


def _sources(
    system: System, workspace: Workspace, reporter: Reporter, *, refresh: bool, cache_only: bool
) -> Iterator[PackageSource]:
    before, machine = system.merge().deployment, system.etc()
    base = read_base(workspace.store, bytes.fromhex(bases.current(system, before).checksum))
    database = workspace.work / "base-db"
    database.mkdir()
    shutil.copyfile(base.database, database / DATABASE_FILE)
    repos = repositories(base, machine.path if machine else None, workspace.work / "keys", reporter)
    request = PackageRequest(repos, (), host_basearch(), base=database, tolerant=True)
    with open_source(request, workspace.metadata, offline=cache_only, refresh=refresh, reporter=reporter) as source:
        yield source
