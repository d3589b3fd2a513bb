# SPDX-License-Identifier: GPL-2.0-or-later
"""Removing from a sysroot's repository what no deployment needs any more."""

from __future__ import annotations

from dataclasses import dataclass

from layering.commits import package_list
from layering.system import Seen, see
from rpmtree.errors import StoreError
from rpmtree.ostree.bases import drop_packages, regenerate_bases
from rpmtree.ostree.sysroot import Sysroot
from rpmtree.pkgcache.paths import local_ref, ref_of
from rpmtree.progress import Reporter, step
from rpmtree.rpm.nevra import Nevra


@dataclass(frozen=True, slots=True)
class Freed:
    """What went: bytes, and the branches of imported packages."""

    bytes: int
    packages: tuple[str, ...]

    def __str__(self) -> str:
        return f"Freed: {size(self.bytes)} (pkgcache branches: {len(self.packages)})"


def tidy(sysroot: Sysroot, reporter: Reporter) -> Freed:
    """Name the bases of what is deployed, forget packages that nothing uses, delete what no name leads to.

    Called with the sysroot's lock held, after deployments were dropped. Names that are needed are durable before
    others go, and those before an object does: a crash leaves too much, never too little. Raises StoreError.
    """
    with step(reporter, "Removing what is not needed") as running:
        sysroot.discard_unlisted()  # it also gives the commits of new deployments their names
        deployed = sysroot.deployments()
        regenerate_bases(sysroot.repository, [found.checksum for found in deployed])
        used = _packages_in_use(sysroot, [see(found) for found in deployed], reporter)
        gone = () if used is None else drop_packages(sysroot.repo_path, used.__contains__)
        freed = Freed(sysroot.prune(), gone)
        running.summary = size(freed.bytes)
    return freed


def _packages_in_use(sysroot: Sysroot, deployed: list[Seen], reporter: Reporter) -> frozenset[str] | None:
    """The branches of the packages that a deployment consists of, or that its origin holds as a file.

    None where that can't be told: then none may go.
    """
    packages: set[Nevra] = set()
    files: set[str] = set()
    for seen in deployed:
        try:
            packages.update(package_list(sysroot.repository.commit(bytes.fromhex(seen.deployment.checksum))) or ())
        except StoreError as error:
            reporter.warning(f"no imported package is removed: {error.message}")
            return None
        if seen.origin is None:
            reporter.warning(f"no imported package is removed: an origin can't be read: {seen.origin_error}")
            return None
        local = (*seen.origin.local_packages, *seen.origin.local_fileoverride, *seen.origin.local_replacements)
        files.update(local_ref(package.sha256) for package in local)
    return frozenset((*files, *(ref_of(nevra.name, nevra.evra) for nevra in packages)))


def size(count: int) -> str:
    """A number of bytes, for people: `12.3 MB`."""
    value, units = float(count), ("bytes", "kB", "MB", "GB", "TB")
    for unit in units:
        if value < 1000 or unit == units[-1]:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError(count)
