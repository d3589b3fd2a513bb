# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools leave behind that differs from run to run, or that no image should carry.

Without these, composing twice gives the same tree but for /etc/shadow, which has a step of its own.
"""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

#: Backups and locks of the shadow tools; ldconfig's cache of inodes and times; systemd's stamps of updates.
PATHS = (
    "etc/.pwd.lock",
    "etc/.updated",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/.updated",
    "var/cache/ldconfig/aux-cache",
    "var/log/faillog",
    "var/log/lastlog",
)


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Remove each of PATHS that is there."""
    for path in PATHS:
        root.remove(path)
