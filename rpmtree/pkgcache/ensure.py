# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of a solution, all in the cache: what is missing is fetched and imported."""

from __future__ import annotations

from collections.abc import Collection

from rpmtree.ostree.selinux import Policy
from rpmtree.pkgcache.cache import CachedPackage, PackageCache, Wanted
from rpmtree.pkgcache.choices import USUAL, ImportChoices
from rpmtree.progress import Reporter, step
from rpmtree.rpm.request import Solution
from rpmtree.rpm.solver import PackageSource


def ensure_imported(
    cache: PackageCache,
    source: PackageSource,
    solution: Solution,
    reporter: Reporter,
    *,
    local: Collection[str] = (),
    choices: ImportChoices = USUAL,
    policy: Policy | None = None,
) -> tuple[CachedPackage, ...]:
    """The packages of `solution`, which `source` gave, in its order; durable in the cache when this returns.

    `local` are the checksums ("sha256:HEX") of packages that came as files; all are imported with the same
    `choices`, and their files have the labels of `policy`, or none. Raises FetchError, StoreError, ToolError.
    """
    wanted = [
        Wanted(
            package.nevra,
            package.checksum,
            source.is_checked(package.repo_id),
            source.keys(package.repo_id) if source.is_checked(package.repo_id) else (),
            package.download_size,
            package.checksum in local,
            choices,
        )
        for package in solution.packages
    ]
    found = {want.nevra: cache.find(want) for want in wanted}
    missing = [package for package in solution.packages if found[package.nevra] is None]
    if missing:
        with step(reporter, "Fetching") as fetching:
            paths = source.fetch(missing, reporter)
            fetching.summary = f"{len(missing)} packages"
        with step(reporter, "Importing") as importing:
            jobs = [(want, paths[want.nevra]) for want in wanted if found[want.nevra] is None]
            found |= {package.nevra: package for package in cache.add(jobs, reporter, policy)}
            importing.summary = f"{len(jobs)} packages"
    there = [(want, package) for want in wanted if (package := found[want.nevra]) is not None]
    others = [(want, package) for want, package in there if package.policy != (policy.checksum if policy else "")]
    if others:
        with step(reporter, "Relabelling") as relabelling:
            found |= {package.nevra: package for package in cache.relabel(others, policy)}
            relabelling.summary = f"{len(others)} packages"
    return tuple(package for package in found.values() if package is not None)
