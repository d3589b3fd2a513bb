# SPDX-License-Identifier: GPL-2.0-or-later
"""What fuzzing begins with and what it has found: no parser fails on it. (`python -m tests.fuzz` finds more.)"""

from __future__ import annotations

import pytest

from tests.fuzz import FINDS, SEEDS, TARGETS

CASES = [(name, f"seed {number}", data) for name, seeds in SEEDS.items() for number, data in enumerate(seeds)]
CASES += [(path.parent.name, path.name, path.read_bytes()) for path in sorted(FINDS.glob("*/*"))]


@pytest.mark.parametrize(("target", "data"), [pytest.param(t, d, id=f"{t} {n}") for t, n, d in CASES])
def test_no_parser_fails(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_not_text_at_all_is_refused(target: str) -> None:
    for data in (b"", b"\0", b"\xff\xfe\xfd", bytes(range(256)), b"\0" + b"[" * 500, b"\1" + b"[" * 500, b"\2%" * 9):
        TARGETS[target](data)
