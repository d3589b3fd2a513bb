# SPDX-License-Identifier: GPL-2.0-or-later
"""Maintenance windows: hours of the week in which a machine may be rebooted. Pure; times are the machine's wall clock.

    Sat,Sun 02:00-04:00; Mon..Fri 03:00-03:30; 23:30-00:15

Days are written as in systemd.time(7); without any it is every day. A window that ends before it begins ends on the
next day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """`days` on which it opens (0 is Monday); `start` and `length` in minutes."""

    days: frozenset[int]
    start: int
    length: int


def parse(text: str) -> tuple[Window, ...]:
    """The windows that are written, separated by `;`. Raises ValueError."""
    parts = [part.strip() for part in text.split(";")]
    return tuple(_window(part) for part in parts if part)


def closes(windows: Sequence[Window], now: datetime) -> datetime | None:
    """When the window ends that is open now: of several the last. None: none is open."""
    # One that opened yesterday may still be open.
    spans = [span for day in (now - _DAY, now) for span in _spans(windows, day)]
    return max((end for begin, end in spans if begin <= now < end), default=None)


def opens(windows: Sequence[Window], now: datetime) -> datetime:
    """When the next window opens, at `now` or later; there has to be one."""
    days = (now + _DAY * number for number in range(8))
    return min(begin for day in days for begin, _ in _spans(windows, day) if begin >= now)


def _spans(windows: Sequence[Window], day: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Begin and end of the windows that open on the day of `day`."""
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
    for window in windows:
        if day.weekday() in window.days:
            begin = midnight + timedelta(minutes=window.start)
            yield begin, begin + timedelta(minutes=window.length)


def _window(text: str) -> Window:
    days, _, hours = text.rpartition(" ") if "-" in text.rpartition(" ")[2] else ("", "", text)
    found = _HOURS.fullmatch(hours.strip())
    if found is None:
        raise ValueError(f"{text!r} is no window such as `Sat,Sun 02:00-04:00`")
    start, end = (_minutes(hour, minute) for hour, minute in (found.group(1, 2), found.group(3, 4)))
    if start in {end, 24 * 60}:
        raise ValueError(f"the window {text!r} is empty")
    chosen = frozenset(_days(days.strip())) if days.strip() else frozenset(range(7))
    return Window(chosen, start, (end - start) % (24 * 60) or 24 * 60)


def _minutes(hour: str, minute: str) -> int:
    found = int(hour) * 60 + int(minute)
    if int(minute) > 59 or found > 24 * 60:
        raise ValueError(f"there is no time {hour}:{minute}")
    return found


def _days(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, dots, last = (word.strip() for word in part.partition(".."))
        begin = _day(first)
        end = _day(last) if dots else begin
        yield from ((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _day(word: str) -> int:
    found = [number for number, name in enumerate(_DAYS) if word.lower() in (name, name[:3])]
    if not found:
        raise ValueError(f"{word!r} is no day of the week: Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    return found[0]
