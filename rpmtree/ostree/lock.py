# SPDX-License-Identifier: GPL-2.0-or-later
"""The lock on a sysroot: libostree's own, and a file that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rpmtree.errors import BusyError, StoreError

_FILE = "strata.lock"
_PAUSE = 0.05
_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock: a process, what it does, since when (seconds since the epoch)."""

    pid: int
    command: str
    since: int

    def __str__(self) -> str:
        return f"pid {self.pid}, `{self.command}`, since {time.strftime('%H:%M', time.localtime(self.since))}"


@contextmanager
def holding(directory: Path, command: str, wait: float | None, also: Callable[[], bool]) -> Iterator[Holder]:
    """Hold the lock file in `directory`, then the lock that `also` tries to take and gives back itself.

    The file's lock is the kernel's (flock): if we die it is free, and what the file says no longer counts.
    `wait` is in seconds, None for ever. Raises BusyError, StoreError.
    """
    path = directory / _FILE
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"can't lock {path}: {error.strerror}") from error
    deadline = None if wait is None else time.monotonic() + wait
    try:
        if wait is None:
            fcntl.flock(fd, fcntl.LOCK_EX)  # the kernel's queue is fair, and a signal ends the wait
        else:
            _poll(lambda: _flock(fd), deadline, lambda: _busy(holder(directory)))
        us = Holder(os.getpid(), command, int(time.time()))
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{json.dumps(asdict(us))}\n".encode(), 0)
        # libostree closes its own, so that this child holds it for a moment after its parent has ended.
        _poll(also, None if deadline is None else max(deadline, time.monotonic() + _GRACE), lambda: _busy(None))
        yield us
        os.ftruncate(fd, 0)
    finally:
        # Not by closing it alone: the child that libostree has to sync may still have it open, and hold it.
        fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


def holder(directory: Path) -> Holder | None:
    """What the lock file in `directory` says; only true while its lock is held."""
    try:
        said = json.loads((directory / _FILE).read_text("utf-8"))
        return Holder(int(said["pid"]), str(said["command"]), int(said["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def at_work(directory: Path) -> Holder | None:
    """Who holds the lock in `directory` now. Looks only, and needs no privilege.

    The kernel's list tells a holder from what a process that was killed left in the file; to try the lock would
    be in the way of one who takes it.
    """
    said = holder(directory)
    if said is None:
        return None
    try:
        inode = os.stat(directory / _FILE).st_ino
        locks = Path("/proc/locks").read_text("ascii")
    except OSError:
        return None
    # "1: FLOCK  ADVISORY  WRITE PID MAJOR:MINOR:INODE 0 EOF"; those who wait have "->" behind the number.
    rows = (line.split() for line in locks.splitlines())
    held = any(
        row[1:2] == ["FLOCK"] and row[4] == str(said.pid) and row[5].endswith(f":{inode}")
        for row in rows
        if len(row) > 5
    )
    return said if held else None


def _flock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _poll(attempt: Callable[[], bool], deadline: float | None, busy: Callable[[], BusyError]) -> None:
    while not attempt():
        if deadline is not None and time.monotonic() >= deadline:
            raise busy()
        time.sleep(_PAUSE)


def _busy(who: Holder | None) -> BusyError:
    what = str(who) if who else "another program that uses libostree"
    return BusyError(f"busy: {what}", hint="wait for it to end, or add --wait")
