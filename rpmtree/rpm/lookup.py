# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions about what repositories have, that need no solution."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

import hawkey

from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.request import Found
from rpmtree.rpm.sack import PackageSack, nevra_of


def search(packages: PackageSack, words: Sequence[str], installed: Collection[str]) -> tuple[Found, ...]:
    """What `PackageSource.search` says; `installed` are the names of the base's packages."""
    every = packages.unless_unwanted(packages.query())
    hits: Any = None
    kinds: dict[str, Any] = {}
    for word in words:
        where = {"name": _having(every, "name", word), "summary": _having(every, "summary", word)}
        either = where["name"].union(where["summary"])
        hits = either if hits is None else hits.intersection(either)
        kinds = {kind: found.union(kinds[kind]) if kind in kinds else found for kind, found in where.items()}
    if not hits:
        return ()
    places = {kind: {(package.name, package.arch) for package in kinds[kind].intersection(hits)} for kind in kinds}
    found = {}
    for package in (*hits.available().latest(), *hits.installed()):
        key = package.name, package.arch
        if key in found:
            continue
        matched = "both" if key in places["name"] and key in places["summary"] else "name"
        if key not in places["name"]:
            matched = "summary"
        found[key] = Found(
            *key, package.summary or "", package.reponame, package.evr, matched, package.name in installed
        )
    return tuple(found[key] for key in sorted(found))


def _having(query: Any, attribute: str, word: str) -> Any:
    if hawkey.is_glob_pattern(word):
        pattern = word if attribute == "name" else f"*{word}*"
        return query.filter(hawkey.ICASE, **{f"{attribute}__glob": pattern})
    return query.filter(hawkey.ICASE, **{f"{attribute}__substr": word})


def offered(packages: PackageSack, repo_id: str, name: str) -> Nevra | None:
    """What `PackageSource.offered` says."""
    found = packages.unless_unwanted(packages.query(name=name, reponame=repo_id))
    best = None
    for package in found:
        if best is None or package.evr_cmp(best) > 0:
            best = package
    return None if best is None else nevra_of(best)


def newest(packages: PackageSack, spec: str, basearch: str) -> list[Any]:
    """The newest build of each package that `spec` matches, of the architecture itself where there is one of it."""
    best: dict[str, Any] = {}
    for package in packages.unless_unwanted(packages.matching(spec).available()):
        present = best.setdefault(package.name, package)
        own, other = (one.arch in (basearch, "noarch") for one in (package, present))
        if (own, package.evr_cmp(present)) > (other, 0):
            best[package.name] = package
    return list(best.values())


def newer(packages: PackageSack, present: Sequence[Nevra]) -> tuple[tuple[Nevra, Nevra], ...]:
    """What `PackageSource.newer` says."""
    by_name: dict[str, list[Nevra]] = defaultdict(list)
    for one in present:
        by_name[one.name].append(one)
    found: dict[Nevra, Any] = {}
    every = packages.unless_unwanted(packages.query(name=sorted(by_name)).available()) if by_name else ()
    for package in every:
        for old in by_name[package.name]:
            if package.arch in (old.arch, "noarch") or old.arch == "noarch":
                best = found.get(old)
                order = packages.sack.evr_cmp(package.evr, old.evr if best is None else best.evr)
                if order > 0:
                    found[old] = package
    return tuple(sorted((nevra_of(package), old) for old, package in found.items()))
