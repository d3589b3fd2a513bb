# SPDX-License-Identifier: GPL-2.0-or-later
"""From a treefile to exactly which packages, for all verbs that install some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from compose import plan
from compose.load import LoadedTreefile
from compose.lockfile import read as read_locks
from compose.options import TreeOptions
from compose.workspace import Workspace
from rpmtree.pkgcache.cache import CachedPackage
from rpmtree.progress import Reporter, step
from rpmtree.rpm.request import PackageRequest, Solution
from rpmtree.rpm.solver import PackageSource, open_source


def request_of(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> PackageRequest:
    """What a treefile asks of the solver, with its .repo files and the lockfiles read. Raises ConfigError."""
    repos = plan.repositories(loaded, options, basearch, reporter)
    return plan.package_request(loaded.treefile, repos, read_locks(options.lockfiles), options, basearch)


@contextmanager
def opened(
    request: PackageRequest, options: TreeOptions, workspace: Workspace, reporter: Reporter
) -> Iterator[PackageSource]:
    """The request's repositories, loaded. Raises ConfigError, FetchError."""
    with open_source(
        request, workspace.metadata, offline=options.cache_only, proxy=options.proxy, reporter=reporter
    ) as source:
        yield source


def solve(source: PackageSource, reporter: Reporter) -> Solution:
    """The packages. Raises SolveError."""
    with step(reporter, "Solving") as solving:
        solution = source.solve()
        solving.summary = f"{len(solution.packages)} packages"
    return solution


def epoch_of(options: TreeOptions, packages: Sequence[CachedPackage]) -> int:
    """The time of a tree, in seconds. Reproducible by default: that of its newest package."""
    if options.source_date_epoch is not None:
        return options.source_date_epoch
    return max((found.commit.timestamp for found in packages), default=0)
