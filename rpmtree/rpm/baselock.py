# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps the packages of a base as they are, and what a request does with them.

libdnf of Debian 12 has no jobs that lock a package. The same is reached by keeping out of the solution all that could
take the place of a base package; without leave to uninstall, libsolv then has nothing to do but to keep it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from rpmtree.rpm.request import FILES_REPO, FileRole, PackageRequest
from rpmtree.rpm.sack import Kept, PackageSack


class BaseLock:
    """What a request does with the packages of its base."""

    def __init__(self, packages: PackageSack, request: PackageRequest) -> None:
        self._packages, self._request = packages, request
        self.installed = packages.query().installed()
        #: What is to be removed, by what the request calls it; nothing where the base has no such package.
        self.removals = {spec: packages.named(spec).installed() for spec in request.removals}
        self.removed = {package.name for found in self.removals.values() for package in found}
        self._from_repo = {name: repo_id for repo_id, names in request.replacements for name in names}
        replaced = {file.nevra.name for file in request.files if file.role is FileRole.REPLACE}
        self._loose = self.removed | replaced | set(self._from_repo)

    @cached_property
    def by_name(self) -> dict[str, list[Any]]:
        """The base's packages by name."""
        found: dict[str, list[Any]] = defaultdict(list)
        for package in self.installed:
            found[package.name].append(package)
        return dict(found)

    def keep_out(self) -> None:
        """Exclude from the solution what may not take the place of a base package."""
        if self.installed:
            self._keep_versions()
            self._keep_from_obsoletes()
            self._keep_out_for_overrides()

    def _keep_versions(self) -> None:
        names = sorted(set(self.by_name) - self._loose)
        others = [
            package
            for package in self._packages.query(name=names).available()
            if not _beside(package, self.by_name[package.name])
        ]

        def why(package: Any) -> Kept:
            return Kept(
                f"the base, which has {_listed(self.by_name[package.name])}",
                f"upgrade the base, or `override replace {package.name}`",
            )

        self._exclude(others, why)

    def _keep_from_obsoletes(self) -> None:
        held = set(self.by_name) - self._loose
        locked = self._packages.query(pkg=[p for name in sorted(held) for p in self.by_name[name]])

        def why(package: Any) -> Kept:
            gone = [old for old in locked if self._packages.query(pkg=[package]).filter(obsoletes=[old])]
            names = " ".join(old.name for old in gone)
            return Kept(
                f"the base: it obsoletes {_listed(gone)}", f"`override remove {names}`, or do without {package.name}"
            )

        obsoleting = self._packages.query(obsoletes=locked).available()
        self._exclude([package for package in obsoleting if package.name not in held], why)

    def _keep_out_for_overrides(self) -> None:
        """Of a name that is overridden nothing may come but what the override is about."""
        given = {
            (str(file.path), file.role)
            for file in self._request.files
            if file.role in (FileRole.INSTALL, FileRole.REPLACE)
        }
        others = []
        for package in self._packages.query(name=sorted(self._loose)).available():
            is_file = package.reponame == FILES_REPO
            if is_file and any((str(package.location), role) in given for role in (FileRole.INSTALL, FileRole.REPLACE)):
                continue
            if self._from_repo.get(package.name) != package.reponame:
                others.append(package)
        self._exclude(others, lambda package: Kept(f"the override of {package.name}", "reset that override"))

    def _exclude(self, packages: list[Any], why: Any) -> None:
        if packages:
            self._packages.exclude(self._packages.query(pkg=packages), why)


def _beside(package: Any, present: Iterable[Any]) -> bool:
    """Whether `package` is the same build of another architecture, that can be installed beside what is `present`."""
    return package.arch != "noarch" and all(
        old.evr == package.evr and old.arch not in (package.arch, "noarch") for old in present
    )


def _listed(packages: Iterable[Any]) -> str:
    return " and ".join(sorted(str(package) for package in packages))
