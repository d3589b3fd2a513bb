# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/install.md, run as it stands; then the machine that it makes is booted."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot import machine
from tests.boot.conftest import report
from tests.boot.world import COMPOSE
from tests.conftest import TOP

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def followed(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory in which the commands were run; what they have started goes on meanwhile."""
    where = tmp_path_factory.mktemp("install")
    blocks = _BLOCK.findall((TOP / "docs/install.md").read_text())
    assert len(blocks) == 4
    # The shell waits with its jobs until it is told to end.
    script = "\n".join(["set -eu", "trap 'kill $(jobs -p)' EXIT", *blocks, "touch done", "read -r _"])
    environ = {"PATH": f"{COMPOSE.parent}:{os.environ['PATH']}", "STRATA": str(TOP), "LANG": "C.UTF-8"}
    with (where / "log").open("w") as log:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=where, env=environ, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
        try:
            while not (where / "done").exists():
                try:
                    shell.wait(0.2)
                except subprocess.TimeoutExpired:
                    continue
                pytest.fail((where / "log").read_text())
            yield where
        finally:
            assert shell.stdin is not None
            shell.stdin.close()
            shell.wait()


def test_the_machine_is_as_said(followed: Path) -> None:
    with machine.boot(followed / "machine.qcow2", accelerator=machine.probe(followed / "machine.qcow2")) as guest:
        report("first boot of docs/install.md's machine", guest.boots[-1])
        assert guest.run("systemctl is-system-running --wait", machine.BOOT).output == "running"
        assert guest.check("hostname; cat /etc/motd").splitlines() == ["first.example", "Welcome to the first machine."]
        mounts = dict(line.split() for line in guest.check("findmnt -rn --real -o TARGET,FSTYPE").splitlines())
        assert {"/boot": "ext4", "/var": "xfs"}.items() <= mounts.items()
        assert "sudo" in guest.check("id -nG kim").split()
        assert guest.run("systemctl is-enabled ssh.service").output == "disabled"
        assert "site:ours/x86_64/machine" in guest.check("ostree admin status")
        guest.check("ostree pull --commit-metadata-only site ours/x86_64/machine", 600)
