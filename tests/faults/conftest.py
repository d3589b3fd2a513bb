# SPDX-License-Identifier: GPL-2.0-or-later
"""One site and one machine for all faults; each fault harms a copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.machine import Site, scratch, tools

TOOLS = 10


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where images of machines are made."""
    with scratch(tmp_path_factory.mktemp("images")) as place:
        yield place


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"), tools(TOOLS))


@pytest.fixture(scope="session")
def fresh(site: Site, images: Path) -> Path:
    """A machine with the first release deployed; not to be changed."""
    image = images / "fresh"
    site.machine(image)
    return image
