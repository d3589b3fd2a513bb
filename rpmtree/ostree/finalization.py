# SPDX-License-Identifier: GPL-2.0-or-later
"""What libostree keeps outside the sysroot about the system that runs: whether a staged deployment is held back,
whether the last shutdown finished one, which deployments are unlocked.

Paths are libostree's (ostree-sysroot-private.h): in /run, so that a loss of power forgets them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rpmtree.errors import StoreError, UsageError
from rpmtree.files import write_atomically

_RUN = Path("/run/ostree")
_HELD_BACK = "staged-deployment-locked"
_FAILURE = "ostree/finalize-failure.stamp"


def held_back(run: Path = _RUN) -> bool:
    """Whether a file has shutdown leave what is staged as it is (`--lock-finalization`)."""
    return (run / _HELD_BACK).exists()


def is_marked(staged: Any) -> bool:
    """Whether libostree's own state of a staged deployment has shutdown leave it, which it can since 2023.8.

    We only set the file: libostree heeds either, and Python can't set the other at the moment of staging.
    """
    known = getattr(staged, "is_finalization_locked", None)
    return known is not None and bool(known())


def hold_back(held: bool, run: Path = _RUN) -> None:
    """Say whether shutdown is to leave what is staged as it is; called with the sysroot's lock held.

    Raises StoreError.
    """
    try:
        if held:
            run.mkdir(mode=0o755, exist_ok=True)
            write_atomically(run / _HELD_BACK, b"")
        else:
            (run / _HELD_BACK).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{run / _HELD_BACK}: {error.strerror}") from error


@contextmanager
def staging(held: bool, *, running: bool = True, run: Path = _RUN) -> Iterator[None]:
    """Around staging a deployment: shutdown is to leave it as it is (`held`), or not.

    Called with the sysroot's lock held. It is held back from the first moment on; where staging fails, all stays as it
    was. `running`: whether it is the system that runs, as nothing is staged in another. Raises StoreError, UsageError.
    """
    if held and not running:
        raise UsageError("--lock-finalization: nothing is staged in a system that does not run")
    before = running and held_back(run)
    if held:
        hold_back(True, run)
    try:
        yield
    except BaseException:
        if running:
            hold_back(before, run)
        raise
    if running:
        # Again: where something was staged before, libostree (2025.2) has taken the file away. No shutdown has finished
        # anything meanwhile, since that waits for the sysroot's lock.
        hold_back(held, run)


def failure(sysroot: Path) -> str | None:
    """Why the previous shutdown did not finish what was staged; None where it is not known to have failed.

    libostree leaves that in /boot, and takes it away in the boot after.
    """
    with suppress(OSError):
        text = (sysroot / "boot" / _FAILURE).read_text("utf-8", "replace").strip()
        return text or "no reason was left"
    return None


def unlocked(checksum: str, serial: int, persistent: str | None, run: Path = _RUN) -> str:
    """How /usr of a deployment may be written to: none, development, hotfix, transient.

    `persistent`: what its origin file says; the others are over with the next boot.
    """
    state = run / "deployment-state" / f"{checksum}.{serial}"
    for kind in ("development", "transient"):
        if (state / f"unlocked-{kind}").exists():
            return kind
    return persistent if persistent in ("hotfix", "development", "transient") else "none"
