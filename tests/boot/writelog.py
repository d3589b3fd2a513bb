# SPDX-License-Identifier: GPL-2.0-or-later
"""All that a guest wrote to its disk, in order, and what a loss of power would have left of it.

QEMU's blklogwrites writes the log of Linux' dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst).
What was written before a flush is on the disk; of what was written after the last one, any part may be.
"""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = 0x6A736677736872
_SUPER, _ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
_FLUSH, _DISCARD = 1, 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One write: its place on the disk and in the log, both in bytes. A flush may be one without content."""

    place: int
    size: int
    at: int
    flush: bool
    discard: bool


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is read; `entries` in the order in which they were written."""

    path: Path
    entries: tuple[Entry, ...]

    @property
    def flushes(self) -> tuple[int, ...]:
        """The indexes of entries before which everything is on the disk."""
        return tuple(index for index, entry in enumerate(self.entries) if entry.flush)


def count(path: Path) -> int:
    """How many entries a log has, also while it is written."""
    with path.open("rb") as file:
        magic, version, entries, _ = _SUPER.unpack(file.read(_SUPER.size))
    assert (magic, version) == (_MAGIC, 1), f"{path} is no log of writes"
    return int(entries)


def read(path: Path) -> Log:
    """The entries of a log."""
    return Log(path, tuple(_entries(path)))


def _entries(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        magic, version, entries, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert (magic, version) == (_MAGIC, 1), f"{path} is no log of writes"
        at = sector
        for _ in range(entries):
            file.seek(at)
            place, size, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            at += sector
            discard = bool(flags & _DISCARD)
            yield Entry(place * sector, size * sector, at, bool(flags & _FLUSH), discard)
            at += 0 if discard else size * sector


class Replay:
    """A copy of the disk, on which the log is played from its begin on."""

    def __init__(self, base: Path, log: Log, work: Path) -> None:
        self._log, self._work = log, work
        shutil.copyfile(base, work)
        self._done = 0

    def cut(self, flush: int, target: Path, choice: random.Random) -> None:
        """Make `target` the disk after a loss of power behind the entry `flush`: flushes come in rising order."""
        with self._log.path.open("rb") as source, self._work.open("r+b") as disk:
            for entry in self._log.entries[self._done : flush]:
                _apply(entry, source, disk)
            self._done = max(self._done, flush)
        _copy_sparse(self._work, target)
        rest = self._log.entries[flush:]
        end = next((index for index, entry in enumerate(rest[1:], 1) if entry.flush), len(rest))
        with self._log.path.open("rb") as source, target.open("r+b") as disk:
            for entry in rest[:end]:
                if choice.random() < 0.5:
                    _apply(entry, source, disk)


def _apply(entry: Entry, source: BinaryIO, disk: BinaryIO) -> None:
    if entry.discard or not entry.size:
        return  # what was discarded may be read as before
    source.seek(entry.at)
    disk.seek(entry.place)
    disk.write(source.read(entry.size))


def _copy_sparse(source: Path, target: Path) -> None:
    """Copy the parts of a file that hold anything."""
    with source.open("rb") as reading, target.open("wb") as writing:
        size = os.fstat(reading.fileno()).st_size
        writing.truncate(size)
        at = 0
        while at < size:
            try:
                begin = os.lseek(reading.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            at = os.lseek(reading.fileno(), begin, os.SEEK_HOLE)
            reading.seek(begin)
            writing.seek(begin)
            shutil.copyfileobj(_Part(reading, at - begin), writing, 1 << 20)


class _Part:
    """The next so many bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of it."""
        data: bytes = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(data)
        return data
