# SPDX-License-Identifier: GPL-2.0-or-later
"""The target that the image boots to."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tree import put_link
from rpmtree.finish.units import UNIT_DIRECTORY
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

_OVERRIDE = "etc/systemd/system/default.target"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Point default.target at spec.default_target, and remove a link in /etc that would win over it."""
    target = spec.default_target
    if target is None:
        return
    if not root.lexists(f"{UNIT_DIRECTORY}/{target}"):
        reporter.warning(f"default-target is {target}, which no package brings")
    put_link(root, target, f"{UNIT_DIRECTORY}/default.target")
    if root.lexists(_OVERRIDE):
        root.remove(_OVERRIDE)
        reporter.note(f"removed /{_OVERRIDE}, which a script made: default-target says {target}")
