# SPDX-License-Identifier: GPL-2.0-or-later
"""libostree through PyGObject: loading it, turning its errors into ours, and letting signals through to Python.

Importing this module is quick; gi is loaded by the first call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rpmtree.connections import Connections
from rpmtree.errors import StoreError, ToolError
from rpmtree.files import sync_filesystem

T = TypeVar("T")
#: What the name of the thread of a call that can be interrupted begins with.
_THREAD = "libostree"
#: Seconds between two looks at a call that runs: how long a signal waits for Python.
_TICK = 0.1


def libostree() -> Any:
    """The module OSTree. Raises ToolError, naming the package to install."""
    import gi

    try:
        gi.require_version("OSTree", "1.0")
    except ValueError as error:
        raise ToolError(
            "libostree's description for PyGObject is missing",
            hint="install gir1.2-ostree-1.0 (Debian) or ostree-libs (Fedora)",
        ) from error
    from gi.repository import OSTree

    return OSTree


@contextmanager
def wrapped(what: str, *, as_error: type[ToolError] = StoreError, hint: str | None = None) -> Iterator[None]:
    """Turn libostree's errors into ours: `what` says what could not be done. A full disk is a StoreError always."""
    from gi.repository import Gio, GLib

    try:
        yield
    except GLib.Error as error:
        # The second is libostree's own limit (ostree.repo-config(5)), which has no code of its own.
        if error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NO_SPACE) or "min-free-space-" in error.message:
            raise StoreError(f"{what}: {error.message}", hint="free some space, then run this again") from error
        first, _, rest = error.message.strip().partition("\n")
        raise as_error(f"{what}: {first}", hint=hint, detail=rest or None) from error
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror}") from error


def interruptible(work: Callable[[Any], T], tick: Callable[[], None] | None = None) -> T:
    """The result of `work(cancellable)`, a long call into libostree, which a signal's exception ends early.

    Python's signal handlers run between two bytecodes of the main thread, so a call that stays in C for
    minutes would hold them up: it runs in a thread of its own. `tick` is called now and then meanwhile.

    The thread also has a main context of its own: what a pull that failed leaves undone in one is done by
    whoever runs that context next, with memory that is gone.
    """
    from gi.repository import Gio, GLib

    cancellable = Gio.Cancellable.new()
    connections = Connections()

    def apart() -> T:
        context = GLib.MainContext.new()
        context.push_thread_default()
        try:
            return work(cancellable)
        finally:
            context.pop_thread_default()

    with ThreadPoolExecutor(1, _THREAD) as pool:
        try:
            running = pool.submit(apart)
            while not wait([running], _TICK).done:
                if tick is not None:
                    tick()
        except BaseException:
            cancellable.cancel()
            pool.shutdown(wait=False)
            connections.end_threads(_THREAD)  # libostree looks at the cancellable when a request has ended
            raise
        return running.result()


def make_durable(*paths: Path) -> None:
    """Write out the file systems that `paths` lie on, each once. Raises StoreError."""
    done = set()
    for path in paths:
        try:
            if (device := os.stat(path).st_dev) not in done:
                sync_filesystem(path)
                done.add(device)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreError(f"{path}: what was written could not be made durable: {error.strerror}") from error
