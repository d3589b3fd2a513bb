# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of the solver, and what it answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repos import Repo


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """Which packages are wanted, and from where.

    A spec is what dnf takes: a name, name.arch, any form of name-version-release, something provided (with a
    version: `podman >= 4.1`), a path, a pattern with * ? [ ], or `@group`.
    """

    repos: tuple[Repo, ...]
    packages: tuple[str, ...]
    basearch: str
    excludes: tuple[str, ...] = ()
    #: Repository id and the specs that may come from it alone.
    repo_packages: tuple[tuple[str, tuple[str, ...]], ...] = ()
    recommends: bool = True
    #: Name or name.arch → evra (an evr locks every architecture), and the digest as "sha256:hex" or None.
    locked: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    #: Nothing but locked packages may be used.
    lock_strict: bool = False


@dataclass(frozen=True, slots=True)
class SolvedPackage:
    """One package of a solution. Sizes are in bytes."""

    nevra: Nevra
    repo_id: str
    #: Of the whole file, as the repository says: "sha256:hex".
    checksum: str
    download_size: int
    install_size: int
    #: The path in its repository.
    location: str
    source_rpm: str


@dataclass(frozen=True, slots=True)
class SolvedRepo:
    """A repository as it was used. `timestamp` is that of its newest metadata, in seconds since 1970."""

    id: str
    revision: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class Advisory:
    """An update notice about packages of a solution.

    `kind` and `severity` are numbers as rpm-ostree writes them: 0 unknown, 1 security, 2 bugfix, 3 enhancement,
    4 newpackage; 0 none, 1 low, 2 moderate, 3 important, 4 critical. `packages` are the solution's, sorted.
    """

    id: str
    kind: int
    severity: int
    packages: tuple[str, ...]
    title: str = ""
    #: CVE names and the addresses where they are described, sorted.
    cves: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Solution:
    """The packages to be installed, sorted, and what was known when they were chosen."""

    packages: tuple[SolvedPackage, ...]
    repos: tuple[SolvedRepo, ...]
    advisories: tuple[Advisory, ...] = ()
