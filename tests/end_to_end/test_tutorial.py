# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/tutorial.md, run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import TOP
from tests.end_to_end.shale import COMPOSE
from tests.support.sysroots import make_mutable

pytestmark = [pytest.mark.needs("rpm", "gpg"), pytest.mark.timeout(600)]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    make_mutable(tmp_path / "os/sysroot")


def test_each_command_does_what_is_said(distro: Path, place: Path) -> None:
    blocks = _BLOCK.findall((TOP / "docs/tutorial.md").read_text())
    assert len(blocks) > 5
    # What was started in the background ends with the shell, the agent of gpg among it.
    script = "\n".join(["set -eu", "trap 'gpgconf --kill all; kill $(jobs -p)' EXIT", *blocks])
    environ = {
        "PATH": f"{COMPOSE.parent}:{os.environ['PATH']}",
        "HOME": str(place),
        "STRATA": str(TOP),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environ, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Welcome to the new one." in done.stdout
    assert "has no GPG signature" in done.stderr
