# SPDX-License-Identifier: GPL-2.0-or-later
"""What OSTree can't hold, in a tree that somebody else has made: no sandboxed script can make a device."""

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
    """Make files of deletions in layered images, named as OSTree names them; remove devices, pipes and sockets."""
    removed = []
    for path in list(root.walk()):
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
