# SPDX-License-Identifier: GPL-2.0-or-later
"""From an answer that is no solution to the error that says all that is in the way, and ways out that were tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rpmtree.errors import FetchError, SolveError
from rpmtree.rpm import problems
from rpmtree.rpm.goal import Answer, Goals, Wanted
from rpmtree.rpm.repodata import MetadataLoader
from rpmtree.rpm.request import FileRole
from rpmtree.rpm.sack import PackageSack

#: How many older versions of one package are tried.
_OLDER = 8


def failure(answer: Answer, goals: Goals, loader: MetadataLoader) -> SolveError | FetchError:
    """The error of an answer that is no solution.

    Where nothing is wrong but that packages are not to be had while a repository is left out, it is a FetchError.
    """
    packages, base = goals.packages, goals.base
    names_in_base = {str(package): package.name for package in base.installed}
    blockers = list(answer.blockers)
    blockers += [
        problems.explain(
            texts,
            lambda package: packages.why_excluded(package).reason,
            unblock=lambda package: packages.why_excluded(package).advice,
            base=names_in_base.get,
        )
        for texts in answer.rules
    ]
    if blockers and base.installed:
        blockers = _with_older(blockers, goals, packages)
    specs = [one.spec for one in answer.absent]
    if specs:
        names = sorted({package.name for package in packages.query()})
        blockers.insert(0, problems.missing(specs, names, [repo.id for repo in loader.repos]))
    blockers = list(dict.fromkeys(blockers))
    hint = _hint(loader.dead)
    if loader.left_out and len(blockers) == 1 and answer.absent:
        where = {one.repo_id for one in answer.absent} - {None} or loader.left_out
        if where <= loader.left_out:
            return FetchError(
                f"{', '.join(specs)} can't be had while {_named(sorted(loader.left_out))} can't be reached",
                hint="try again later, or leave that repository and what comes from it out",
                detail="\n".join(f"  {name}: {reason}" for name, reason in sorted(loader.dead.items())),
            )
    count = f"{len(blockers)} thing{'s' if len(blockers) > 1 else ''} in the way"
    droppable = _droppable(goals) if base.installed else ()
    return SolveError(f"no set of packages satisfies the request: {count}", blockers, hint=hint, droppable=droppable)


def _droppable(goals: Goals) -> tuple[str, ...]:
    """What is in the way of the rest: left out what can't be added to all that was requested before it."""
    files = [one for one in goals.packages.files if one[0].role in (FileRole.INSTALL, FileRole.FOLLOW)]
    given = [one for one in goals.packages.files if one not in files]
    if not goals.run([], given, newer=False).solved:
        return ()
    wanted: list[Wanted] = []
    dropped: list[str] = []
    for spec in goals.wanted:
        if goals.run([*wanted, spec], given, newer=False).solved:
            wanted.append(spec)
        else:
            dropped.append(spec.spec)
    for file in files:
        if goals.run(wanted, [*given, file], newer=False).solved:
            given.append(file)
        else:
            dropped.append(file[0].nevra.name)
    return tuple(dict.fromkeys(dropped))


def _hint(dead: dict[str, str]) -> str | None:
    if not dead:
        return None
    return f"this may be because {_named(sorted(dead))} can't be reached: try again later"


def _named(ids: Sequence[str]) -> str:
    return f"the repositor{'ies' if len(ids) > 1 else 'y'} {', '.join(ids)}"


def _with_older(blockers: list[str], goals: Goals, packages: PackageSack) -> list[str]:
    """The blockers, each with an older version of what is requested where that alone would be a solution."""
    for candidates, older in _older(goals, packages):
        text = problems.older_fits(str(older), older.reponame)
        about = [number for number, line in enumerate(blockers) if any(name in line for name in candidates)]
        if about:
            blockers[about[0]] += text
        else:
            blockers.append(f"{' and '.join(candidates)} can't be had as requested{text} → ask for that one")
    return blockers


def _older(goals: Goals, packages: PackageSack) -> Iterator[tuple[list[str], Any]]:
    """What is requested and has no solution even alone, as libsolv writes it, with an older build that has one."""
    for one in goals.wanted:
        if one.spec.startswith("@") or any(char in one.spec for char in "*?["):
            continue
        matching = list(packages.matching(one.spec).available())
        names = {package.name for package in matching}
        if len(names) == 1 and not names & set(goals.base.by_name) and not goals.run([one], [], newer=False).solved:
            lowest = min(matching, key=_Order)
            found = _first_that_fits(goals, packages, lowest, one.repo_id)
            if found:
                yield [str(package) for package in matching], found
    for file, package in packages.files:
        alone = [(file, package)]
        if file.role in (FileRole.INSTALL, FileRole.FOLLOW) and not goals.run([], alone, newer=True).solved:
            found = _first_that_fits(goals, packages, package, None)
            if found:
                yield [str(package)], found


def _first_that_fits(goals: Goals, packages: PackageSack, than: Any, repo_id: str | None) -> Any:
    older = packages.allowed(name=than.name, evr__lt=than.evr).available()
    if repo_id is not None:
        older = older.filter(reponame=repo_id)
    for candidate in sorted(older, key=_Order, reverse=True)[:_OLDER]:
        if goals.run([Wanted(str(candidate), candidate.reponame)], [], newer=False).solved:
            return candidate
    return None


class _Order:
    """Packages of one name by version."""

    def __init__(self, package: Any) -> None:
        self._package = package

    def __lt__(self, other: _Order) -> bool:
        return bool(self._package.evr_cmp(other._package) < 0)
