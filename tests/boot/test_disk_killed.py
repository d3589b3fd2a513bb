# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose disk` ended by SIGKILL at any moment: the kernel undoes mounts and loop devices, the next run the rest.

It fails now and then: a loop device stays attached, though no process or namespace has its file system mounted any
more. Why is not known (docs/install.md says what to do); until it is, this is not among the everyday tests.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

from tests.boot.world import COMPOSE, World, branch
from tests.support import disks


def test_killed_at_any_moment(world: World, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    argv = [COMPOSE, "disk", f"--repo={world.repo}", f"--ref={branch('granite')}", "--size=4G", "-o", target]
    started = time.monotonic()
    subprocess.run(argv, check=True, capture_output=True)
    whole = time.monotonic() - started
    target.unlink()
    moments, killed = random.Random(9), 0
    for _ in range(8):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(moments.uniform(0.1, 1) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        _wait_for_no_loop_devices(tmp_path)
        target.unlink(missing_ok=True)
    assert killed > 2
    subprocess.run(argv, check=True, capture_output=True)  # takes over what was left
    disks.check_file_systems(target)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def _wait_for_no_loop_devices(directory: Path) -> None:
    """A killed process's children die of that a moment later."""
    for _ in range(100):
        if not disks.loop_devices(directory):
            return
        time.sleep(0.05)
    raise AssertionError(disks.loop_devices(directory))
