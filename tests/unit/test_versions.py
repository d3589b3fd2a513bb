# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions compare as librpm compares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpmtree.rpm.versions import Evr, compare_evr, compare_versions

_VERSIONS = st.text(alphabet="0019abAZ~^._+", min_size=1, max_size=9)


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("1.0", "1.0", 0),
        ("1.0", "1.00", 0),
        ("1.0", "1.0.1", -1),
        ("1.10", "1.9", 1),
        ("1.0~rc1", "1.0", -1),
        ("1.0^git1", "1.0", 1),
        ("1.0^git1", "1.0.1", -1),
        ("1a", "1.1", -1),
        ("1.0a", "1.0", 1),
        ("1_0", "1.0", 0),
    ],
)
def test_order(left: str, right: str, order: int) -> None:
    assert compare_versions(left, right) == order
    assert compare_versions(right, left) == -order


@pytest.mark.needs("rpm:")
@given(_VERSIONS, _VERSIONS)
def test_order_is_librpms(left: str, right: str) -> None:
    import rpm

    assert compare_versions(left, right) == rpm.labelCompare(("0", left, "1"), ("0", right, "1"))


@pytest.mark.parametrize(
    ("text", "evr"),
    [
        ("1.2", Evr(None, "1.2", None)),
        ("1.2-3", Evr(None, "1.2", "3")),
        ("4:1.2-3", Evr(4, "1.2", "3")),
        (":1", Evr(None, "1", None)),
        ("a:1", Evr(None, "a:1", None)),
    ],
)
def test_parse(text: str, evr: Evr) -> None:
    assert Evr.parse(text) == evr


def test_epoch_first_and_missing_release_is_not_compared() -> None:
    assert compare_evr(Evr(1, "1", "1"), Evr(None, "9", "9")) == 1
    assert compare_evr(Evr(0, "1", "1"), Evr(None, "1", None)) == 0
    assert compare_evr(Evr(0, "1", "1"), Evr(0, "1", "2")) == -1
