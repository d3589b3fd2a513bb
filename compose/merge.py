# SPDX-License-Identifier: GPL-2.0-or-later
"""Several treefiles as one, key by key, by the rule that each field of `Treefile` carries. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from compose.layer import Externals
from compose.parts import RepoPackages
from compose.treefile import Merge, Treefile

RULES: dict[str, Merge] = {
    name: next(item for item in field.metadata if isinstance(item, Merge))
    for name, field in Treefile.model_fields.items()
}


def merge(treefiles: Sequence[Treefile]) -> Treefile:
    """What treefiles are together; later ones include earlier ones, and win."""
    merged: dict[str, Any] = {}
    for name, rule in RULES.items():
        given = [getattr(treefile, name) for treefile in treefiles if name in treefile.model_fields_set]
        if given and rule is not Merge.CONSUMED:
            merged[name] = _together(rule, given)
    # Each value was checked in its own file, and some would not be read again as they are (quoted packages).
    return Treefile.model_construct(_fields_set=set(merged), **merged)


def merge_externals(externals: Sequence[Externals]) -> Externals:
    """The files that treefiles name together, by the rules of the keys that name them."""
    merged = Externals()
    for files in externals:
        merged = Externals(
            add_files=merged.add_files + files.add_files,
            postprocess_script=files.postprocess_script or merged.postprocess_script,
            passwd=files.passwd or merged.passwd,
            group=files.group or merged.group,
            finalize={**merged.finalize, **files.finalize},
        )
    return merged


def _together(rule: Merge, given: Sequence[Any]) -> Any:
    match rule:
        case Merge.SET:
            return tuple(sorted(set(chain.from_iterable(given))))
        case Merge.LIST:
            return tuple(chain.from_iterable(given))
        case Merge.MAP:
            return {key: value for mapping in given for key, value in mapping.items()}
        case Merge.ROUTES:
            return _routes(tuple(chain.from_iterable(given)))
        case _:
            return given[-1]


def _routes(routes: Sequence[RepoPackages]) -> tuple[RepoPackages, ...]:
    """Each package only in the last entry that names it; entries left empty vanish."""
    seen: set[str] = set()
    kept: list[RepoPackages] = []
    for route in reversed(routes):
        packages = tuple(package for package in route.packages if package not in seen)
        seen.update(packages)
        if packages:
            kept.append(RepoPackages.model_construct(repo=route.repo, packages=packages))
    return tuple(reversed(kept))
