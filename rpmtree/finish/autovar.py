# SPDX-License-Identifier: GPL-2.0-or-later
"""One tmpfiles.d file for what packages hold below /var, /run and /opt."""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.tmpfiles import AUTOVAR, DIRECTORY, defined_path, merged, package_lines, system_paths
from rpmtree.finish.tree import put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec, OptUsrLocal


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Merge the packages' lines, but for paths that the image's own tmpfiles.d makes.

    Links in /opt are left out where /opt is part of the image: there they would be made in a read-only place.
    """
    lines = package_lines(root)
    if spec.opt_usrlocal is not OptUsrLocal.VAR:
        lines = [line for line in lines if not (defined_path(line) or "").startswith("/opt/")]
    kept = merged(lines, system_paths(root))
    path = f"{DIRECTORY}/{AUTOVAR}"
    if kept:
        put(root, path, "\n".join(["# Made from the packages of this image.", *kept, ""]), 0o644)
    else:
        root.remove(path)
