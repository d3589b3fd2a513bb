# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions that count up."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from compose.versioning import next_version

NOW = datetime(2026, 8, 3, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("prefix", "suffix", "previous", "version"),
    [
        ("10", ".", None, "10"),
        ("10", ".", "", "10"),
        ("10", ".", "9.3", "10"),
        ("10", ".", "10", "10.1"),
        ("10", ".", "10.1", "10.2"),
        ("10", ".", "10.9", "10.10"),
        ("10", ".", "10.x", "10.1"),
        ("10", ".", "10.2x", "10.3"),
        ("10", ".", "10.2.5", "10.3"),
        ("10", ".", "102", "10"),
        ("10", ".", "10-1", "10"),
        ("10.1", ".", "10.2", "10.1"),
        ("10.1", ".", "10.12", "10.1"),
        ("10", "-", "10", "10-1"),
        ("10", "-", "10-1", "10-2"),
        ("10", "-", "10.1", "10"),
        ("10", "", "10", "10.1"),
        ("10", ".", "10." + "9" * 30, "10." + "1" + "0" * 18),
        ("10.<date:%Y%m%d>", ".", None, "10.20260803.0"),
        ("10.<date:%Y%m%d>", ".", "10.20260803", "10.20260803.0"),
        ("10.<date:%Y%m%d>", ".", "10.20260803.0", "10.20260803.1"),
        ("10.<date:%Y%m%d>", ".", "10.20260802.7", "10.20260803.0"),
        ("10.<date:%Y%m%d>", "-", "10.20260803-4", "10.20260803-5"),
        ("10.<date:%Y%m%d>", ".", "10.202608031", "10.20260803.0"),
        ("10.<date:%Y%m%d>.0", ".", "10.20260803.0", "10.20260803.0.0"),
        ("<date:%Y>.<date:%m>", ".", "2026.08.1", "2026.08.2"),
        ("<date:%-m>", ".", None, "8.0"),
        ("1<date:>", ".", None, "1.0"),
        ("1<date:100%%>", ".", None, "1100%.0"),
        ("10.<day:%Y>", ".", None, "10.<day:%Y>"),
    ],
)
def test_next_version(prefix: str, suffix: str, previous: str | None, version: str) -> None:
    assert next_version(prefix, suffix, previous, NOW) == version


@pytest.mark.parametrize("prefix", ["<date:%q>", "<date:%E>", "<date:%>", "<date:%n>", "<date:%s>"])
def test_unknown_parts_of_a_date(prefix: str) -> None:
    with pytest.raises(ValueError, match="not a part of a date"):
        next_version(prefix, ".", None, NOW)
