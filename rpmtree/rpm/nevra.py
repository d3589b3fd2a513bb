# SPDX-License-Identifier: GPL-2.0-or-later
"""The name of one build of one package, and of the architecture that this machine installs."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_NEVRA = re.compile(r"(?P<name>.+)-(?:(?P<epoch>\d+):)?(?P<version>[^-:]+)-(?P<release>[^-]+)\.(?P<arch>[^.-]+)")
#: What dnf calls $basearch, where that is not the kernel's name for the machine.
_BASEARCHES = {"i686": "i386", "i586": "i386", "armv7l": "armhfp"}


def host_basearch() -> str:
    """What $basearch is here."""
    machine = os.uname().machine
    return _BASEARCHES.get(machine, machine)


@dataclass(frozen=True, slots=True, order=True)
class Nevra:
    """Name, epoch, version, release, architecture. Ordering is by text, for stable listings only."""

    name: str
    epoch: int
    version: str
    release: str
    arch: str

    def __str__(self) -> str:
        return f"{self.name}-{self.evr}.{self.arch}"

    @property
    def evr(self) -> str:
        """`epoch:version-release`, without an epoch of zero."""
        prefix = f"{self.epoch}:" if self.epoch else ""
        return f"{prefix}{self.version}-{self.release}"

    @property
    def evra(self) -> str:
        """`epoch:version-release.arch`, without an epoch of zero."""
        return f"{self.evr}.{self.arch}"

    @classmethod
    def parse(cls, text: str) -> Nevra:
        """Read `name-[epoch:]version-release.arch`; raises ValueError."""
        match = _NEVRA.fullmatch(text)
        if match is None:
            raise ValueError(f"not a package name with version, release and architecture: {text}")
        name, epoch, version, release, arch = match.groups()
        return cls(name, int(epoch or 0), version, release, arch)


#: What is there now, and what was there before.
Pair = tuple[Nevra, Nevra]
