# SPDX-License-Identifier: GPL-2.0-or-later
"""A note in the sysroot while something is made or removed: where it is still there, whoever made it did not end.

What is left then is found by nothing else: names and objects that nobody needs look like those that are needed soon,
and whether a branch was to be forgotten is known to a command line that is gone. The next transaction, whatever it
does, finishes that.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from layering.system import System
from rpmtree.errors import StoreError
from rpmtree.files import fsync_directory
from rpmtree.ostree.refs import read_ref

_FILE = "ostree/strata.unfinished"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What the note says: the branch of a remote that was to be forgotten, if any."""

    remote: str | None = None
    branch: str | None = None


def unfinished(system: System) -> Unfinished | None:
    """What an earlier transaction did not end; None where all did. Call it with the sysroot's lock held."""
    try:
        text = _path(system).read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{_path(system)}: {error.strerror}") from error
    with suppress(ValueError, TypeError, KeyError):
        said = json.loads(text)
        return Unfinished(str(said["remote"]), str(said["branch"]))
    return Unfinished()


def begin(system: System, left: Unfinished | None = None) -> None:
    """Leave the note, durably, before anything is made. Raises StoreError."""
    # In place and not by a rename: a note that was cut short says the one thing that matters.
    text = json.dumps({"remote": left.remote, "branch": left.branch}) if left is not None else ""
    try:
        _path(system).write_text(text, "utf-8")
        fsync_directory(_path(system).parent)
    except OSError as error:
        raise StoreError(f"{_path(system)}: {error.strerror}") from error


def end(system: System) -> None:
    """Take the note away: all that was begun is done. Raises StoreError."""
    try:
        _path(system).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{_path(system)}: {error.strerror}") from error


def forget_branch(system: System, left: Unfinished) -> None:
    """Forget the branch that was to be forgotten, unless it is followed still. Raises StoreError."""
    from layering.refspec import Branch

    if left.remote is None or left.branch is None:
        return
    seen = system.merge()
    followed = seen.origin is None or seen.origin.base == Branch(left.remote, left.branch)
    if not followed and read_ref(system.sysroot.repo_path, left.branch, remote=left.remote) is not None:
        system.sysroot.remotes.set_branch(left.remote, left.branch, None)


def _path(system: System) -> Path:
    return system.path / _FILE
