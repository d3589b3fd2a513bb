# SPDX-License-Identifier: GPL-2.0-or-later
"""The layout that finishing starts from: /etc in its ordinary place, /usr holding bin, sbin and lib.

While steps run, `etc` stays at /etc; the commit maps it to usr/etc.
"""

from __future__ import annotations

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.finish.tree import is_real_dir
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

#: Top-level names that are links into /usr, where they are there at all.
MERGED_INTO_USR = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Refuse a tree with a second etc or with programs outside /usr. Raises ToolError; changes nothing."""
    if not is_real_dir(root, "usr"):
        raise ToolError("the root has no /usr directory", hint="add the packages of a system to the treefile")
    if root.lexists("etc") and not is_real_dir(root, "etc"):
        raise ToolError("/etc of the root is not a directory", hint="a package or script put something else there")
    if root.lexists("usr/etc"):
        raise ToolError(
            "the root has a /usr/etc",
            hint="a package or script made it; configuration belongs in /etc, which becomes /usr/etc by itself",
        )
    apart = [name for name in MERGED_INTO_USR if is_real_dir(root, name)]
    if apart:
        raise ToolError(
            f"/{apart[0]} is a directory of its own and not a link into /usr",
            hint="only /usr is deployed: add the package that makes these links (filesystem, base-files)",
        )
