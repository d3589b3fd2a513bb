# SPDX-License-Identifier: GPL-2.0-or-later
"""The RPMs of the project itself: what is in them, and that the same source gives the same ones."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import TOP
from tests.distro import strata
from tests.distro.build import fingerprint
from tests.distro.lock import RELEASES, Release
from tests.support.openpgp import Key

pytestmark = pytest.mark.needs("root", "rpm", "dnf", "bwrap", "unshare")
_LIB = "/usr/lib/python3/dist-packages"
#: The magic number of bytecode, which the interpreter's version decides.
_PYTHON = {"granite": "311", "basalt": "313"}


def query(path: Path, template: str) -> list[str]:
    argv = ["rpm", "-qp", "--nosignature", "--queryformat", template, str(path)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def packages(distro: Path, release: Release) -> dict[str, Path]:
    found = (distro / release.name / "packages").glob("strata-*.rpm")
    return {query(path, "%{NAME}\n")[0]: path for path in found}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_what_is_in_them(distro: Path, release: Release) -> None:
    files = {name: query(path, "[%{FILENAMES}\n]") for name, path in packages(distro, release).items()}
    assert sorted(files) == sorted(strata.ALL)
    assert {"/usr/bin/layer", f"{_LIB}/layering/cli.py", f"{_LIB}/rpmtree/app.py"} <= set(files["strata-layer"])
    assert {"/usr/bin/compose", f"{_LIB}/compose/cli.py", f"{_LIB}/kickstart/__init__.py"} <= set(
        files["strata-compose"]
    )
    assert "/usr/share/doc/strata-layer/status.schema.json" in files["strata-layer"]
    assert "/usr/lib/systemd/system/rpm-ostreed-automatic.timer" in files["strata-layer-automatic"]
    everything = [path for paths in files.values() for path in paths]
    assert len(everything) == len(set(everything))
    sources = [path for path in everything if path.endswith(".py")]
    bytecode = {path for path in everything if path.endswith(".pyc")}
    tag = f".cpython-{_PYTHON[release.id]}.pyc"
    assert {re.sub(r"([^/]+)\.py$", rf"__pycache__/\1{tag}", path) for path in sources} == bytecode
    here = {str(path.relative_to(TOP)) for room in ("compose", "kickstart", "layering", "rpmtree")
            for path in (TOP / room).rglob("*") if path.is_file() and path.suffix != ".pyc"}  # fmt: skip
    theirs = {path.removeprefix(f"{_LIB}/") for path in everything if path.startswith(_LIB) and path not in bytecode}
    assert here <= theirs


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_what_they_say(distro: Path, release: Release) -> None:
    for path in packages(distro, release).values():
        (said,) = query(path, "%{VERSION} %{RELEASE} %{ARCH} %{BUILDHOST} %{RSAHEADER:pgpsig}\n")
        version, number, arch, host, *signature = said.split()
        assert number == f"1.{strata.digest()[:12]}.{release.id}{release.version}", "`make distro` is due"
        assert (arch, host) == ("noarch", "localhost")
        assert signature[0].startswith("RSA/SHA256")
        assert f'__version__ = "{version}"' in (TOP / "rpmtree/__init__.py").read_text()
    needed = query(packages(distro, release)["strata-layer"], "[%{REQUIRENAME}\n]")
    assert {"bubblewrap", "python3-hawkey", "python3-gi", "/usr/bin/python3"} <= set(needed)
    assert not {"python3-pydantic", "python3-yaml"} & set(needed), "what compose needs, images need not have"


def test_the_same_source_gives_the_same_bytes(distro: Path, tmp_path: Path) -> None:
    release = RELEASES[0]
    there = packages(distro, release)
    epoch = int(query(there["strata-layer"], "%{BUILDTIME}\n")[0])
    key = Key.load_or_make(distro / ".key.json")
    state = distro / release.name / release.states[0]
    (tmp_path / "again").mkdir()
    again = strata.build(state, f".{release.id}{release.version}", epoch, key, tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again} == {path.name: path.read_bytes() for path in there.values()}


def test_only_our_part_of_a_distribution_is_ours() -> None:
    lines = [fingerprint(release).splitlines() for release in RELEASES]
    assert {ours for _, ours in lines} == {strata.digest()}
    assert len({whole for whole, _ in lines}) == len(RELEASES)
