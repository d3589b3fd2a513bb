# SPDX-License-Identifier: GPL-2.0-or-later
"""Stateroots, the systems that share a sysroot: each has deployments and a /var of its own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

#: What programs expect in /var before systemd has filled it at the first boot: scripts of an installation, `layer` in a
#: system that does not run. libostree makes it in 2022, and leaves it to systemd in 2025.
_DIRECTORIES = {"tmp": 0o1777, "lib": 0o755, "log": 0o755}
_LINKS = {"run": "../run", "lock": "../run/lock"}


def names(sysroot: Path) -> tuple[str, ...]:
    """Those of a sysroot, sorted."""
    with suppress(FileNotFoundError):
        found = os.scandir(sysroot / "ostree" / "deploy")
        return tuple(sorted(entry.name for entry in found if (Path(entry.path) / "var").is_dir()))
    return ()


def fill_var(sysroot: Path, osname: str) -> None:
    """Make in a new stateroot's /var what is there before anything has run."""
    var = sysroot / "ostree" / "deploy" / osname / "var"
    for name, mode in _DIRECTORIES.items():
        (var / name).mkdir(exist_ok=True)
        (var / name).chmod(mode)
    for name, target in _LINKS.items():
        with suppress(FileExistsError):
            (var / name).symlink_to(target)
