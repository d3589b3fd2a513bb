# SPDX-License-Identifier: GPL-2.0-or-later
"""State of update-alternatives and vagrant, which belongs to the image: from /var/lib to /usr/lib.

The importer does the same with what packages bring; here it is for what scripts have made.
"""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tmpfiles import DIRECTORY
from rpmtree.finish.tree import is_real_dir, move, put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

NAMES = ("alternatives", "vagrant")
PATH = f"{DIRECTORY}/rpm-ostree-0-state.conf"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Move each directory, and make a link of its old path when the system boots."""
    if spec.container:
        return
    for name in NAMES:
        if is_real_dir(root, f"var/lib/{name}"):
            move(root, f"var/lib/{name}", f"usr/lib/{name}")
    links = [f"L /var/lib/{name} - - - - ../../usr/lib/{name}\n" for name in NAMES if root.is_dir(f"usr/lib/{name}")]
    if links:
        put(root, PATH, "".join(links), 0o644)
