# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs programs in the sandbox is killed, at any moment: nothing of them is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.root import sandbox
from tests.support.processes import none_left

_HOLDER = """
import time
from rpmtree.root.sandbox import pids_limit
with pids_limit() as group:
    print(group, flush=True)
    time.sleep(60)
"""


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")


def test_killed_while_it_is_set_up(box: sandbox.ScriptSandbox) -> None:
    """Red with bubblewrap alone, for 11 to 21 of these: its child waits for a word of it that never comes."""
    mark = f"strata-{os.getpid()}-killed"
    marked = replace(box, env={"MARK": mark})
    for number in range(100):
        with command.spawn(["true"], sandbox=marked) as process:
            while process.poll() is None and not _children(process.pid):
                pass
            time.sleep(number % 20 * 50e-6)
            process.kill()  # as its parent's death would, and not the group
    none_left(mark)


def test_nothing_runs_for_a_parent_that_is_gone(box: sandbox.ScriptSandbox) -> None:
    """A process may be killed between starting another and that one's asking to die with it."""
    argv = box.argv(["sh", "-c", "echo ran"])
    assert subprocess.run(argv, capture_output=True, check=False).stdout == b"ran\n"
    orphan = subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *argv], capture_output=True, check=False)
    assert (orphan.returncode, orphan.stdout) == (125, b"")


def test_a_group_of_the_dead_is_removed() -> None:
    with sandbox.pids_limit() as group:
        if group is None:
            pytest.skip("no pids cgroup can be made here")
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        for _ in range(2)
    ]
    dead, living = (Path(process.stdout.readline().strip()) for process in holders if process.stdout)
    holders[0].kill()
    holders[0].communicate()
    assert dead.is_dir()
    with sandbox.pids_limit():
        assert not dead.exists()
        assert living.is_dir()
    holders[1].kill()
    holders[1].communicate()
    with sandbox.pids_limit():
        assert not living.exists()
