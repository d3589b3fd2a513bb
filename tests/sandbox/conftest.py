# SPDX-License-Identifier: GPL-2.0-or-later
"""Roots for scripts to misbehave in: one of a few programs, one with all of this machine's /usr under an overlay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpmtree import command, mounts
from rpmtree.files import Root
from rpmtree.root import sandbox

PROGRAMS = ("sh", "cat", "chown", "id", "ln", "ls", "mkdir", "mv", "rm", "setsid", "sleep", "stat", "touch", "true")
_LIBRARY = re.compile(r"(/\S+) \(0x")
_LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "var", "root", "etc", "usr")
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\n",
    "etc/shadow": "root:*:1::::::\ndaemon:*:1::::::\n",
    "etc/gshadow": "root:*::\ndaemon:*::\n",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.needs("root", "bwrap", "setpriv", "seccomp:"))


def _skeleton(path: Path) -> None:
    for name in _DIRECTORIES:
        (path / name).mkdir(parents=True)
    for name, target in _LINKS.items():
        (path / name).symlink_to(target)
    for name, text in _ACCOUNTS.items():
        (path / name).write_text(text, encoding="ascii")


@pytest.fixture(scope="session")
def _few_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a shell and what scripts need most, copied from this machine."""
    path = tmp_path_factory.mktemp("small") / "root"
    _skeleton(path)
    for name in ("bin", "sbin", "lib", "lib64", "share/rpm"):
        (path / "usr" / name).mkdir(parents=True)
    found = [Path(shutil.which(name, path="/usr/bin:/bin") or name) for name in PROGRAMS]
    libraries = set(_LIBRARY.findall(command.run(["ldd", *map(str, found)]).stdout.decode()))
    for program in found:
        shutil.copy(program, path / "usr/bin" / program.name)
    for library in libraries:
        place = path / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    return path


@pytest.fixture
def small_root(_few_programs: Path, tmp_path: Path) -> Iterator[Root]:
    """A private copy of the root of few programs."""
    path = tmp_path / "small"
    shutil.copytree(_few_programs, path, symlinks=True)
    with Root(path) as root:
        yield root


@pytest.fixture
def full_root(tmp_path: Path) -> Iterator[Root]:
    """A root with this machine's /usr; what is written there goes to an overlay."""
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    path = tmp_path / "full"
    _skeleton(path)
    (path / "etc/login.defs").write_text("SYS_UID_MIN 101\nSYS_UID_MAX 999\nSYS_GID_MIN 101\nSYS_GID_MAX 999\n")
    mounts.enter_private_namespace()
    with (
        mounts.overlay(path / "usr", lower=[Path("/usr")], upper=tmp_path / "upper", work=tmp_path / "work"),
        Root(path) as root,
    ):
        root.remove("usr/share/rpm")
        root.mkdir("usr/share/rpm")
        yield root


@pytest.fixture
def box(small_root: Root) -> sandbox.ScriptSandbox:
    """The sandbox of programs of an image, on the small root."""
    return sandbox.image_sandbox(small_root.path)
