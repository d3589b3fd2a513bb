# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of `layer`: each module has `add(verbs)`, which adds the parsers of a group.

A command loads the module of its verb alone; what an action stands on is imported inside of it, since for help all
modules are loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layering.verbs.common import Verbs

#: Module → its verbs with their other names, in the order of the help.
GROUPS = {
    "status": ("status",),
    "packages": ("install", "pkg-add", "uninstall", "pkg-remove", "remove", "override", "reset"),
    "bases": ("upgrade", "update", "rebase", "deploy"),
    "deployments": ("rollback", "pin", "unpin", "cleanup"),
    "kargs": ("kargs",),
    "transactions": ("finalize-deployment", "cancel"),
    "repositories": ("refresh-md", "makecache", "search"),
    "db": ("db", "rpm"),
    "remote": ("remote",),
    "history": ("history", "ex"),
    "health": ("verify", "repair"),
    "boot_trial": ("boot-trial",),
}


def add_to(verbs: Verbs, wanted: str | None = None) -> None:
    """Add the group of a verb; all groups where there is no such verb."""
    chosen = [name for name, group in GROUPS.items() if wanted in group] or list(GROUPS)
    for name in chosen:
        _group(name)(verbs)


def _group(name: str) -> Callable[[Verbs], None]:
    match name:
        case "status":
            from layering.verbs.status import add
        case "packages":
            from layering.verbs.packages import add
        case "bases":
            from layering.verbs.bases import add
        case "deployments":
            from layering.verbs.deployments import add
        case "kargs":
            from layering.verbs.kargs import add
        case "transactions":
            from layering.verbs.transactions import add
        case "repositories":
            from layering.verbs.repositories import add
        case "db":
            from layering.verbs.db import add
        case "remote":
            from layering.verbs.remote import add
        case "history":
            from layering.verbs.history import add
        case "health":
            from layering.verbs.health import add
        case _:
            from layering.verbs.boot_trial import add
    return add
