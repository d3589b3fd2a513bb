# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys, made once a run, and a repository that is served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openpgp import Key
from tests.support.remotelab import Lab, open_lab


@pytest.fixture(scope="session")
def key() -> Key:
    return Key.generate("Signer <signer@localhost>")


@pytest.fixture(scope="session")
def other_key() -> Key:
    return Key.generate("Other <other@localhost>")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with open_lab(tmp_path) as lab:
        yield lab
