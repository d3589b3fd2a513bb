# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that the treefile removes."""

from __future__ import annotations

from rpmtree.errors import ConfigError
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Remove each of spec.remove_files with all below it; one that is not there is noted."""
    for path in spec.remove_files:
        inside = tree_path(path)
        if root.lexists(inside):
            root.remove(inside)
        else:
            reporter.note(f"remove-files: {path} is not in the root")


def tree_path(path: str) -> str:
    """The path as it is while steps run: usr/etc is still etc. Raises ConfigError on one that leads out."""
    parts = path.rstrip("/").split("/")
    if not parts[0] or any(part in ("", ".", "..") for part in parts) or "\0" in path:
        raise ConfigError(f"remove-files: {path!r} is not a relative path without '.' and '..'")
    return "/".join(parts[1:] if parts[:2] == ["usr", "etc"] else parts)
