# SPDX-License-Identifier: GPL-2.0-or-later
"""The system that a verb works on: a sysroot, and which of the stateroots in it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from layering.origin import Origin, parse_origin
from rpmtree.errors import ConfigError, StoreError, UsageError
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.sysroot import Sysroot

_FOR_ALL = "everyone may ask: status, db, kargs without options, remote list"


@dataclass(frozen=True, slots=True)
class Seen:
    """A deployment and its origin. `origin` None: its file can't be read, and `origin_error` says why."""

    deployment: Deployment
    origin: Origin | None
    origin_error: str | None

    def require_origin(self) -> Origin:
        """The origin. Raises ConfigError where it can't be read."""
        if self.origin is None:
            raise ConfigError(f"the origin of {self.deployment.id} can't be read: {self.origin_error}")
        return self.origin


class System:
    """An opened sysroot, and the stateroot in it that is worked on; made by `open_system`."""

    def __init__(self, sysroot: Sysroot, osname: str, *, running: bool) -> None:
        self.sysroot = sysroot
        self.osname = osname
        #: Whether it is this machine's own system: new deployments are staged, and it can be rebooted.
        self.running = running

    @property
    def path(self) -> Path:
        """Where the sysroot is."""
        return self.sysroot.path

    @property
    def writable(self) -> bool:
        """Whether whoever runs this may change the system."""
        return os.geteuid() == 0

    def deployments(self) -> tuple[Seen, ...]:
        """The deployments of all stateroots, with their origins; the next to be booted first."""
        return tuple(see(found) for found in self.sysroot.deployments())

    def ours(self) -> tuple[Seen, ...]:
        """The deployments of our stateroot alone, in the same order."""
        return tuple(seen for seen in self.deployments() if seen.deployment.osname == self.osname)

    def booted(self) -> Seen | None:
        """The deployment that runs."""
        return next((seen for seen in self.deployments() if seen.deployment.booted), None)

    def merge(self) -> Seen:
        """What the next deployment starts from, with origin and kernel arguments: what boots next of our stateroot.

        Raises StoreError where nothing is deployed.
        """
        found = next(iter(self.ours()), None)
        if found is None:
            raise StoreError(f"nothing is deployed of {self.osname} in {self.path}", hint="deploy a commit first")
        return found

    def etc(self) -> Deployment | None:
        """The deployment whose /etc the next one starts from: the one that runs, even where another waits."""
        return self.sysroot.merge_deployment(self.osname)

    def at(self, index: int | None) -> Seen:
        """The deployment at `index` of all; None: the one that runs, else our first. Raises UsageError, StoreError."""
        present = self.deployments()
        if index is not None:
            if not 0 <= index < len(present):
                hint = f"there are 0 to {len(present) - 1}" if present else "nothing is deployed"
                raise UsageError(f"there is no deployment {index}", hint=hint)
            return present[index]
        return next((seen for seen in present if seen.deployment.booted), None) or self.merge()

    @property
    def var(self) -> Path:
        """The stateroot's /var."""
        return var_of(self.path, self.osname, running=self.running)

    @property
    def metadata_cache(self) -> Path:
        """Where the metadata of package repositories is kept, whether it is there or not."""
        return self.var / "cache" / "strata" / "repomd"

    @contextmanager
    def locked(self, command: str, wait: float | None = 0) -> Iterator[None]:
        """Hold the sysroot's lock (see `Sysroot.lock`): `system.locked(args.title, args.wait)`.

        Raises BusyError; StoreError to anyone but root.
        """
        require_root(command)
        with self.sysroot.lock(command, wait=wait):
            yield


def open_system(args: argparse.Namespace) -> System:
    """The system that the options of `verbs.common.add_system` name. Raises StoreError, UsageError.

    `--reboot` is refused here, before anything is done, for a system that does not run.
    """
    sysroot = open_sysroot(args)
    booted = sysroot.booted()
    if getattr(args, "reboot", False) and booted is None:
        raise UsageError(f"{sysroot.path} does not run: it can't be rebooted", hint="leave --reboot out")
    osname = choose_stateroot(
        args.stateroot, None if booted is None else booted.osname, sysroot.stateroots(), sysroot.path
    )
    return System(sysroot, osname, running=booted is not None)


def open_sysroot(args: argparse.Namespace) -> Sysroot:
    """The sysroot that is named, for what concerns all stateroots in it. Raises StoreError."""
    return Sysroot.open(path_of(args))


def path_of(args: argparse.Namespace) -> Path | None:
    """The sysroot that is named; None for the system that runs, also where that is named `/`."""
    path: Path | None = args.sysroot
    return None if path is None or path.absolute() == Path("/") else path.absolute()


def choose_stateroot(asked: str | None, booted: str | None, present: Sequence[str], path: Path) -> str:
    """The stateroot asked for, else the one that runs, else the only one. Raises UsageError, StoreError."""
    listed = ", ".join(present)
    if asked is not None:
        if asked not in present:
            raise UsageError(f"there is no stateroot {asked!r} in {path}", hint=f"there are: {listed or 'none'}")
        return asked
    if booted is not None:
        return booted
    if not present:
        raise StoreError(
            f"there is no stateroot in {path}", hint=f"make one: ostree admin os-init --sysroot={path} NAME"
        )
    if len(present) > 1:
        raise UsageError(f"several systems share {path}: which?", hint=f"name one with --stateroot: {listed}")
    return present[0]


def var_of(sysroot: Path, osname: str, *, running: bool) -> Path:
    """The /var of a stateroot; `running`: of the one that runs."""
    return Path("/var") if running else sysroot / "ostree" / "deploy" / osname / "var"


def see(deployment: Deployment) -> Seen:
    """A deployment with its origin read."""
    try:
        return Seen(deployment, parse_origin(deployment.origin_text, f"{deployment.path}.origin"), None)
    except ConfigError as error:
        return Seen(deployment, None, f"{error.place}: {error.message}" if error.place else error.message)


def require_root(command: str, why: str = "changes the system") -> None:
    """Raise StoreError to anyone but root."""
    if os.geteuid() != 0:
        raise StoreError(f"{command} {why}, which root alone may", hint=f"run it with sudo; {_FOR_ALL}")
