# SPDX-License-Identifier: GPL-2.0-or-later
"""The flattened treefile, kept in the image for whoever asks how it was made."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tree import put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

PATH = "usr/share/rpm-ostree/treefile.json"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Store spec.treefile_json, if there is one."""
    if spec.treefile_json is not None:
        put(root, PATH, spec.treefile_json, 0o644)
