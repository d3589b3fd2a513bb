# SPDX-License-Identifier: GPL-2.0-or-later
"""Which version of which Debian package each release state of a distribution holds, and the file that pins it.

A line is `STATE NAME VERSION SHA256`: from that state on the distribution has that version. Where a pinned
version has left the archive, the nearest newer one stands in, and the difference is recorded.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.distro import names
from tests.distro.archive import Archive, Stanza
from tests.distro.versions import compare, sort_key

#: What the last state takes from backports: things that bring no new dependencies.
BACKPORTS = frozenset({"iotop-c", "libzck1", "mc", "mc-data", "socat", "tmux", "whois"})
_KERNEL = "linux-image-cloud-amd64"


@dataclass(frozen=True, slots=True)
class Release:
    """A distribution: its id, the Debian suite it is made of, its states, what it has beside what all have."""

    id: str
    version: str
    suite: str
    states: tuple[str, ...]
    extra: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As directories and files are called: granite-12."""
        return f"{self.id}-{self.version}"

    @property
    def lock_path(self) -> Path:
        """Where the pins are."""
        return Path(__file__).with_name(f"{self.name}.lock")


RELEASES = (
    Release("granite", "12", "bookworm", ("12.0", "12.1", "12.2"), ("selinux-policy-default",)),
    Release("basalt", "13", "trixie", ("13.0", "13.1")),
)


class Shelves(Protocol):
    """What is asked of an archive here."""

    def versions(self, names: Container[str]) -> list[tuple[str, Stanza]]:
        """As `Archive.versions`."""


@dataclass(frozen=True, slots=True, order=True)
class Pin:
    """A version that a package has from a state (an index) on."""

    state: int
    name: str
    version: str
    sha256: str


def read(path: Path) -> list[Pin]:
    """The pins of a lock file."""
    lines = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return [Pin(int(state), name, version, sha256) for state, name, version, sha256 in lines]


def write(path: Path, pins: Iterable[Pin]) -> None:
    """A lock file, sorted."""
    lines = [f"{pin.state} {pin.name} {pin.version} {pin.sha256}" for pin in sorted(pins)]
    path.write_text("\n".join(["# SPDX-License-Identifier: GPL-2.0-or-later", *lines, ""]))


def make(release: Release, archive: Archive) -> list[Pin]:
    """Pins for what the archive has now: state 0 the oldest, 1 the newest of updates, 2 some of backports."""
    closure = set(archive.closure([*names.BASE, *names.CLIENT, *names.LAYERED, *release.extra]))
    kernels = _kernels(archive)
    wanted = {name for name in closure if not name.startswith("linux-image-6")} | kernels
    by_name: dict[str, list[tuple[str, Stanza]]] = defaultdict(list)
    for kind, stanza in archive.versions(wanted):
        by_name[stanza["Package"]].append((kind, stanza))
    pins = []
    for name, found in sorted(by_name.items()):
        if name in names.VANISHED and name not in names.TAKEN_APART:
            continue
        regular = sorted((s for kind, s in found if kind != "backports"), key=lambda s: sort_key(s["Version"]))
        states = [regular[0], regular[-1]]
        if len(release.states) > 2 and name in BACKPORTS:
            states += [s for kind, s in found if kind == "backports"][:1]
        first = 1 if name in kernels and not any(kind == "main" for kind, _ in found) else 0
        version = ""
        for index, stanza in enumerate(states):
            if index >= first and (not version or compare(stanza["Version"], version) > 0):
                version = stanza["Version"]
                pins.append(Pin(index, name, version, stanza["SHA256"]))
    return pins


def _kernels(archive: Shelves) -> set[str]:
    """Names of the kernel images that the kernel's metapackage stands for, without those of backports."""
    metas = [stanza for kind, stanza in archive.versions({_KERNEL}) if kind != "backports"]
    return {match[0] for meta in metas if (match := re.search(r"linux-image-\d\S+", meta["Depends"]))}


def _family(name: str) -> str:
    return re.sub(r"^linux-image-\d.*", _KERNEL, name)


def resolve(pins: Iterable[Pin], archive: Shelves) -> tuple[list[tuple[Pin, Stanza]], list[str]]:
    """The archive's stanza for each pin, and a line for each pin that another version stands in for.

    Kernel images carry their version in their name: any of them stands in for any other.
    """
    pins = list(pins)
    by_name: dict[str, list[Stanza]] = defaultdict(list)
    for _, stanza in archive.versions({pin.name for pin in pins} | _kernels(archive)):
        by_name[_family(stanza["Package"])].append(stanza)
    found, differences = [], []
    for pin in pins:
        known = sorted(by_name[_family(pin.name)], key=lambda stanza: sort_key(stanza["Version"]))
        exact = [stanza for stanza in known if stanza["Version"] == pin.version]
        newer = [stanza for stanza in known if compare(stanza["Version"], pin.version) > 0]
        if not known:
            differences.append(f"{pin.name} {pin.version}: gone, and nothing stands in")
            continue
        taken = (exact or newer or known[-1:])[0]
        if not exact:
            differences.append(f"{pin.name} {pin.version}: gone, {taken['Package']} {taken['Version']} stands in")
        elif taken["SHA256"] != pin.sha256:
            differences.append(f"{pin.name} {pin.version}: the archive has another file of this version")
        found.append((pin, taken))
    return found, differences
