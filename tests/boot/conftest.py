# SPDX-License-Identifier: GPL-2.0-or-later
"""One world and one machine at its prompt for all tests here; each begins with a copy of that machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.boot import machine
from tests.boot.machine import Machine
from tests.boot.world import World, branch, open_world

Boot = Callable[[Path], AbstractContextManager[Machine]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.needs("root", "bwrap", "ostree", "rpm:", "dnf:", "gi:"))
            item.add_marker(pytest.mark.needs("sfdisk", "mke2fs", "extlinux", machine.QEMU, "qemu-img"))
            item.add_marker(pytest.mark.timeout(3 * 3600))
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def world(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Granite 12.0 composed and served."""
    with open_world(tmp_path_factory.mktemp("world"), distro) as made:
        made.release("12.0")
        yield made


@pytest.fixture(scope="session")
def image(world: World) -> Path:
    """Granite 12.0 on a disk."""
    return world.disk("granite", branch("granite"))


@pytest.fixture(scope="session")
def accelerator(image: Path) -> str:
    """What guests run on."""
    return machine.probe(image)


@pytest.fixture(scope="session")
def kept(image: Path, accelerator: str) -> Path:
    """The disk of a machine that has booted for the first time, all of it, and waits at its prompt."""
    with machine.boot(image, accelerator=accelerator) as guest:
        report(f"first boot of Granite 12.0 ({accelerator})", guest.boots[-1])
        guest.run("systemctl is-system-running --wait", machine.BOOT)
        guest.keep()
        kept = image.with_name("kept.qcow2")
        os.rename(guest.disk, kept)
    return kept


@pytest.fixture
def guest(kept: Path, accelerator: str) -> Iterator[Machine]:
    """A copy of that machine."""
    with machine.resume(kept, accelerator=accelerator) as resumed:
        yield resumed


def report(what: str, seconds: float) -> None:
    """Say how long something took, also where pytest keeps what tests print."""
    line = f"{what}: {seconds:.0f} s"
    print(line)
    if path := os.environ.get("STRATA_BOOT_TIMES"):
        with Path(path).open("a") as file:
            file.write(f"{line}\n")
