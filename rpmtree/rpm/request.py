# SPDX-License-Identifier: GPL-2.0-or-later
"""What is asked of the solver, and what it answers, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repos import Repo

#: The repository of packages that are given as files.
FILES_REPO = "@commandline"


class FileRole(Enum):
    """What a package that is given as a file is for."""

    #: It must be installed.
    INSTALL = "install"
    #: It takes the place of the base package of its name, whatever the version.
    REPLACE = "replace"
    #: It may be used, and is preferred to what repositories have: a package cache while there is no network.
    OFFER = "offer"
    #: It is installed, or what a repository has of its name that is newer.
    FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A package given as a file, which may be of the header alone (`rpmtree.rpm.headeronly`).

    `sha256` (hexadecimal) is that of the whole package.
    """

    path: Path
    nevra: Nevra
    sha256: str
    role: FileRole


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
    #: Ids of repositories of which nothing but locked packages may be used.
    lock_repos: tuple[str, ...] = ()
    #: A directory with the rpmdb.sqlite of the system that is built upon; rpm may leave files beside it. Its packages
    #: are installed, and stay what they are unless `removals`, `replacements` or a file to REPLACE names them.
    base: Path | None = None
    files: tuple[LocalFile, ...] = ()
    #: Names of base packages that are to go.
    removals: tuple[str, ...] = ()
    #: Repository id and names of base packages that are to come from it, in whatever version it has.
    replacements: tuple[tuple[str, tuple[str, ...]], ...] = ()
    #: Builds that are taken rather than others of their names, as far as there is a solution with them.
    kept: tuple[Nevra, ...] = ()
    #: A repository whose metadata can't be fetched is used as it was, or left out, with a warning.
    tolerant: bool = False


@dataclass(frozen=True, slots=True)
class SolvedPackage:
    """One package of a solution. Sizes are in bytes."""

    nevra: Nevra
    repo_id: str
    #: Of the whole file, as the repository says: "sha256:hex".
    checksum: str
    download_size: int
    install_size: int
    #: The path in its repository; of a package that was given as a file, that file's.
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
class Found:
    """A package that a search found; `matched` is "name", "summary" or "both"."""

    name: str
    arch: str
    summary: str
    repo: str
    evr: str
    matched: str
    #: A package of that name is in the base.
    installed: bool


@dataclass(frozen=True, slots=True)
class Solution:
    """The packages to be installed, sorted, and what was known when they were chosen."""

    packages: tuple[SolvedPackage, ...]
    repos: tuple[SolvedRepo, ...]
    advisories: tuple[Advisory, ...] = ()
    #: Base packages that go without a package of their name coming, sorted.
    removed: tuple[Nevra, ...] = ()
    #: Packages that take a base package's place, and that base package; the new ones are in `packages` too.
    replaced: tuple[tuple[Nevra, Nevra], ...] = ()
    #: Repositories whose metadata could not be fetched, and why.
    dead: tuple[tuple[str, str], ...] = ()
