# SPDX-License-Identifier: GPL-2.0-or-later
"""From an operation to all that is decided before anything is made: base, requests that take effect, packages."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from layering import bases, plan
from layering.bases import BaseCommit
from layering.classify import Base as BasePackages
from layering.classify import Classified, classify
from layering.commits import package_list
from layering.decision import Context, Operation, Planned
from layering.labels import policy_of
from layering.origin import Origin
from layering.repos import repositories
from layering.requests import override_reset
from layering.settings import read_settings, refuse_locked
from layering.state import Layered
from rpmtree.errors import SolveError
from rpmtree.ostree.bases import base_of
from rpmtree.progress import step
from rpmtree.root.base import Base, read_base
from rpmtree.rpm.database import DATABASE_FILE
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import LocalFile, PackageRequest
from rpmtree.rpm.solver import PackageSource, open_source


def make_plan(context: Context, operation: Operation) -> Planned:
    """Decide what is to be deployed. Raises SolveError with all that is in the way, and what the operation raises."""
    before = context.before.require_origin()
    settings = read_settings(context.machine)
    context = replace(context, options=replace(context.options, recommends=settings.recommends))
    followed, commits = operation.locate(context)
    blocked: SolveError | None = None
    for found in commits:
        bases.fetch_for_solve(context.system, found)
        whole = bases.is_whole(context.system, found.checksum)
        base = read_base(context.workspace.store, bytes.fromhex(found.checksum), whole=whole)
        packages = plan.base_packages(base, (*before.packages, *operation.words))
        try:
            edited = operation.edit(replace(context, base=base), followed, packages)
            refuse_locked(settings, before, edited)
            return plan_on(context, edited, found, base, packages)
        except SolveError as error:
            blocked = blocked or error  # of the newest: that is what the user asked for
    assert blocked is not None
    raise blocked


def plan_on(context: Context, origin: Origin, found: BaseCommit, base: Base, packages: BasePackages) -> Planned:
    """Solve what `origin` asks for on a base of which at least what a solve reads is here. Raises SolveError."""
    classified = classify(origin, packages)
    if not classified.active.needs_assembly:
        return Planned(_without_lapsed(origin, classified), found, base, classified)
    # What an override takes from a repository, only that can say.
    if context.options.offline_first and not classified.active.remote_replacements:
        try:
            return _Solve.prepare(context, found, base, packages, asked=()).plan(origin)
        except SolveError:
            pass  # something is asked for that the cache can't give: the repositories know, or say why not
    repos = repositories(base, context.machine, context.workspace.work / "keys", context.reporter)
    return _Solve.prepare(context, found, base, packages, asked=repos).plan(origin)


@dataclass(frozen=True, slots=True)
class _Solve:
    """What is the same for every solve on a base."""

    context: Context
    found: BaseCommit
    base: Base
    packages: BasePackages
    repos: tuple[Repo, ...]
    database: Path
    #: Packages of the deployment before that its base has not got.
    layered: frozenset[Nevra]
    offered: tuple[LocalFile, ...]

    @classmethod
    def prepare(
        cls, context: Context, found: BaseCommit, base: Base, packages: BasePackages, asked: Sequence[Repo]
    ) -> _Solve:
        work = context.workspace.work
        database = work / "base-db"  # rpm may write to it: a copy, and not the object
        database.mkdir(exist_ok=True)
        shutil.copyfile(base.database, database / DATABASE_FILE)
        layered = layered_packages(context)
        # Not where newer ones are wanted: another distribution's may be the newest by its version.
        fits = context.options.keep or context.options.cache_only
        offered = plan.offered_files(layered, context.cache, work / "offered", policy_of(base)) if fits else []
        return cls(context, found, base, packages, tuple(asked), database, layered, tuple(offered))

    def plan(self, origin: Origin) -> Planned:
        """Solve. What repositories offer for a replacement decides whether it takes effect."""
        classified = classify(origin, self.packages)
        source = self._open(classified.active)
        offers = _offers(classified.active, source)
        if offers and (again := classify(origin, self.packages, offers)) != classified:
            classified = again
            if not classified.active.needs_assembly:
                return Planned(_without_lapsed(origin, classified), self.found, self.base, classified)
            source = self._open(classified.active)
        with step(self.context.reporter, "Solving") as solving:
            solution = source.solve()
            solving.summary = f"{len(solution.packages)} packages"
        layered = Layered(self.base.checksum, classified, solution)
        return Planned(_without_lapsed(origin, classified), self.found, self.base, classified, layered, source)

    def _open(self, active: Origin) -> PackageSource:
        options, context = self.context.options, self.context
        with open_source(
            self._request(active),
            context.workspace.metadata,
            offline=options.cache_only,
            refresh=options.refresh,
            reporter=context.reporter,
        ) as source:
            return source

    def _request(self, active: Origin) -> PackageRequest:
        context = self.context
        work = context.workspace.work / "local"
        local = plan.local_files(active, context.cache, work, follow=not context.options.keep)
        asked = {file.nevra for file in local}
        files = [*local, *(file for file in self.offered if file.nevra not in asked)]
        kept = sorted(self.layered) if context.options.keep or not self.repos else ()
        return plan.package_request(
            active, self.database, self.repos, files, kept=kept, recommends=context.options.recommends
        )


def _offers(active: Origin, source: PackageSource) -> Mapping[str, Nevra]:
    """What the repositories of remote replacements have, by name."""
    wanted = [(old.repo, name) for old in active.remote_replacements for name in old.packages]
    found = {name: source.offered(repo, name) for repo, name in wanted}
    return {name: nevra for name, nevra in found.items() if nevra is not None}


def _without_lapsed(origin: Origin, classified: Classified) -> Origin:
    """The origin without overrides that were to last until now."""
    return override_reset(origin, classified.lapsed) if classified.lapsed else origin


def layered_packages(context: Context) -> frozenset[Nevra]:
    """The packages of the deployment before that its base has not got."""
    repository = context.system.sysroot.repository
    checksum = bytes.fromhex(context.before.deployment.checksum)
    commit = repository.commit(checksum)
    base = base_of(checksum, commit)
    if base == checksum:
        return frozenset()
    return frozenset(package_list(commit) or ()) - frozenset(package_list(repository.commit(base)) or ())
