# SPDX-License-Identifier: GPL-2.0-or-later
"""The values that a transaction hands on: what is asked, on what it is done, what was decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from layering.bases import BaseCommit
from layering.classify import Base as BasePackages
from layering.classify import Classified
from layering.origin import Origin
from layering.state import Layered
from layering.system import Seen, System
from layering.workspace import Workspace
from rpmtree.pkgcache.cache import PackageCache
from rpmtree.progress import Reporter
from rpmtree.root.base import Base
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.solver import PackageSource


@dataclass(frozen=True, slots=True)
class Options:
    """How a transaction is carried out; the names are those of the command's options."""

    dry_run: bool = False
    cache_only: bool = False
    download_only: bool = False
    lock_finalization: bool = False
    #: Ask package repositories for news, whatever the age of what is kept.
    refresh: bool = False
    #: Layered packages stay in their versions where that is possible.
    keep: bool = True
    #: Nothing new is asked for: try with what is in the cache before any repository is looked at.
    offline_first: bool = False
    recommends: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """What operations are told of: the system, the deployment that a new one is made from, where work is done."""

    system: System
    before: Seen
    workspace: Workspace
    options: Options
    reporter: Reporter
    #: What requests are edited for, while they are.
    base: Base | None = None

    @property
    def machine(self) -> Path | None:
        """The deployed tree whose /etc goes into the new one; not always that of the deployment before."""
        found = self.system.etc()
        return None if found is None else found.path

    @property
    def cache(self) -> PackageCache:
        """Imported packages."""
        return self.workspace.cache


@dataclass(frozen=True, slots=True)
class Planned:
    """All that is decided before anything is made. `origin` is what is recorded, with dormant entries."""

    origin: Origin
    found: BaseCommit
    base: Base
    classified: Classified
    #: None: the base is deployed as it is.
    layered: Layered | None = None
    source: PackageSource | None = None

    @property
    def packages(self) -> tuple[Nevra, ...]:
        """All packages of what is to be deployed."""
        if self.layered is None:
            return tuple(self.base.provides)
        solution = self.layered.solution
        gone = {*solution.removed, *(old for _, old in solution.replaced)}
        kept = (nevra for nevra in self.base.provides if nevra not in gone)
        return (*kept, *(package.nevra for package in solution.packages))

    @property
    def identity(self) -> str:
        """What is to be booted, known before it is made: see `layering.state.identity`."""
        return self.found.checksum if self.layered is None else self.layered.digest


@dataclass(frozen=True, slots=True)
class Operation:
    """What a transaction does.

    `locate` gives the origin that is followed from now on, and the commits to deploy, of which the first is taken on
    which all requests can be met; `edit` changes requests, with the base's packages known. Both raise ToolError, and
    have no effect on the system.
    """

    title: str
    locate: Callable[[Context], tuple[Origin, Iterable[BaseCommit]]]
    edit: Callable[[Context, Origin, BasePackages], Origin]
    options: Options = Options()
    #: New requests, of which those that are paths have to be looked up in the base.
    words: tuple[str, ...] = ()
    #: The branch that was followed is given up.
    purge: bool = False
    #: What is not to be deployed (`Planned.identity`), since it did not boot.
    refused: frozenset[str] = frozenset()
