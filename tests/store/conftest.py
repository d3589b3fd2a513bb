# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys, made once a run."""

from __future__ import annotations

import pytest

from tests.support.openpgp import Key


@pytest.fixture(scope="session")
def key() -> Key:
    return Key.generate("Signer <signer@localhost>")


@pytest.fixture(scope="session")
def other_key() -> Key:
    return Key.generate("Other <other@localhost>")
