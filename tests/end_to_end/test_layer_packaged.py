# SPDX-License-Identifier: GPL-2.0-or-later
"""`layer` as images have it: with what the distribution packages, and nothing from PyPI."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rpmtree import command
from tests.conftest import TOP
from tests.faults.machine import Site, mounted, scratch, tools
from tests.support.oracle import check_left_nothing

pytestmark = pytest.mark.needs("mkfs.ext4", "/usr/bin/python3")
#: So many that they are imported by processes of their own.
COUNT = 10
_PROGRAM = """
import contextlib, io, json, sys
top, planted, *words = sys.argv[1:]
sys.path.insert(0, top)
from layering.cli import build_parser
from rpmtree.app import invoke
with contextlib.redirect_stdout(io.StringIO()):
    status = invoke("layer", build_parser, words, {})
if planted:
    sys.path.append(planted)
    import iniconfig
files = sorted({module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)})
print(json.dumps({"status": status, "files": files}))
"""


def run(*words: str, planted: str = "") -> dict[str, Any]:
    """Run `layer` by the distribution's Python, which finds the project and what the distribution has."""
    done = command.run(["/usr/bin/python3", "-I", "-c", _PROGRAM, str(TOP), planted, *words], cwd=Path("/"))
    print(done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def foreign(files: list[str]) -> list[str]:
    """Modules that are neither the distribution's nor those that images get."""
    ours = tuple(f"{TOP}/{name}/" for name in ("layering", "rpmtree"))
    return [path for path in files if not path.startswith(("/usr/lib/", "<gi.repository.", *ours))]


@pytest.fixture(scope="module")
def sysroot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    site = Site.make(tmp_path_factory.mktemp("site"), tools(COUNT))
    with scratch(tmp_path_factory.mktemp("images"), room=1 << 30) as images:
        site.machine(images / "machine")
        with mounted(images / "machine") as sysroot:
            yield sysroot


def test_all_it_stands_on_is_packaged(sysroot: Path) -> None:
    for words in (["install", *(f"tool-{number}" for number in range(COUNT))], ["upgrade"], ["status"], ["rollback"]):
        seen = run(words[0], f"--sysroot={sysroot}", *words[1:])
        assert seen["status"] == 0, words
        assert f"{TOP}/layering/cli.py" in seen["files"]
        assert foreign(seen["files"]) == []
    check_left_nothing(sysroot)


def test_what_is_not_packaged_is_seen(sysroot: Path) -> None:
    seen = run("status", f"--sysroot={sysroot}", planted=sysconfig.get_path("purelib"))
    assert seen["status"] == 0
    assert any("iniconfig" in path for path in foreign(seen["files"]))
