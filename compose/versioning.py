# SPDX-License-Identifier: GPL-2.0-or-later
"""The version of the next commit, from the treefile's prefix and the commit before. Pure."""

from __future__ import annotations

import re
from datetime import datetime

_DATE = re.compile(r"<date:([^<>]*)>")
#: What %-letters a date may have: those that a day, a time or a week are written with.
_DIRECTIVES = frozenset("aAbBCdDeFgGhHIjmMpRSTuUVwWyYzZ%")


def next_version(prefix: str, suffix: str, previous: str | None, now: datetime) -> str:
    """The version after `previous`: the prefix where that has another one, else with the next count.

    `suffix` is the character between prefix and count. `<date:FMT>` in the prefix stands for `now` as strftime
    writes it; such a version always has a count, from 0, so that it starts again when the date changes. What
    follows the prefix in `previous` but does not start with a number counts as 0. Raises ValueError for a FMT that
    is not understood.
    """
    expanded = _DATE.sub(lambda match: _date(match.group(1), now), prefix)
    separator = suffix or "."
    dated = expanded != prefix or _DATE.search(prefix) is not None
    first = f"{expanded}{separator}0" if dated else expanded
    if not previous:
        return first
    if previous == expanded:
        return first if dated else f"{expanded}{separator}1"
    if not previous.startswith(expanded + separator):
        return first
    count = re.match(r"[0-9]*", previous.removeprefix(expanded + separator))
    assert count is not None
    return f"{expanded}{separator}{int(count.group()[:18] or 0) + 1}"


def _date(text: str, now: datetime) -> str:
    unknown = [letter for letter in re.findall(r"%[-_0^#]?(.?)", text) if letter not in _DIRECTIVES]
    if unknown:
        raise ValueError(f"<date:{text}>: %{unknown[0]} is not a part of a date")
    return now.strftime(text) if text else ""
