# SPDX-License-Identifier: GPL-2.0-or-later
"""libostree's lock of a repository, held while objects are there that no branch names yet.

`ostree prune` takes it exclusively, and would else remove them. Format: an open-file-description lock on
REPO/.lock (libostree's ostree-repo.c, ostree_repo_lock_push).
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rpmtree.errors import BusyError

#: libostree's default (core.lock-timeout-secs).
TIMEOUT_SECONDS = 300.0
_PAUSE = 0.1
# struct flock: the whole file.
_SHARED = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)


@contextmanager
def shared_lock(repo: Path, *, timeout: float = TIMEOUT_SECONDS) -> Iterator[None]:
    """Keep the objects of `repo` from being pruned. Several may hold it at once.

    Waits for `timeout` seconds while a prune is at work, then raises BusyError; raises OSError.
    """
    fd = os.open(repo / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        _take(fd, repo, time.monotonic() + timeout)
        yield
    finally:
        os.close(fd)


def _take(fd: int, repo: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _SHARED)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as the system likes
            if time.monotonic() >= deadline:
                raise BusyError(f"{repo} is locked by a process that prunes it", hint="run this again later") from None
            time.sleep(_PAUSE)
        else:
            return
