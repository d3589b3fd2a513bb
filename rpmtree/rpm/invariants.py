# SPDX-License-Identifier: GPL-2.0-or-later
"""What a solution must not do to a base, whatever the solver says: a second look, on values alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rpmtree.errors import SolveError
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.request import FileRole, PackageRequest, Solution


def check(request: PackageRequest, base: Collection[Nevra], solution: Solution) -> None:
    """Raise SolveError where `solution` changes more of `base`, or less, than `request` asks for."""
    wrong = sorted({*_gone(request, base, solution), *_replaced(request, solution), *_came(base, solution)})
    if wrong:
        raise SolveError(
            "the solver's answer does to the base what was not asked for",
            [f"{line} → report this: it is a bug" for line in wrong],
        )


def _called(spec: str, nevra: Nevra) -> bool:
    names = (nevra.name, f"{nevra.name}.{nevra.arch}", f"{nevra.name}-{nevra.evr}", str(nevra))
    return spec in (*names, f"{nevra.name}-{nevra.version}")


def _gone(request: PackageRequest, base: Collection[Nevra], solution: Solution) -> Iterator[str]:
    asked = {one for one in base if any(_called(spec, one) for spec in request.removals)}
    for one in set(solution.removed) - asked:
        yield f"{one} of the base would be removed"
    for one in asked - set(solution.removed) - {old for _, old in solution.replaced}:
        yield f"{one} of the base would not be removed"


def _replaced(request: PackageRequest, solution: Solution) -> Iterator[str]:
    files = {file.nevra for file in request.files if file.role is FileRole.REPLACE}
    from_repo = {name: repo_id for repo_id, names in request.replacements for name in names}
    origin = {package.nevra: package.repo_id for package in solution.packages}
    removed_names = set(request.removals)
    given = {file.nevra for file in request.files if file.role is FileRole.INSTALL}
    for new, old in solution.replaced:
        if new.name != old.name:
            yield f"{new} would replace {old} of the base, which has another name"
        asked = new in files or (new.name in from_repo and from_repo[new.name] == origin.get(new))
        if not asked and not (old.name in removed_names and new in given):
            yield f"{new} of {origin.get(new, 'nowhere')} would replace {old} of the base"
    for missing in files - {new for new, _ in solution.replaced}:
        yield f"{missing} would replace nothing"


def _came(base: Collection[Nevra], solution: Solution) -> Iterator[str]:
    gone = {*solution.removed, *(old for _, old in solution.replaced)}
    present = set(base)
    stays = {(one.name, one.arch) for one in present - gone}
    for package in solution.packages:
        if package.nevra in present:
            yield f"{package.nevra} of the base would be installed again"
        elif (package.nevra.name, package.nevra.arch) in stays:
            yield f"{package.nevra} would come beside another build of the base"
