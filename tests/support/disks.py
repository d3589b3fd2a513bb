# SPDX-License-Identifier: GPL-2.0-or-later
"""Disks looked at from outside: partitions checked and mounted read-only, and what a process has left behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kickstart.image import loop_device
from rpmtree import mounts

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Found:
    """A partition of a disk: bytes; what blkid knows of it."""

    number: int
    offset: int
    size: int
    kind: str
    bootable: bool
    facts: dict[str, str]


def partitions(disk: Path) -> list[Found]:
    """Those that hold something, as sfdisk and blkid see them."""
    table: dict[str, Any] = json.loads(_output("sfdisk", "--json", str(disk)))["partitiontable"]
    found = []
    for entry in table["partitions"]:
        if entry["type"] == "5":
            continue
        offset, size = entry["start"] * SECTOR, entry["size"] * SECTOR
        said = _output("blkid", "-p", "-o", "export", "--offset", str(offset), "--size", str(size), str(disk))
        facts = dict(line.split("=", 1) for line in said.splitlines() if not line.startswith("DEVNAME="))
        number = int(entry["node"].removeprefix(str(disk)).lstrip("p"))
        found.append(Found(number, offset, size, entry["type"], entry.get("bootable", False), facts))
    return found


def disk_id(disk: Path) -> str:
    """The id in the partition table."""
    text: str = json.loads(_output("sfdisk", "--json", str(disk)))["partitiontable"]["id"]
    return text


def check_file_systems(disk: Path) -> None:
    """Raise if a file system has the least fault."""
    for part in partitions(disk):
        with loop_device(disk, part.offset, part.size) as device:
            if part.facts["TYPE"] == "ext4":
                _output("fsck.ext4", "-fn", str(device))
            elif part.facts["TYPE"] == "xfs":
                _output("xfs_repair", "-n", str(device))


@contextmanager
def mounted(disk: Path, where: Path, places: dict[int, str]) -> Iterator[Path]:
    """Partitions by number mounted at paths below `where`, read-only, for this process alone."""
    mounts.enter_private_namespace()
    parts = {part.number: part for part in partitions(disk)}
    where.mkdir(exist_ok=True)
    with ExitStack() as stack:
        for number, path in places.items():
            part = parts[number]
            device = stack.enter_context(loop_device(disk, part.offset, part.size))
            # Nothing is replayed: what was not written out before would be missing.
            options = "noload" if part.facts["TYPE"] == "ext4" else "norecovery"
            kind, target = part.facts["TYPE"], where / path
            stack.enter_context(mounts.filesystem(device, target, kind, options=options, writable=False))
        yield where


def loop_devices(directory: Path) -> list[str]:
    """The loop devices that have a file below `directory`."""
    lines = _output("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE").splitlines()
    return [line for line in lines if str(directory) in line]


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv} ended with {done.returncode}: {done.stdout} {done.stderr}"
    return done.stdout
