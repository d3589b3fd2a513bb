# SPDX-License-Identifier: GPL-2.0-or-later
"""What was found when updates were last looked for: a note in the stateroot's /var, which `status` shows.

It says of which deployment the update is one: beside any other one it is out of date, and not shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rpmtree.errors import StoreError
from rpmtree.files import write_atomically

#: Below /var; rpm-ostree has a file of its own form in /var/cache/rpm-ostree.
FILE = "cache/strata/cached-update.json"


@dataclass(frozen=True, slots=True)
class LastLook:
    """The note. `when`: seconds since 1970; `update`: JSON values, None where there was nothing newer."""

    when: int
    update: Mapping[str, Any] | None = None
    #: By which policy; None: a person looked.
    policy: str | None = None
    #: Why an automatic run did nothing.
    message: str | None = None
    #: The commit that was staged by the policy, to be booted when that is allowed.
    staged: str | None = None

    def update_of(self, checksum: str) -> Mapping[str, Any] | None:
        """The update, if it is one of the deployed commit `checksum`."""
        ours = self.update.get("strata", {}) if self.update else {}
        return self.update if ours.get("from-checksum") == checksum else None


def looked(before: LastLook | None, when: int, update: Mapping[str, Any] | None) -> LastLook:
    """The note after a person has looked, and nothing was in the way; what a policy has staged is known still."""
    return replace(before, when=when, update=update, policy=None, message=None) if before else LastLook(when, update)


def read(var: Path) -> LastLook | None:
    """The note in a stateroot's /var; None where there is none, or none that can be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads((var / FILE).read_text("utf-8"))
        update = said["update"]
        if update is not None and not isinstance(update, dict):
            return None
        return LastLook(int(said["when"]), update, said["policy"], said["message"], said["staged"])
    return None


def write(var: Path, look: LastLook) -> None:
    """Leave the note, durably. Raises StoreError."""
    path = var / FILE
    document = {
        "when": look.when,
        "policy": look.policy,
        "message": look.message,
        "staged": look.staged,
        "update": None if look.update is None else dict(look.update),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
