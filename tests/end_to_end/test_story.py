# SPDX-License-Identifier: GPL-2.0-or-later
"""One machine through all that `layer` does to it, on the real distributions, over HTTP: after each step what is
deployed is what its commit says, its rpm database is right, and nothing is left behind.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rpmtree.ostree.sysroot import Sysroot
from tests.end_to_end.realm import Realm, branch, open_realm, ref
from tests.end_to_end.shale import COMPOSE, ostree
from tests.support.booted import run_image
from tests.support.schema import SCHEMA, faults
from tests.support.sysroots import make_mutable

LAYER = COMPOSE.with_name("layer")
pytestmark = [pytest.mark.needs("rpm"), pytest.mark.timeout(600)]
#: What rpm says of every deployment: these are links, or made at boot, and these are merged or kept elsewhere.
_ALTERED = ("/etc/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/usr/local", "/boot", "/tmp", "/var", "/run",
            "/dev", "/proc", "/sys", "/usr/lib/os-release", "/usr/share/info/dir", "/usr/share/doc", "/lib/modules",
            "/usr/lib/modules", "/usr/share/mime", "/usr/share/glib-2.0", "/usr/lib/udev/hwdb.bin", "/usr/share/vim",
            "/usr/lib/systemd/system/default.target")  # fmt: skip


@pytest.fixture(scope="module")
def realm(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with open_realm(tmp_path_factory.mktemp("realm"), distro) as made:
        made.make({"12.0": "granite", "12.1": "granite", "12.2": "granite", "13.0": "basalt",
                   "13.1": "basalt"})  # fmt: skip
        yield made


@dataclass
class Machine:
    """A deployed system, and `layer` on it."""

    sysroot: Sysroot

    def layer(self, verb: str, *words: str, status: int = 0) -> str:
        """What the command prints."""
        argv = [str(LAYER), *verb.split(), f"--sysroot={self.sysroot.path}", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{argv} ended with {done.returncode}: {done.stdout} {done.stderr}"
        return done.stdout + done.stderr

    def json(self, verb: str, *words: str, status: int = 0) -> Any:
        argv = [str(LAYER), *verb.split(), f"--sysroot={self.sysroot.path}", "--json", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{argv} ended with {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    @property
    def first(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json("status")["deployments"][0]
        return found

    @property
    def tree(self) -> Path:
        return self.sysroot.deployments()[0].path

    def packages(self) -> set[str]:
        """Names in the rpm database of the first deployment."""
        argv = ["rpm", f"--dbpath={self.tree / 'usr/share/rpm'}", "-qa", "--qf", "%{NAME}\n"]
        return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split())

    def check(self) -> None:
        """Raise if anything is not as it should be after a command."""
        repo = self.sysroot.repo_path
        ostree(repo, "fsck", "--quiet")
        self.layer("verify")
        argv = ["rpm", f"--root={self.tree}", "--dbpath=/usr/share/rpm", "-Va", "--nomtime", "--nodeps"]
        said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
        # rpm looks names of owners up on this machine, which has not all of them: `verify` has seen to owners.
        wrong = [
            line for line in said if not line.split()[-1].startswith(_ALTERED) and set(line.split()[0]) - set(".MUG")
        ]
        assert wrong == []
        assert not (repo / "extensions/strata").exists()
        assert [path.name for path in (repo / "tmp").iterdir() if path.name.startswith(("strata", "staging"))] == []
        assert str(self.sysroot.path) not in Path("/proc/self/mounts").read_text()
        assert list(faults(self.json("status"), SCHEMA)) == []


@pytest.fixture
def machine(realm: Realm, tmp_path: Path) -> Iterator[Machine]:
    realm.reset()
    sysroot = realm.machine(tmp_path / "sysroot")
    yield Machine(sysroot)
    make_mutable(sysroot.path)


def test_the_story(realm: Realm, machine: Machine) -> None:
    etc = machine.tree / "etc"
    (etc / "motd").write_text("mine\n")
    (etc / "added.conf").write_text("new\n")
    with (etc / "passwd").open("a") as file:
        file.write("kim:x:1000:1000::/var/home/kim:/bin/bash\n")

    machine.layer("install", "powerline")
    machine.check()
    assert machine.first["packages"] == ["powerline"]
    assert (machine.tree / "usr/bin/powerline").exists()
    old = machine.sysroot.deployments()[0].checksum

    assert "No upgrade" in machine.layer("upgrade", "--check", status=77)
    realm.publish("12.1")
    realm.stock("12.1")
    expected = machine.json("upgrade", "--preview")["packages"]
    assert machine.json("upgrade")["packages"] == expected
    machine.check()
    assert machine.first["version"] == "12.1"
    changed = {name for name, _, _ in expected}
    assert {"granite-release", "powerline"} <= changed

    machine.layer("install", "tmux")
    assert machine.first["packages"] == ["powerline", "tmux"]
    realm.publish("12.2")
    base_alone = {name for name, _, _ in machine.json("upgrade")["packages"]}
    assert "granite-release" in base_alone
    assert "tmux" not in base_alone
    machine.check()
    realm.stock("12.2")
    package_alone = {name for name, _, _ in machine.json("upgrade")["packages"]}
    assert "tmux" in package_alone
    assert package_alone.isdisjoint(base_alone)
    machine.check()

    machine.layer("override remove", "man-db", "--reason", "no manuals here")
    machine.check()
    assert "man-db" not in machine.packages()
    assert machine.json("override list")[0]["reason"] == "no manuals here"
    machine.layer("override reset", "man-db")
    assert "man-db" in machine.packages()

    machine.layer("rebase", ref("basalt"))
    machine.check()
    assert machine.first["version"] == "13.0"
    assert "ID=basalt" in (machine.tree / "usr/lib/os-release").read_text()
    assert {"powerline", "tmux"} <= machine.packages()
    assert "site:" + branch("granite") not in ostree(machine.sysroot.repo_path, "refs")
    assert (machine.tree / "etc/motd").read_text() == "mine\n"
    assert (machine.tree / "etc/added.conf").read_text() == "new\n"
    assert "kim:x:1000" in (machine.tree / "etc/passwd").read_text()

    machine.layer("rollback")
    assert machine.first["version"] == "12.2"
    machine.layer("rollback")
    realm.publish("13.1")
    realm.stock("13.1")
    assert {"basalt-release", "powerline"} <= {name for name, _, _ in machine.json("upgrade")["packages"]}
    machine.check()
    machine.layer("uninstall", "tmux")
    machine.check()
    assert "tmux" not in machine.packages()
    machine.layer("reset")
    machine.check()
    assert machine.first["checksum"] == realm.commits["13.1"]

    machine.layer("cleanup", "-b", "-p", "-r", "-m")
    machine.check()
    refs = ostree(machine.sysroot.repo_path, "refs").split()
    assert [name for name in refs if name.startswith("rpmostree")] == []
    assert old not in os.listdir(machine.tree.parent)
    assert objects(machine.sysroot.repo_path) == objects(realm.only("13.1"))  # the disk is as if nothing had been


@pytest.mark.needs("unshare", "pivot_root")
def test_the_image_layers_by_itself(realm: Realm, machine: Machine) -> None:
    """With its own `layer`, Python, rpm, libostree and bubblewrap; what waits is finalized as at shutdown."""
    realm.publish("12.1")
    realm.stock("12.1")
    said = run_image(
        machine.sysroot.path,
        machine.tree,
        """
        layer --version >&2
        layer install --json powerline
        echo '[Daemon]' >/etc/rpm-ostreed.conf
        echo 'AutomaticUpdatePolicy=stage' >>/etc/rpm-ostreed.conf
        layer upgrade --quiet --json --trigger-automatic-update-policy
        layer status --json
        ostree admin finalize-staged >&2
        """,
    )
    decoder, answers = json.JSONDecoder(), []
    while said.strip():
        answer, end = decoder.raw_decode(said := said.strip())
        answers.append(answer)
        said = said[end:]
    installed, upgraded, status = answers
    assert (installed["staged"], upgraded["policy"], upgraded["outcome"]["staged"]) == (True, "stage", True)
    assert [found["staged"] for found in status["deployments"]] == [True, False]
    assert list(faults(status, SCHEMA)) == []
    assert status["strata"]["automatic-updates"]["policy"] == "stage"
    machine.sysroot = Sysroot.open(machine.sysroot.path)
    assert (machine.first["version"], machine.first["packages"]) == ("12.1", ["powerline"])
    machine.check()


def objects(repo: Path) -> set[str]:
    """Names of what a repository holds of commits; signatures and the like lie beside them."""
    found = {str(path.relative_to(repo)) for path in (repo / "objects").glob("*/*")}
    return {name for name in found if not name.endswith(".commitmeta")}


def test_a_planted_difference_is_seen(machine: Machine) -> None:
    machine.layer("install", "powerline")
    make_mutable(machine.sysroot.path)
    program = machine.tree / "usr/bin/powerline"
    content = program.read_bytes()
    program.unlink()
    program.write_bytes(content + b"#")
    with pytest.raises(AssertionError, match="verify"):
        machine.check()


def test_uninstall_needs_no_network(realm: Realm, machine: Machine) -> None:
    machine.layer("install", "powerline", "htop")
    link = next((realm.site.root / "rpms").glob("granite-12"))
    link.unlink()
    machine.layer("uninstall", "htop")
    machine.check()
    assert "powerline" in machine.packages()
    assert "htop" not in machine.packages()
    said = machine.layer("install", "tree", status=5)
    assert "granite" in said  # the repository that is dead is named


def test_what_can_not_be_had_changes_nothing(machine: Machine) -> None:
    before = machine.json("status")
    said = machine.layer("install", "powerlin", "no-such", status=4)
    assert "powerlin" in said
    assert "no-such" in said
    machine.layer("install", "bash", status=1)  # the base has it
    machine.layer("uninstall", "powerline", status=1)
    machine.layer("install", "powerline", "--dry-run")
    assert machine.json("status") == before
    machine.layer("install", "powerline")
    machine.layer("install", "powerline", status=1)
    machine.layer("install", "powerline", "--idempotent", "--unchanged-exit-77", status=77)


def test_pins_and_versions(realm: Realm, machine: Machine) -> None:
    realm.publish("12.2")
    machine.layer("deploy", "version=12.1")
    assert (machine.first["version"], machine.first["strata"]["override-commit"]) == ("12.1", realm.commits["12.1"])
    machine.layer("deploy", "version=99", status=2)
    machine.layer("upgrade")
    assert machine.first["version"] == "12.2"
    realm.publish("12.1")
    assert "older" in machine.layer("upgrade", status=8)
    machine.layer("upgrade", "--allow-downgrade")
    assert machine.first["version"] == "12.1"


def test_local_packages(realm: Realm, machine: Machine) -> None:
    machine.layer("install", str(realm.rpm("12.0", "tree")))
    assert machine.first["requested-local-packages"]
    machine.layer("override replace", str(realm.rpm("12.2", "nano")), "--until-newer", status=1)  # not in the base
    machine.layer("override replace", str(realm.rpm("12.1", "tzdata")), "--reason", "summer time")
    machine.check()
    assert machine.first["base-local-replacements"]
    machine.layer("reset", "--overrides")
    machine.layer("uninstall", "tree")
    machine.check()
    assert machine.first["checksum"] == realm.commits["12.0"]


def test_two_at_once(machine: Machine) -> None:
    names = ["htop", "jq", "nano", "tree", "socat", "zip"]
    argv = [str(LAYER), "install", f"--sysroot={machine.sysroot.path}", "--wait"]
    running = [subprocess.Popen([*argv, name], stderr=subprocess.PIPE, text=True) for name in names]
    for one in running:
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said
    machine.check()
    assert machine.first["packages"] == sorted(names)
