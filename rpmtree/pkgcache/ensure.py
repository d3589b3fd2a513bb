# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages of a solution, all in the cache: what is missing is fetched and imported."""

from __future__ import annotations

from collections.abc import Collection

from rpmtree.errors import StoreError
from rpmtree.ostree.selinux import Policy
from rpmtree.pkgcache.cache import CachedPackage, PackageCache, Wanted
from rpmtree.pkgcache.choices import USUAL, ImportChoices
from rpmtree.progress import Reporter, step
from rpmtree.rpm.nevra import Nevra
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
    found = {want.nevra: package for want in wanted if (package := cache.find(want)) is not None}
    others = [
        (want, found.pop(want.nevra))
        for want in wanted
        if want.nevra in found and not found[want.nevra].is_labelled_by(policy)
    ]
    if others:
        with step(reporter, "Relabelling") as relabelling:
            relabelled = cache.relabel(others, policy)
            found |= {package.nevra: package for package in relabelled}
            relabelling.summary = f"{len(relabelled)} packages"
    missing = [package for package in solution.packages if package.nevra not in found]
    if missing:
        if gone := [package.nevra for package in missing if package.checksum in local]:
            raise lost(gone[0])
        with step(reporter, "Fetching") as fetching:
            paths = source.fetch(missing, reporter)
            fetching.summary = f"{len(missing)} packages"
        with step(reporter, "Importing") as importing:
            for _, damaged in others:
                if damaged.nevra not in found:
                    cache.put_aside_damaged(damaged)
            jobs = [(want, paths[want.nevra]) for want in wanted if want.nevra not in found]
            found |= {package.nevra: package for package in cache.add(jobs, reporter, policy)}
            importing.summary = f"{len(jobs)} packages"
    return tuple(found[want.nevra] for want in wanted)


def lost(nevra: Nevra) -> StoreError:
    """That a package which came as a file, and can't be fetched, is not there, or has lost files."""
    return StoreError(
        f"the package {nevra}, which came as a file, is not whole in the repository any more",
        hint=f"install the file again, or `layer uninstall {nevra.name}`",
    )
