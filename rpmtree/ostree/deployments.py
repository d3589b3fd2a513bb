# SPDX-License-Identifier: GPL-2.0-or-later
"""Deployments as values, and the rules by which they are ordered, kept and named. Pure.

What is on disk is `rpmtree.ostree.sysroot`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import StoreError, UsageError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Deployment:
    """One bootable tree of a sysroot, as it was when it was read.

    `checksum` is in hexadecimal; `index` counts from 0, the one that boots next; `path` is the deployed tree;
    `boot_options` is the kernel's command line. `version` and `timestamp` (seconds since the epoch) are the
    commit's, None and 0 where the repository has lost it.
    """

    osname: str
    checksum: str
    serial: int
    index: int
    booted: bool
    staged: bool
    #: Staged, and not to be finished by a shutdown (`--lock-finalization`).
    held_back: bool
    pinned: bool
    origin_text: str
    path: Path
    version: str | None
    timestamp: int
    boot_options: str

    @property
    def id(self) -> str:
        """What `status` calls it: osname-checksum.serial."""
        return f"{self.osname}-{self.checksum}.{self.serial}"

    @property
    def kargs(self) -> tuple[str, ...]:
        """The kernel arguments, without the one by which the initramfs finds the deployment."""
        return tuple(karg for karg in split_kargs(self.boot_options) if not karg.startswith("ostree="))


def split_kargs(options: str) -> tuple[str, ...]:
    """A kernel command line's words; double quotes hold blanks together (the kernel's next_arg)."""
    return tuple(re.findall(r'(?:[^\s"]|"[^"]*"?)+', options))


def check_kargs(kargs: Iterable[str]) -> tuple[str, ...]:
    """The arguments, each of which must stay one word on one line of a boot entry. Raises UsageError."""
    checked = tuple(kargs)
    for karg in checked:
        if _CONTROL.search(karg) or karg.count('"') % 2 or split_kargs(karg) != (karg,):
            raise UsageError(
                f"{karg!r} is not a kernel argument", hint='put blanks in double quotes: key="one two"; one line'
            )
        if karg.startswith("ostree="):
            raise UsageError("the kernel argument ostree= is set by libostree alone")
    return checked


def check_name(name: str, what: str) -> str:
    """A stateroot's or remote's name, which becomes a path and an ini section. Raises UsageError."""
    if not _NAME.fullmatch(name) or len(name) > 200:
        raise UsageError(f"{name!r} is not a name for a {what}", hint="letters, digits and . _ - are allowed")
    return name


def rollback_order(deployments: Sequence[Deployment]) -> tuple[int, ...]:
    """The order after a rollback: what runs before what waits; else the one below what runs comes first.

    Done twice it changes nothing. Raises StoreError where there is nothing to go back to.
    """
    if not deployments:
        raise StoreError("there is no deployment")
    if deployments[0].staged:
        raise StoreError("a deployment is staged", hint="remove it: layer cleanup --pending")
    booted = next((d for d in deployments if d.booted), None)
    if booted is not None and booted.index != 0:
        chosen: Deployment | None = booted
    else:
        current = booted or deployments[0]
        chosen = next((d for d in deployments[1:] if d.osname == current.osname), None)
    if chosen is None:
        raise StoreError("there is no deployment to roll back to")
    return (chosen.index, *(d.index for d in deployments if d is not chosen))


def kept(deployments: Sequence[Deployment], osname: str, *, pending: bool, rollback: bool) -> tuple[int, ...]:
    """The indexes that stay when the pending and/or the rollback deployments of a stateroot go.

    Pending is what would boot instead of what runs, rollback what is below it. In a sysroot that is not
    booted the first deployment stands for the one that runs. Pinned ones stay.
    """
    ours = [d for d in deployments if d.osname == osname]
    current = next((d for d in deployments if d.booted), None) or next((d for d in ours if not d.staged), None)
    if current is None:
        return tuple(d.index for d in deployments)

    def goes(one: Deployment) -> bool:
        if one.osname != osname or one.booted or one.pinned or one is current:
            return False
        return pending if one.index < current.index else rollback

    return tuple(d.index for d in deployments if not goes(d))
