# SPDX-License-Identifier: GPL-2.0-or-later
"""A root that was made elsewhere, as the other steps expect one: assembled here, it could not be otherwise."""

from __future__ import annotations

import stat

from rpmtree.files import Root
from rpmtree.finish.tree import some_of
from rpmtree.ostree.objects import WHITEOUT_PREFIX, is_whiteout
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

#: Filled by the running system.
_SCRATCH = ("dev/", "proc/", "run/", "sys/", "tmp/")


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Take out what OSTree can't hold, and have a /tmp for programs: an earlier attempt may have made a link of it.

    Devices, pipes and sockets go; those that stand for deletions in layered images become files with OSTree's names.
    """
    removed = []
    for path in root.walk():
        found = root.lstat(path)
        if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode) or stat.S_ISLNK(found.st_mode):
            continue
        root.unlink(path)
        if is_whiteout(found.st_mode, found.st_rdev):
            parent, _, name = path.rpartition("/")
            quoted = f"{parent}/{WHITEOUT_PREFIX}{name}"
            root.write(quoted, b"", stat.S_IMODE(found.st_mode))
            root.chown(quoted, found.st_uid, found.st_gid)
        elif not path.startswith(_SCRATCH):
            removed.append(path)
    if removed:
        reporter.warning(f"devices, pipes and sockets are not part of the image: {some_of(removed)}")
    if root.is_symlink("tmp"):
        root.unlink("tmp")
        root.mkdir("tmp", 0o1777)
