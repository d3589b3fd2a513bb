# SPDX-License-Identifier: GPL-2.0-or-later
"""A request as a goal of libsolv: what is to be installed and removed, and what libsolv answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import hawkey

from rpmtree.progress import Reporter
from rpmtree.rpm import problems
from rpmtree.rpm.baselock import BaseLock
from rpmtree.rpm.comps import Groups
from rpmtree.rpm.request import FileRole, LocalFile, PackageRequest
from rpmtree.rpm.sack import PackageSack


@dataclass(frozen=True, slots=True)
class Wanted:
    """A spec, and the repository that alone it may come from."""

    spec: str
    repo_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a goal came to: solved, or libsolv's rules a problem, beside what was known before it was run."""

    goal: Any
    #: Specs that match nothing.
    absent: tuple[Wanted, ...]
    #: Blockers in words.
    blockers: tuple[str, ...]
    rules: tuple[tuple[str, ...], ...]

    @property
    def solved(self) -> bool:
        """Whether nothing is in the way."""
        return not (self.absent or self.blockers or self.rules)


class Goals:
    """Makes goals of one request over one sack."""

    def __init__(
        self, packages: PackageSack, base: BaseLock, request: PackageRequest, groups: Groups, reporter: Reporter
    ) -> None:
        self.packages, self.base, self._request = packages, base, request
        self._groups, self._reporter = groups, reporter
        wanted = [Wanted(spec) for spec in request.packages]
        wanted += [Wanted(spec, repo_id) for repo_id, specs in request.repo_packages for spec in specs]
        #: All specs of the request, sorted.
        self.wanted = tuple(sorted(set(wanted), key=lambda one: (one.spec, one.repo_id or "")))

    def run(self, wanted: Sequence[Wanted], files: Sequence[tuple[LocalFile, Any]], *, newer: bool) -> Answer:
        """Solve for `wanted` and `files`, with all overrides; `newer` takes newer builds for files that follow."""
        goal = hawkey.Goal(self.packages.sack)
        absent: list[Wanted] = []
        blockers = [*self._remove(goal), *self._replace(goal, absent)]
        for file, package in files:
            blockers += self._install_file(goal, file, package, newer=newer)
        for one in wanted:
            if one.spec.startswith("@"):
                if not self._install_group(goal, one.spec):
                    absent.append(one)
            elif not self.install(goal, one.spec, one.repo_id):
                reason = self._reason_absent(one.spec)
                if reason:
                    blockers.append(problems.kept_out(one.spec, *reason))
                else:
                    absent.append(one)
        solved = goal.run(ignore_weak_deps=not self._request.recommends)
        rules = () if solved else tuple(tuple(texts) for texts in goal.problem_rules())
        return Answer(goal, tuple(absent), tuple(blockers), rules)

    def install(self, goal: Any, spec: str, repo_id: str | None = None) -> bool:
        """Ask for one package of each name that `spec` matches; False if it matches none."""
        found = hawkey.Subject(spec).get_best_solution(self.packages.sack, with_src=False)
        query, nevra = found["query"], found["nevra"]
        if repo_id is not None:
            query = query.filter(reponame=repo_id)
        if not query:
            return False
        by_name = bool(nevra and nevra.has_just_name())
        for packages in _alternatives(spec, query):
            choice = self.packages.allowed(pkg=packages)
            if by_name:
                # As dnf does: what has taken a package's place may come for it.
                choice = choice.union(self.packages.allowed(obsoletes=choice))
            self._select(goal, choice)
        return True

    def _select(self, goal: Any, choice: Any) -> None:
        selector = hawkey.Selector(self.packages.sack)
        selector.set(pkg=choice)
        goal.install(select=selector)

    def _install_group(self, goal: Any, spec: str) -> bool:
        names = self._groups.expand(spec)
        if names is None:
            return False
        for name in sorted(set(names)):
            if not self.install(goal, name):
                self._reporter.warning(f"no package {name} is to be had, which the group {spec} lists")
        return True

    def _remove(self, goal: Any) -> Iterable[str]:
        for spec, found in self.base.removals.items():
            if not found:
                yield problems.not_in_base(spec, "removed")
            for package in found:
                goal.erase(package)

    def _replace(self, goal: Any, absent: list[Wanted]) -> Iterable[str]:
        for repo_id, names in self._request.replacements:
            for name in sorted(names):
                present = self.base.by_name.get(name)
                if not present:
                    yield problems.not_in_base(name, "replaced")
                    continue
                for old in present:
                    choice = self.packages.allowed(name=name, reponame=repo_id, arch=[old.arch, "noarch"])
                    if not choice and not self.packages.query(reponame=repo_id):
                        absent.append(Wanted(name, repo_id))
                    elif not choice:
                        yield problems.nothing_to_replace(str(old), repo_id)
                    elif choice.latest().filter(evr=old.evr, arch=old.arch):
                        self._reporter.warning(f"{old} is in the base already, as the repository {repo_id} has it")
                    else:
                        self._select(goal, choice)

    def _install_file(self, goal: Any, file: LocalFile, package: Any, *, newer: bool) -> Iterable[str]:
        if file.role is FileRole.OFFER:
            return
        present = self.base.by_name.get(file.nevra.name, [])
        if file.role is FileRole.REPLACE and not present:
            yield problems.not_in_base(file.nevra.name, "replaced")
            return
        if any(str(old) == str(package) for old in present):
            yield problems.already_there(str(package))
            return
        if newer and file.role is FileRole.FOLLOW and (choice := self.followers(file)):
            self._select(goal, choice)
            return
        choice = self.packages.allowed(pkg=[package])
        if choice:
            self._select(goal, choice)
        else:
            yield problems.kept_out(str(file.nevra), *self.packages.why_excluded(str(package)))

    def followers(self, file: LocalFile) -> Any:
        """What repositories have that is newer than `file`."""
        newer = self.packages.allowed(name=file.nevra.name, arch=[file.nevra.arch, "noarch"], evr__gt=file.nevra.evr)
        return newer.available()

    def _reason_absent(self, spec: str) -> tuple[str, str] | None:
        """What keeps out the packages that `spec` would match, and advice; None if there are none."""
        kept = {self.packages.why_excluded(str(package)) for package in self.packages.matching(spec).available()}
        if not kept:
            return None
        return "; ".join(sorted({one.reason for one in kept})), " or ".join(
            sorted({k.advice for k in kept if k.advice})
        )


def _alternatives(spec: str, query: Any) -> Iterable[list[Any]]:
    """The packages of `query` in groups, of each of which one is to be installed."""
    if not hawkey.is_glob_pattern(spec) or spec.startswith(("/", "*/")):
        return [list(query)]
    groups: dict[tuple[str, str], list[Any]] = {}
    for package in query:
        arch = package.arch if hawkey.is_glob_pattern(spec.rpartition(".")[2]) and "." in spec else ""
        groups.setdefault((package.name, arch), []).append(package)
    return [groups[key] for key in sorted(groups)]
