# SPDX-License-Identifier: GPL-2.0-or-later
"""Ending network connections that threads of this process wait for: they hear of a signal in no other way."""

from __future__ import annotations

import os
import stat
import threading
import time
from contextlib import suppress

#: Seconds between two looks at threads that are to end.
_TICK = 0.05


class Connections:
    """The sockets that this process opens from now on."""

    def __init__(self) -> None:
        self._before = frozenset(_sockets().values())

    def end(self) -> None:
        """End all that are open at this moment: whoever waits for one gets an error at once. They stay to be closed."""
        import socket

        for number, inode in _sockets().items():
            if inode not in self._before:
                with suppress(OSError):  # closed meanwhile, or never connected
                    copy = os.dup(number)
                    with socket.socket(fileno=copy) as found:
                        if os.fstat(copy).st_ino == inode:
                            found.shutdown(socket.SHUT_RDWR)

    def end_threads(self, name: str) -> None:
        """End what they wait for until no thread is left whose name begins with `name`.

        Not futures are waited for: a signal may come while one is submitted, before anybody knows it.
        """
        while any(thread.name.startswith(name) for thread in threading.enumerate()):
            self.end()
            time.sleep(_TICK)


def _sockets() -> dict[int, int]:
    """The inode of each descriptor that is a socket."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            what = os.fstat(int(name))
            if stat.S_ISSOCK(what.st_mode):
                found[int(name)] = what.st_ino
    return found
