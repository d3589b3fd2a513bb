# SPDX-License-Identifier: GPL-2.0-or-later
"""What is under way: a deployment that is staged and held back, a command that holds the lock."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from layering.system import System
from rpmtree.errors import StoreError, UsageError
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.lock import Holder, at_work
from rpmtree.ostree.objects import PKGLIST

_PAUSE = 0.05


def check_staged(
    system: System, checksum: str | None, *, allow_missing_checksum: bool, allow_unlocked: bool
) -> Deployment:
    """The staged deployment, where it is the one that is meant: `checksum` is its base's, or its own.

    Raises UsageError, StoreError.
    """
    if checksum is None and not allow_missing_checksum:
        raise UsageError("which commit is to be staged?", hint="its checksum, or --allow-missing-checksum")
    staged = next((seen.deployment for seen in system.deployments() if seen.deployment.staged), None)
    if staged is None:
        raise StoreError("no deployment is staged", hint="`status` shows what there is")
    if not allow_unlocked and not staged.held_back:
        raise StoreError("the staged deployment is not held back", hint="--allow-unlocked boots it all the same")
    raw = bytes.fromhex(staged.checksum)
    base = base_of(raw, system.sysroot.repository.commit(raw, without=(PKGLIST,))).hex()
    if checksum is not None and checksum not in (base, staged.checksum):
        raise StoreError(f"Expected staged base checksum {checksum}, but found {base}")
    return staged


def interrupt(sysroot: Path) -> Holder | None:
    """Send SIGINT to the process that holds the sysroot's lock, and wait until it does no more.

    Gives who that was, None where nobody holds it. Raises StoreError where we may not.
    """
    directory = sysroot / "ostree"
    found = at_work(directory)
    if found is None:
        return None
    with suppress(ProcessLookupError):  # it has just ended by itself
        fd = os.pidfd_open(found.pid)
        try:
            if at_work(directory) == found:  # the descriptor is that process's, and not of one with its number
                signal.pidfd_send_signal(fd, signal.SIGINT)
        except PermissionError as error:
            raise StoreError(f"{found} belongs to another user", hint="run this with sudo") from error
        finally:
            os.close(fd)
    while at_work(directory) == found:
        time.sleep(_PAUSE)
    return found
