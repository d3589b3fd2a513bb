# SPDX-License-Identifier: GPL-2.0-or-later
"""Losses of power: whatever was on its way to the disk, the machine boots what it ran or what was to be new.

A guest goes through install, upgrade and rebase with all that it writes in a log; each cut is the disk up to a flush,
and any part of what was written after it. `STRATA_CUTS=N` sets how many there are in all, `STRATA_CUT_BOOTS=N` how many
of them are booted; of all of them the file system is checked, and all that a boot loader and libostree follow.
"""

from __future__ import annotations

import os
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from kickstart.image import loop_device
from layering import bootmenu
from rpmtree import command, mounts
from tests.boot import machine, writelog
from tests.boot.conftest import report
from tests.boot.machine import BOOT
from tests.boot.status import booted
from tests.boot.world import REMOTE, World, branch
from tests.support.disks import partitions
from tests.support.oracle import check_bootable, entries

CUTS = int(os.environ.get("STRATA_CUTS", "30"))
BOOTS = int(os.environ.get("STRATA_CUT_BOOTS", "3"))
_LONG = 1800


@dataclass(frozen=True, slots=True)
class Chapter:
    """What was done: entries of the log from before it to the prompt after the reboot; what ran before and after."""

    name: str
    begin: int
    end: int
    commits: frozenset[str]


@dataclass(frozen=True, slots=True)
class Life:
    """What a machine went through, with the disk that it began with."""

    base: Path
    log: Path
    chapters: tuple[Chapter, ...]


@pytest.fixture(scope="module")
def life(world: World, kept: Path, accelerator: str) -> Life:
    base, disk, log = (world.top / f"power.{name}" for name in ("base", "disk", "writes"))
    subprocess.run(["qemu-img", "convert", "-O", "raw", kept, base], check=True)
    subprocess.run(["cp", "--sparse=always", base, disk], check=True)
    chapters = []
    with machine.recorded(disk, log, accelerator=accelerator) as guest:
        for name, state, words in (
            ("install", "", "install powerline"),
            ("upgrade", "12.1", "upgrade"),
            ("rebase", "13.0", f"rebase {REMOTE}:{branch('basalt')}"),
        ):
            if state:
                world.release(state)
            guest.run("systemctl is-system-running --wait", BOOT)
            begin, before = writelog.count(log), booted(guest)["checksum"]
            guest.check(f"layer {words}", _LONG)
            report(f"reboot after {name}, recorded", guest.reboot(_LONG))
            guest.run("systemctl is-system-running --wait", BOOT)
            after = booted(guest)["checksum"]
            assert after != before
            chapters.append(Chapter(name, begin, writelog.count(log), frozenset({before, after})))
    return Life(base, log, tuple(chapters))


def test_any_loss_of_power_leaves_a_system_that_boots(world: World, life: Life, accelerator: str) -> None:
    choice = random.Random(20)
    log = writelog.read(life.log)
    replay = writelog.Replay(life.base, log, world.top / "power.replay")
    cut, tried = world.top / "power.cut", 0
    for chapter in life.chapters:
        flushes = [index for index in log.flushes if chapter.begin <= index < chapter.end]
        assert len(flushes) > CUTS // 3, f"{chapter.name} flushed {len(flushes)} times"
        for number, flush in enumerate(sorted(choice.sample(flushes, CUTS // 3))):
            replay.cut(flush, cut, choice)
            place = f"{chapter.name}, behind entry {flush} of {chapter.begin} to {chapter.end}"
            _check(cut, chapter, place, world.top / "power.mount")
            if number * len(life.chapters) < BOOTS:
                with machine.boot(cut, accelerator=accelerator) as guest:
                    report(f"boot after a loss of power in {chapter.name}", guest.boots[-1])
                    assert booted(guest)["checksum"] in chapter.commits, place
                    assert guest.run("rpm -qa").status == 0, place
                tried += 1
    assert tried >= min(BOOTS, CUTS)


def _check(disk: Path, chapter: Chapter, place: str, where: Path) -> None:
    """See that what the boot loader would follow is whole, the old system or the new, on a faultless file system."""
    mounts.enter_private_namespace()
    (part,) = [part for part in partitions(disk) if part.facts.get("TYPE") == "ext4"]
    with loop_device(disk, part.offset, part.size) as device:
        # The journal is what a mount would replay, and nothing else is to be mended.
        replayed = command.run(["e2fsck", "-p", str(device)], check=False)
        assert replayed.status in (0, 1), f"{place}: {replayed.stdout.decode()}"
        checked = command.run(["e2fsck", "-fn", str(device)], check=False)
        assert checked.status == 0, f"{place}: {checked.stdout.decode()}"
        where.mkdir(exist_ok=True)
        with mounts.filesystem(device, where, "ext4"):
            check_bootable(where)
            (first, _), *_ = entries(where)
            assert first.checksum in chapter.commits, place
            menu = (where / "boot/loader/syslinux.cfg").read_text()
            default = bootmenu.entries(menu)[0].append
            assert first.checksum in default or _leads_to(where, default, first.checksum), place


def _leads_to(sysroot: Path, append: str, checksum: str) -> bool:
    link = next(word for word in append.split() if word.startswith("ostree="))
    return (sysroot / link.removeprefix("ostree=/")).resolve().name.startswith(checksum)


def test_the_control_sees_what_is_missing(world: World, life: Life) -> None:
    """A menu that leads nowhere is no system that boots."""
    disk, where = world.top / "power.control", world.top / "power.mount"
    subprocess.run(["cp", "--sparse=always", life.base, disk], check=True)
    (part,) = [part for part in partitions(disk) if part.facts.get("TYPE") == "ext4"]
    where.mkdir(exist_ok=True)
    mounts.enter_private_namespace()
    with loop_device(disk, part.offset, part.size) as device:
        command.run(["e2fsck", "-p", str(device)], check=False)
        with mounts.filesystem(device, where, "ext4"):
            check_bootable(where)
            next((where / "boot/ostree").glob("*/vmlinuz*")).unlink()
            with pytest.raises(AssertionError):
                check_bootable(where)
    disk.unlink()
