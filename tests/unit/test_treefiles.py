# SPDX-License-Identifier: GPL-2.0-or-later
"""The treefiles that come with the project: each is whole, on each architecture. Fedora's and CentOS's are never
composed by tests, since their packages are on the network.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.load import load
from rpmtree.rpm.repos import find_repos

TREEFILES = Path(__file__).parents[2] / "treefiles"
#: Those that others include say no branch.
WHOLE = {
    "granite-12": "granite/12/x86_64/stable", "granite-12-server": "granite/12/x86_64/server",
    "granite-12-workstation": "granite/12/x86_64/workstation", "basalt-13": "basalt/13/x86_64/stable",
    "basalt-13-server": "basalt/13/x86_64/server", "basalt-13-workstation": "basalt/13/x86_64/workstation",
    "centos-10": "centos/10/x86_64/minimal", "fedora-iot": "fedora/43/x86_64/iot",
}  # fmt: skip
PARTS = {"embedded", "server", "workstation", "fedora", "fedora-firmware"}


def test_none_is_forgotten() -> None:
    assert {path.stem for path in TREEFILES.glob("*.yaml")} == WHOLE.keys() | PARTS


@pytest.mark.parametrize("name", sorted(WHOLE))
@pytest.mark.parametrize("basearch", ["x86_64", "aarch64"])
def test_each_is_whole(name: str, basearch: str) -> None:
    loaded = load(TREEFILES / f"{name}.yaml", basearch=basearch, within=[TREEFILES])
    assert loaded.warnings == ()
    assert loaded.treefile.ref == WHOLE[name].replace("x86_64", basearch)
    assert {"bash", "ostree"} <= set(loaded.treefile.packages)
    assert loaded.treefile.repos


def test_conditions_choose() -> None:
    def packages(name: str, basearch: str = "x86_64") -> set[str]:
        return set(load(TREEFILES / f"{name}.yaml", basearch=basearch).treefile.packages)

    assert "screen" in packages("granite-12-server")
    assert "screen" not in packages("basalt-13-server")
    assert "realtek-firmware" in packages("fedora-iot", "aarch64")
    assert "linux-firmware" not in packages("fedora-iot")
    assert "shim-aa64" in packages("centos-10", "aarch64")


@pytest.mark.parametrize("name", ["centos-10", "fedora-iot"])
def test_their_repositories_are_beside_them(name: str) -> None:
    treefile = load(TREEFILES / f"{name}.yaml", basearch="x86_64").treefile
    variables = {"releasever": str(treefile.releasever), "basearch": "x86_64"}
    found = find_repos([TREEFILES], list(treefile.repos), variables)
    assert [repo.id for repo in found] == list(treefile.repos)
    assert all(repo.gpgcheck and repo.metalink and "$" not in repo.metalink for repo in found)
