# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose disk` ended by a signal at any moment: it undoes mounts, loop devices and files; after SIGKILL the kernel
undoes the first two, and the next run the rest.

It fails now and then, so it is not among the everyday tests until it is known why: after SIGKILL a loop device stays
attached, though no process or namespace has its file system mounted (docs/install.md); SIGINT has ended in 70 once.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.boot.world import COMPOSE, World, branch
from tests.support import disks


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_end_at_any_moment(world: World, tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "disk.raw"
    argv = [COMPOSE, "disk", f"--repo={world.repo}", f"--ref={branch('granite')}", "--size=4G", "-o", target]
    started = time.monotonic()
    subprocess.run(argv, check=True, capture_output=True)
    whole = time.monotonic() - started
    target.unlink()
    moments, killed = random.Random(number), 0
    for _ in range(8):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(moments.uniform(0.1, 1) * whole)
        process.send_signal(number)
        _, said = process.communicate()
        assert process.returncode in (0, 128 + number, -number), said.decode()  # the latter before Python was up
        killed += process.returncode != 0
        if target.exists():  # a signal may come when all is done but to say so
            disks.check_file_systems(target)
            target.unlink()
        _wait_for_no_loop_devices(tmp_path)
        assert number == signal.SIGKILL or list(tmp_path.iterdir()) == []
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
