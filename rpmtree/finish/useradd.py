# SPDX-License-Identifier: GPL-2.0-or-later
"""useradd makes homes in /var/home: /home is a link, which some tools do not follow."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tree import put, read_if_file
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

PATH = "etc/default/useradd"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Set HOME in useradd's defaults, where they set one at all."""
    text = None if spec.container else read_if_file(root, PATH)
    if text is None:
        return
    lines = ["HOME=/var/home" if line.startswith("HOME=") else line for line in text.splitlines()]
    put(root, PATH, "".join(f"{line}\n" for line in lines))
