# SPDX-License-Identifier: GPL-2.0-or-later
"""Writable overlays over /usr/local and /usr/lib/opt (treefile: `opt-usrlocal: state-overlay`)."""

from __future__ import annotations

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.finish.tree import put_link
from rpmtree.finish.units import UNIT_DIRECTORY
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec, OptUsrLocal

TEMPLATE = "ostree-state-overlay@.service"
_REQUIRES = f"{UNIT_DIRECTORY}/local-fs.target.requires"
_INSTANCES = ("ostree-state-overlay@usr-lib-opt.service", "ostree-state-overlay@usr-local.service")


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Make local-fs.target require both overlays.

    Raises ToolError if the image has no such unit: a missing requirement of that target ends in emergency mode.
    """
    if spec.opt_usrlocal is not OptUsrLocal.STATE_OVERLAY or spec.container:
        return
    if not root.exists(f"{UNIT_DIRECTORY}/{TEMPLATE}"):
        raise ToolError(
            f"opt-usrlocal is state-overlay, but no package brings {TEMPLATE}",
            hint="it comes with ostree 2024.1; with an older one use `opt-usrlocal: var` or `root`",
        )
    for name in _INSTANCES:
        put_link(root, f"../{TEMPLATE}", f"{_REQUIRES}/{name}")
