# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of `layer`: each module has `add(verbs)`, which adds the parsers of a group.

They are all loaded for every command, so what an action stands on is imported inside of it.
"""

from __future__ import annotations

from layering.verbs import (
    bases,
    db,
    deployments,
    health,
    kargs,
    packages,
    remote,
    repositories,
    status,
    transactions,
)

#: In the order of the help.
GROUPS = tuple(
    group.add for group in (status, packages, bases, deployments, kargs, transactions, repositories, db, remote, health)
)
