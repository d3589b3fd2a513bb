# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether accounts are made from sysusers.d files before scripts run, as the image's rpm would."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.root.spec import ScriptPolicy
from rpmtree.rpm.package import Package

PROGRAM = "/usr/bin/systemd-sysusers"
_DIRECTORY = "/usr/lib/sysusers.d/"
_MACRO = re.compile(r"^%__systemd_sysusers[ \t]+(.*?)[ \t]*$", re.MULTILINE)


def wanted(tree: Root, packages: Sequence[Package], policy: ScriptPolicy) -> bool:
    """Whether systemd-sysusers is to be run in `tree`, to which `packages` were added.

    From 4.19 on, rpm makes the accounts of sysusers.d files where it is built for it, and packages rely on that; those
    made for another rpm make their accounts in %pre, and dnf does nothing else for them. Raises ToolError where
    it must be run and is not there.
    """
    if policy.sysusers_forced:
        if not tree.exists(PROGRAM):
            raise ToolError(
                f"sysusers is compose-forced, and the image has no {PROGRAM}",
                hint="add the package that has it, or set sysusers: compose-auto",
            )
        return True
    if not any(package.files_below(_DIRECTORY) for package in packages):
        return False
    return rpm_makes_accounts(_macro_files(tree)) and tree.exists(PROGRAM)


def rpm_makes_accounts(texts: Sequence[str]) -> bool:
    """Whether macro files, in the order in which rpm reads them, set %__systemd_sysusers to something."""
    values = [value for text in texts for value in _MACRO.findall(text)]
    return bool(values) and values[-1] != "%{nil}"


def _macro_files(tree: Root) -> list[str]:
    """The texts of rpm's macro files (%_macrofiles, but for those of one platform or user)."""
    paths = ["usr/lib/rpm/macros"]
    for directory, prefix in (("usr/lib/rpm/macros.d", "macros."), ("etc/rpm", "macros.")):
        if tree.is_dir(directory):
            names = (name for name in sorted(tree.listdir(directory)) if name.startswith(prefix))
            paths += [f"{directory}/{name}" for name in names]
    paths.append("etc/rpm/macros")
    return [tree.read(path).decode("utf-8", "replace") for path in paths if tree.exists(path) and not tree.is_dir(path)]
