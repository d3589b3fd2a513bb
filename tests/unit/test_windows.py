# SPDX-License-Identifier: GPL-2.0-or-later
"""Maintenance windows: how they are written, whether one is open, when the next one opens."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layering.windows import Window, closes, opens, parse

ALL = frozenset(range(7))


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        ("", ()),
        ("02:00-04:00", (Window(ALL, 120, 120),)),
        ("2:00 - 4:30", (Window(ALL, 120, 150),)),
        ("Sat,Sun 02:00-04:00", (Window(frozenset({5, 6}), 120, 120),)),
        ("sat, sunday 02:00-04:00", (Window(frozenset({5, 6}), 120, 120),)),
        ("Mon..Fri 03:00-03:30;", (Window(frozenset(range(5)), 180, 30),)),
        ("Fri..Mon,Wed 00:00-24:00", (Window(frozenset({4, 5, 6, 0, 2}), 0, 1440),)),
        ("23:30-00:15", (Window(ALL, 1410, 45),)),
        ("Tue 22:00-24:00; 01:00-02:00", (Window(frozenset({1}), 1320, 120), Window(ALL, 60, 60))),
    ],
)
def test_written(text: str, windows: tuple[Window, ...]) -> None:
    assert parse(text) == windows


@pytest.mark.parametrize(
    "text",
    ["always", "Sat", "02:00", "02:00-", "Sat 02:00", "Caturday 02:00-03:00", "Sat 02:60-03:00", "25:00-26:00",
     "24:01-02:00", "02:00-02:00", "24:00-02:00", "Sat, 02:00-03:00", "Mon.. 02:00-03:00", "Sat 2-4",
     "Sat 02:00-04:00 x"],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)


def at(text: str) -> datetime:
    """A time of the week of 2 November 2026, a Monday: `Sat 02:30`."""
    day, _, time = text.partition(" ")
    hour, _, minute = time.partition(":")
    return datetime(2026, 11, 2 + ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun").index(day), int(hour), int(minute))


@pytest.mark.parametrize(
    ("text", "now", "until"),
    [
        ("Sat,Sun 02:00-04:00", "Sat 02:00", "Sat 04:00"),
        ("Sat,Sun 02:00-04:00", "Sun 03:59", "Sun 04:00"),
        ("Sat,Sun 02:00-04:00", "Sat 04:00", None),
        ("Sat,Sun 02:00-04:00", "Fri 03:00", None),
        ("Sat 23:00-01:00", "Sun 00:30", "Sun 01:00"),
        ("Sat 23:00-01:00", "Sat 00:30", None),
        ("02:00-03:00; 02:30-05:00", "Wed 02:45", "Wed 05:00"),
        ("", "Mon 00:00", None),
    ],
)
def test_open(text: str, now: str, until: str | None) -> None:
    assert closes(parse(text), at(now)) == (None if until is None else at(until))


@pytest.mark.parametrize(
    ("text", "now", "then"),
    [
        ("Sat,Sun 02:00-04:00", "Mon 12:00", "Sat 02:00"),
        ("Sat,Sun 02:00-04:00", "Sat 02:00", "Sat 02:00"),
        ("Sat,Sun 02:00-04:00", "Sat 02:01", "Sun 02:00"),
        ("Sat 23:00-01:00; Fri 01:00-02:00", "Thu 09:00", "Fri 01:00"),
    ],
)
def test_the_next_one(text: str, now: str, then: str) -> None:
    assert opens(parse(text), at(now)) == at(then)


def test_the_next_one_may_be_a_week_away() -> None:
    assert opens(parse("Mon 02:00-03:00"), at("Mon 02:01")) == at("Mon 02:00") + timedelta(days=7)


_WINDOW = st.builds(Window, st.frozensets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 1440))


@settings(deadline=None, max_examples=200)
@given(st.lists(_WINDOW, min_size=1, max_size=4), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_at_any_time(windows: list[Window], now: datetime) -> None:
    then = opens(windows, now)
    assert now <= then <= now + timedelta(days=7)
    until = closes(windows, then)
    assert until is not None
    assert until > then
    before = closes(windows, until - timedelta(seconds=1))
    assert before is not None
    assert before >= until
