# SPDX-License-Identifier: GPL-2.0-or-later
"""Composing through the real command. All of it needs root: overlays, owners, capabilities."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.end_to_end.shale import Bench, Shale


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
