# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux labels of what an installation has written: of all in /etc and /var, by the policy of the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

from kickstart.deployed import Deployed
from rpmtree.files import Root
from rpmtree.ostree.selinux import Labeller, Policy, read_policy

_ATTRIBUTE = "security.selinux"


def apply(deployed: Deployed) -> None:
    """Give every file in /etc and /var the label that the policy has for it; without one nothing is done."""
    policy = read_policy(lambda path: deployed.tree.read(path) if deployed.tree.exists(path) else None)
    if policy is not None:
        _label_all(deployed, policy)


def _label_all(deployed: Deployed, policy: Policy) -> None:
    with Labeller(policy) as labeller:
        for root, inner, path in _entries(deployed):
            entry = root.path / inner
            label = labeller.label(path, os.lstat(entry).st_mode)
            if label is not None and _label_of(entry) != label:
                os.setxattr(entry, _ATTRIBUTE, label, follow_symlinks=False)


def _entries(deployed: Deployed) -> Iterator[tuple[Root, str, str]]:
    """Root, path in it, and the path on the machine."""
    yield deployed.tree, "etc", "/etc"
    yield from ((deployed.tree, path, f"/{path}") for path in deployed.tree.walk("etc"))
    yield deployed.var, "", "/var"
    yield from ((deployed.var, path, f"/var/{path}") for path in deployed.var.walk())


def _label_of(path: os.PathLike[str]) -> bytes | None:
    with suppress(OSError):  # it has none
        return os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    return None
