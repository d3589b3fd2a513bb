# SPDX-License-Identifier: GPL-2.0-or-later
"""Composing through the real command. All of it needs root: overlays, owners, capabilities."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.running import Machine
from tests.end_to_end.shale import Bench, Shale
from tests.faults.machine import Site, copy_disk, mounted, scratch


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.needs("root", "bwrap", "setpriv", "ostree", "rpm:", "dnf:", "gi:"))


@pytest.fixture(scope="session")
def shale(tmp_path_factory: pytest.TempPathFactory) -> Shale:
    return Shale.make(tmp_path_factory.mktemp("shale") / "rpms")


@pytest.fixture
def bench(tmp_path: Path, shale: Shale) -> Bench:
    return Bench(tmp_path / "bench", shale)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where images of machines are made."""
    with scratch(tmp_path_factory.mktemp("images"), room=1 << 30) as place:
        yield place


@pytest.fixture(scope="module")
def fresh(site: Site, images: Path) -> Path:
    """A machine of the module's `site` with the first release; not to be changed."""
    site.machine(images / "fresh")
    return images / "fresh"


@pytest.fixture
def machine(site: Site, fresh: Path, images: Path) -> Iterator[Machine]:
    """A copy of it."""
    image = copy_disk(fresh, images / "machine")
    with mounted(image) as sysroot:
        yield Machine(sysroot, site)
    image.unlink()
