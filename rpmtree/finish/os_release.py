# SPDX-License-Identifier: GPL-2.0-or-later
"""The commit's version in os-release."""

from __future__ import annotations

import shlex

from rpmtree.files import Root
from rpmtree.finish.tree import put, read_if_file, resolve
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

_VENDOR = "usr/lib/os-release"
_ADMIN = "etc/os-release"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Put spec.version where os-release has the string spec.mutate_os_release, and add OSTREE_VERSION.

    The files that links lead to are changed, and the links stay.
    """
    if spec.mutate_os_release is None:
        return
    if spec.version is None:
        reporter.note("mutate-os-release is ignored: the commit has no version")
        return
    found = False
    for path in dict.fromkeys(resolve(root, path).strip("/") for path in (_VENDOR, _ADMIN)):
        text = read_if_file(root, path)
        if text is not None:
            found = True
            put(root, path, mutate(text, spec.mutate_os_release, spec.version))
    if not found:
        reporter.warning("mutate-os-release is ignored: no package brings os-release")


def mutate(text: str, old: str, version: str) -> str:
    """The os-release text with `old` replaced in VERSION and PRETTY_NAME, and with OSTREE_VERSION, once."""
    stamp = f"OSTREE_VERSION={shlex.quote(version)}"
    lines = text.splitlines()
    if stamp in lines:
        return text
    lines = [line.replace(old, version) if line.startswith(("VERSION=", "PRETTY_NAME=")) else line for line in lines]
    return "\n".join([*(line for line in lines if not line.startswith("OSTREE_VERSION=")), stamp, ""])
