# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be requested of `layer`, how a request is written, and what becomes of it when the base changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import Lab, Machine, machine_of, open_lab, tool
from tests.end_to_end.shale import Shale, ostree
from tests.support.rpms import file, rpm, symlink

TOOLS = [
    tool("hammer", provides=["tool(hammer)", "striker = 2"]),
    tool("saw"),
    tool("mallet", conflicts=["hammer"]),
    tool("acid", conflicts=["libstone"]),
    tool("plane", recommends=["wax"]),
    rpm("wax", files={"/usr/share/wax": "wax\n"}),
    *(rpm("libstone-devel", version=version, requires=[f"libstone = {version}"],
          files={"/usr/include/stone.h": f"{version}\n"}) for version in ("3.0", "3.1", "3.2")),
    rpm("libstone", version="3.2", requires=["shell"], files={"/usr/lib/libstone.so.3.2": "newer\n"}),
    tool("needs-newer", requires=["libstone >= 3.2"]),
    rpm("usurper", obsoletes=["libstone"], provides=["libstone = 9"], files={"/usr/lib/usurper": "mine\n"}),
    rpm("in-opt", files={"/opt/vendor/bin/thing": file("thing\n", mode=0o755), "/usr/bin/thing":
        symlink("/opt/vendor/bin/thing")}),
    rpm("in-local", files={"/usr/local/bin/thing": "thing\n"}),
    rpm("in-boot", files={"/boot/extra.img": "image\n"}),
    rpm("in-var", files={"/srv/www/index.html": "hello\n"}),
]  # fmt: skip
#: A package's branch: those of packages that came from repositories.
_HAMMER = "rpmostree/pkg/hammer/1-1.noarch"


@pytest.fixture(scope="module")
def lab(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), shale) as made:
        made.stock(TOOLS, groups={"carpentry": ["hammer", "saw"]})
        made.release("1")
        made.release("2", [tool("hammer", provides=["tool(hammer)"])])  # the base has it now
        made.release("3")  # and has it no more
        yield made


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    lab.publish("1")
    lab.stock(TOOLS, groups={"carpentry": ["hammer", "saw"]})
    with machine_of(lab, tmp_path / "sysroot") as made:
        yield made


class TestSpelling:
    @pytest.mark.parametrize(
        "spec",
        ["hammer", "hammer-1", "hammer-1-1.noarch", "hammer.noarch", "tool(hammer)", "striker >= 2", "/usr/bin/hammer",
         "ham*"],
    )  # fmt: skip
    def test_a_request_is_kept_as_it_was_written(self, machine: Machine, spec: str) -> None:
        machine.change("install", spec)
        assert machine.first["requested-packages"] == [spec]
        assert machine.first["packages"] == [spec]
        assert machine.has("hammer-1")
        assert spec in machine.text
        machine.change("uninstall", spec)
        assert machine.first["checksum"] == machine.lab.commits["1"]  # the base itself, and nothing made of it

    def test_a_group(self, machine: Machine) -> None:
        machine.change("install", "@carpentry")
        assert machine.has("hammer", "saw")
        machine.change("uninstall", "@carpentry")
        assert not machine.has("saw")

    def test_what_is_recommended_comes_too(self, machine: Machine) -> None:
        machine.change("install", "plane")
        assert machine.has("plane", "wax")
        assert machine.first["requested-packages"] == ["plane"]

    def test_all_that_is_missing_is_said_at_once(self, machine: Machine) -> None:
        said = machine.refuse(4, "install", "hammr", "hammer", "pliers", "tool(file)")
        for name in ("hammr", "pliers", "tool(file)"):
            assert name in said
        assert "hammer" in said  # which may be meant

    def test_a_request_that_is_none(self, machine: Machine) -> None:
        machine.refuse(2, "install", "ham;mer")
        machine.refuse(2, "install", "")
        machine.refuse(2, "install")


class TestTheBase:
    @pytest.mark.parametrize("spec", ["libstone", "libstone-3.1", "/usr/bin/greet", "/bin/sh"])
    def test_it_has_what_is_asked_for(self, machine: Machine, spec: str) -> None:
        assert "--allow-inactive" in machine.refuse(1, "install", spec)
        machine.change("install", spec, "--allow-inactive")
        assert machine.first["requested-packages"] == [spec]
        assert machine.first["checksum"] == machine.lab.commits["1"]
        assert f"InactiveRequests: {spec} (the base has it)" in machine.text
        machine.change("uninstall", spec)
        assert machine.first["requested-packages"] == []
        assert "InactiveRequests" not in machine.text

    def test_a_request_without_effect_is_shown_beside_one_with(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        commit = machine.first["checksum"]
        machine.change("install", "libstone", "--allow-inactive")
        assert machine.first["checksum"] == commit  # nothing is made for it
        assert "InactiveRequests: libstone" in machine.text
        machine.change("install", "tool(hammer)")
        assert machine.first["packages"] == ["hammer", "tool(hammer)"]

    def test_a_request_sleeps_while_the_base_has_it(self, machine: Machine) -> None:
        machine.change("install", "tool(hammer)", "saw")
        machine.lab.publish("2")
        assert "Inactive requests" in machine.change("upgrade").stdout
        assert machine.has("hammer", "saw")
        assert machine.first["packages"] == ["saw"]
        assert machine.first["requested-packages"] == ["saw", "tool(hammer)"]
        assert machine.first["strata"]["inactive-requests"] == [
            {"what": "tool(hammer)", "why": "already provided by hammer-1-1.noarch"}
        ]
        assert "InactiveRequests: tool(hammer)" in machine.text
        machine.lab.publish("3")
        machine.change("upgrade")
        assert machine.has("hammer", "saw")
        assert machine.first["packages"] == ["saw", "tool(hammer)"]
        assert "InactiveRequests" not in machine.text

    def test_with_nothing_but_sleepers_the_base_is_deployed(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        machine.lab.publish("2")
        machine.change("upgrade")
        assert machine.first["checksum"] == machine.lab.commits["2"]
        assert machine.first["requested-packages"] == ["hammer"]
        machine.lab.publish("3")
        machine.change("upgrade")
        assert machine.first["packages"] == ["hammer"]

    @pytest.mark.parametrize("name", ["needs-newer", "usurper", "acid"])
    def test_it_is_not_changed_on_the_side(self, machine: Machine, name: str) -> None:
        said = machine.refuse(4, "install", name)
        assert name in said
        assert "libstone" in said

    def test_a_part_comes_in_the_version_of_the_rest(self, machine: Machine) -> None:
        machine.change("install", "libstone-devel")
        assert machine.has("libstone-devel-3.1", "libstone-3.1")
        assert "3.0" in machine.refuse(4, "install", "libstone-devel-3.0")


class TestConflicts:
    def test_among_requests(self, machine: Machine) -> None:
        said = machine.refuse(4, "install", "hammer", "mallet")
        assert "hammer" in said
        assert "mallet" in said

    def test_with_what_is_layered(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        said = machine.refuse(4, "install", "mallet")
        assert "mallet" in said
        assert machine.has("hammer")
        machine.change("install", "mallet", "--uninstall", "hammer")
        assert machine.has("mallet")
        assert not machine.has("hammer")

    def test_with_what_sleeps(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        machine.lab.publish("2")
        machine.change("upgrade")
        machine.refuse(4, "install", "mallet")


class TestPlaces:
    def test_opt(self, machine: Machine) -> None:
        machine.change("install", "in-opt")
        assert machine.read("/usr/lib/opt/vendor/bin/thing") == "thing\n"
        lines = [line for path in sorted((machine.tree / "usr/lib/tmpfiles.d").glob("*"))
                 for line in path.read_text().splitlines()]  # fmt: skip
        assert any("opt/vendor" in line for line in lines)

    @pytest.mark.parametrize(("name", "path"), [("in-local", "/usr/local/bin/thing"), ("in-var", "/srv/www"),
                                                ("in-boot", "/boot/extra.img")])  # fmt: skip
    def test_refused(self, machine: Machine, name: str, path: str) -> None:
        said = machine.refuse(1, "install", name)
        assert name in said
        assert path in said
        assert "treefile" not in said  # nor a key of one: who layers has none
        assert "remove-from-packages" not in said


class TestAgain:
    def test_what_is_requested_already(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        assert "already requested" in machine.refuse(1, "install", "hammer")
        machine.unchanged("install", "hammer", "--idempotent")
        machine.change("install", "hammer", "saw", "--idempotent")
        assert machine.first["packages"] == ["hammer", "saw"]

    def test_what_is_not_requested(self, machine: Machine) -> None:
        assert "not currently requested" in machine.refuse(1, "uninstall", "hammer")
        machine.unchanged("uninstall", "hammer", "--idempotent")
        machine.change("install", "hammer", "saw")
        machine.refuse(1, "uninstall", "hammer", "pliers")
        machine.change("uninstall", "hammer", "pliers", "--idempotent")
        assert machine.first["packages"] == ["saw"]

    def test_nothing_is_done_for_what_is_there(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        before = machine.state
        machine.unchanged("upgrade")
        assert machine.state == before


class TestUninstall:
    def test_by_nevra(self, machine: Machine) -> None:
        machine.change("install", "hammer", "saw")
        machine.change("uninstall", "hammer-1-1.noarch")
        assert machine.first["packages"] == ["saw"]
        assert not (machine.tree / "usr/bin/hammer").exists()

    def test_all_of_them(self, machine: Machine) -> None:
        machine.change("install", "hammer", "saw")
        machine.change("uninstall", "--all", "--install", "plane")
        assert machine.first["packages"] == ["plane"]
        machine.change("uninstall", "--all")
        assert machine.first["checksum"] == machine.lab.commits["1"]
        assert machine.first["requested-packages"] == []
        machine.unchanged("uninstall", "--all")
        machine.refuse(2, "uninstall", "--all", "hammer")
        machine.refuse(2, "uninstall")

    def test_without_a_network(self, machine: Machine) -> None:
        machine.change("install", "hammer", "saw", "plane")
        for repo in machine.lab.repos:
            machine.lab.kill(repo)
        machine.lab.site.requests.clear()
        machine.change("uninstall", "plane")
        assert machine.has("hammer", "saw")
        assert not machine.has("wax")
        assert machine.lab.site.requests == []


class TestTheOutcome:
    def test_it_is_told_before(self, machine: Machine) -> None:
        said = machine.layer("install", "hammer", "--dry-run", "--json").json
        machine.refuse(0, "install", "hammer", "--dry-run")
        done = machine.change("install", "hammer", "--json").json
        assert said["packages"] == done["packages"] == [["hammer", 0, {"NewPackage": ["hammer", "1-1", "noarch"]}]]
        assert said["changed"] is done["changed"] is True

    def test_the_commit_says_what_it_is_made_of(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        meta = machine.first["layered-commit-meta"]
        assert meta["rpmostree.clientlayer"] is True
        assert meta["rpmostree.packages"] == ["hammer"]
        assert meta["ostree.bootable"] is True
        assert meta["version"] == "1"
        assert not any("composefs" in key for key in meta)
        assert machine.first["base-checksum"] == machine.lab.commits["1"]
        nevra = ostree(machine.sysroot.repo_path, "show", "--print-metadata-key=rpmostree.nevra", _HAMMER)
        assert "'hammer-1-1.noarch'" in nevra

    def test_the_tree_has_no_scraps(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        database = machine.tree / "usr/share/rpm"
        assert sorted(path.name for path in database.iterdir()) == ["rpmdb.sqlite"]
        assert not (machine.tree / "usr/lib/sysimage/rpm/rpmdb.sqlite-shm").exists()
        assert not (machine.tree / "run/ostree-booted").exists()
        assert not list((machine.tree / "usr/etc").glob("*-"))  # passwd- and the like
        base = machine.tree / "usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite"
        assert base.exists()

    def test_the_answer_of_json_is_json_alone(self, machine: Machine) -> None:
        done = machine.layer("install", "hammer", "--json")
        assert json.loads(done.stdout)["changed"] is True
        assert "\x1b" not in done.stdout + done.stderr  # no bars where nobody looks at them

    def test_it_is_the_same_each_time(self, machine: Machine, lab: Lab, tmp_path: Path) -> None:
        machine.change("install", "hammer", "saw")
        with machine_of(lab, tmp_path / "other") as other:
            other.change("install", "saw")
            other.change("install", "hammer")
            assert other.first["checksum"] == machine.first["checksum"]
