# SPDX-License-Identifier: GPL-2.0-or-later
"""The smallest root in which programs run: a shell and a few tools of the host's, with their libraries."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from rpmtree import command
from tests.support.trees import plant

LAYOUT = """
bin -> usr/bin
lib -> usr/lib
lib64 -> usr/lib64
sbin -> usr/sbin
dev/
etc/
proc/
run/
sys/
tmp/ 1777
var/tmp/ 1777
"""
_DIRECTORIES = "\n".join(f"usr/{name}/" for name in ("bin", "lib", "lib64", "sbin"))


def make(root: Path, tree: str = "", programs: Sequence[str] = ("sh", "mkdir", "cat", "touch")) -> Path:
    """Make the root with the entries of `tree` added; gives `root`."""
    plant(root, f"{_DIRECTORIES}\n{LAYOUT}\n{tree}")
    for name in programs:
        found = shutil.which(name)
        assert found is not None
        shutil.copy(Path(found).resolve(), root / "usr/bin" / name)
        for library in libraries(found):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copy(library, target)
    return root


def libraries(program: str) -> list[str]:
    """The files that the dynamic loader takes for a program."""
    text = command.run(["ldd", program]).stdout.decode()
    return re.findall(r"(/\S+) \(0x", text)
