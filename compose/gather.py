# SPDX-License-Identifier: GPL-2.0-or-later
"""From a treefile to its packages in the cache, for all verbs that install some."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from compose import plan
from compose.inputhash import digest_externals, input_hash
from compose.layers import Layers
from compose.load import LoadedTreefile
from compose.lockfile import read as read_locks
from compose.options import TreeOptions
from compose.report import Outcome, transaction, write_lockfile
from compose.workspace import Workspace
from rpmtree.errors import ConfigError, Place
from rpmtree.pkgcache.cache import CachedPackage, PackageCache
from rpmtree.pkgcache.ensure import ensure_imported
from rpmtree.progress import Reporter, step
from rpmtree.rpm.request import PackageRequest, Solution
from rpmtree.rpm.solver import PackageSource, open_source

NO_CHANGES = "No apparent changes since previous commit; use --force-nocache to override"


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found; `packages` is None where the options, or that nothing has changed, say to stop here."""

    outcome: Outcome
    solution: Solution
    packages: tuple[CachedPackage, ...] | None = None


def request_of(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> PackageRequest:
    """What a treefile asks of the solver, with its .repo files and the lockfiles read. Raises ConfigError."""
    plan.check_seeds(loaded)
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


def gather(
    request: PackageRequest,
    options: TreeOptions,
    loaded: LoadedTreefile,
    workspace: Workspace,
    reporter: Reporter,
    *,
    unless: str | None,
    layers: Layers,
) -> Gathered:
    """Solve, and have all packages in the cache, as far as the options let it go. Raises ToolError.

    `unless` is the input hash with which there is nothing to do.
    """
    with opened(request, options, workspace, reporter) as source:
        solution = solve(source, reporter)
        if not solution.packages:
            place = loaded.places.get("packages", Place(str(options.treefile), 1, 1))
            raise ConfigError("No packages in transaction", place=place, hint="name some in `packages`")
        outcome = Outcome((), tuple(str(found.nevra) for found in solution.packages), _hash(loaded, solution, layers))
        write_lockfile(options, solution)
        if options.dry_run:
            return Gathered(replace(outcome, lines=transaction(solution)), solution)
        if outcome.inputhash == unless and not options.force_nocache:
            return Gathered(replace(outcome, lines=(NO_CHANGES,)), solution)
        if options.download_only_rpms:
            source.fetch(solution.packages, reporter)
            return Gathered(outcome, solution)
        choices = plan.import_choices(loaded.treefile)
        packages = ensure_imported(PackageCache(workspace.store), source, solution, reporter, choices=choices)
        layers.fetch(workspace.store)
    return Gathered(outcome, solution, None if options.download_only else packages)


def epoch_of(options: TreeOptions, times: Sequence[int]) -> int:
    """The time of a tree, in seconds. Reproducible by default: the newest of its packages' build times."""
    return max(times, default=0) if options.source_date_epoch is None else options.source_date_epoch


def _hash(loaded: LoadedTreefile, solution: Solution, layers: Layers) -> str:
    packages = [(str(package.nevra), package.checksum) for package in solution.packages]
    return input_hash(loaded.to_json(), digest_externals(loaded.externals), packages, layers.contents())
