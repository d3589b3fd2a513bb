# SPDX-License-Identifier: GPL-2.0-or-later
"""What packagers wrote about their changes, from the headers of an rpm database."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rpmtree.rpm.database import read_database_headers
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import nevra_of
from rpmtree.rpm.signatures import read_header_blob


@dataclass(frozen=True, slots=True)
class Entry:
    """A change: seconds since 1970, who (and for which version), what."""

    timestamp: int
    author: str
    text: str


def read_changelogs(directory: Path, wanted: Collection[Nevra]) -> dict[Nevra, tuple[Entry, ...]]:
    """The entries of the packages in `wanted`, newest first, from the database in `directory`. Raises StoreError."""
    found = {}
    for blob in read_database_headers(directory):
        header = read_header_blob(blob)
        nevra = nevra_of(header)
        if nevra in wanted:
            rows = zip(header["CHANGELOGTIME"], header["CHANGELOGNAME"], header["CHANGELOGTEXT"], strict=False)
            found[nevra] = tuple(Entry(int(when), _text(who), _text(what)) for when, who, what in rows)
    return found


def newer(old: Collection[Entry], new: Collection[Entry]) -> tuple[Entry, ...]:
    """The entries of `new` that `old` has not, and that are not older than all of it."""
    before = set(old)
    since = max((entry.timestamp for entry in old), default=0)
    return tuple(entry for entry in new if entry not in before and entry.timestamp >= since)


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
