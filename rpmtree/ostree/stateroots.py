# SPDX-License-Identifier: GPL-2.0-or-later
"""Stateroots, the systems that share a sysroot: each has deployments and a /var of its own."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def names(sysroot: Path) -> tuple[str, ...]:
    """Those of a sysroot, sorted."""
    with suppress(FileNotFoundError):
        found = os.scandir(sysroot / "ostree" / "deploy")
        return tuple(sorted(entry.name for entry in found if (Path(entry.path) / "var").is_dir()))
    return ()
