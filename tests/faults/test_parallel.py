# SPDX-License-Identifier: GPL-2.0-or-later
"""Many `layer install` at once, of the same package and of different ones: each that says it is done has its package.

`STRATA_PARALLEL=N` sets how many; without it a few, for every day (`make test-faults`: 100).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import TOOLS
from tests.faults.machine import TOP, argv_of, copy_disk, layer, mounted
from tests.support.oracle import check_left_nothing, entries

pytestmark = [pytest.mark.needs("root", "bwrap", "ostree", "mkfs.ext4"), pytest.mark.timeout(3600)]
CALLS = int(os.environ.get("STRATA_PARALLEL", "10"))
_BUSY = 75


def start(sysroot: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv_of(sysroot, words), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=TOP
    )


def test_many_at_once(fresh: Path, images: Path) -> None:
    image = copy_disk(fresh, images / "parallel")
    with mounted(image) as sysroot:
        names = [f"tool-{number % TOOLS}" for number in range(CALLS)]
        waiting = [(name, start(sysroot, "install", "--wait", "--idempotent", name)) for name in names]
        impatient = [(name, start(sysroot, "install", "--idempotent", name)) for name in names[: CALLS // 4]]
        done: set[str] = set()
        for patient, running in ((True, waiting), (False, impatient)):
            for name, process in running:
                _, said = process.communicate(timeout=1800)
                assert process.returncode == 0 or (not patient and process.returncode == _BUSY), said
                if process.returncode == 0:
                    done.add(name)
                else:
                    assert "busy: pid" in said
        check_left_nothing(sysroot)
        origin = entries(sysroot)[0][0].origin
        assert all(f"{name};" in origin for name in done), (sorted(done), origin)
        assert all((entries(sysroot)[0][1] / "usr/bin" / name).exists() for name in done)
        assert done == {f"tool-{number}" for number in range(min(TOOLS, CALLS))}
        assert layer(sysroot, "verify").status == 0
    image.unlink()
