# SPDX-License-Identifier: GPL-2.0-or-later
"""Units of the treefile, enabled by links in /etc so that an admin can disable them."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tree import put_link
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

WANTS = "etc/systemd/system/multi-user.target.wants"
UNIT_DIRECTORY = "usr/lib/systemd/system"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Link each of spec.units into multi-user.target; a link that is there already stays."""
    for unit in spec.units:
        file = unit_file(unit)
        if not root.lexists(f"{UNIT_DIRECTORY}/{file}") and not root.lexists(f"etc/systemd/system/{file}"):
            reporter.warning(f"the unit {unit} is enabled, but no package brings {file}")
        if not root.lexists(f"{WANTS}/{unit}"):
            put_link(root, f"/{UNIT_DIRECTORY}/{file}", f"{WANTS}/{unit}")


def unit_file(unit: str) -> str:
    """The file that defines a unit: its template, for an instance (systemd.unit(5))."""
    stem, dot, suffix = unit.rpartition(".")
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@{dot}{suffix}" if at and instance else unit
