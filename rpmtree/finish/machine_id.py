# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine's identity: never one in the image, since all that boot it would share it (machine-id(5))."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tree import put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

PATH = "etc/machine-id"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Leave an empty machine-id, or none at all: then the first boot counts as one (`machineid-compat: false`)."""
    if spec.machineid_compat:
        put(root, PATH, "", 0o444)
    else:
        root.remove(PATH)
