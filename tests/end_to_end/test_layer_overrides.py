# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages of the base that are left out, or replaced: by files, from a repository, for a while or for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import Lab, Machine, machine_of, open_lab, tool
from tests.end_to_end.shale import Shale
from tests.support.rpms import Package, file, rpm


def _pair(version: str) -> list[Package]:
    """Two packages that want each other in the same version."""
    return [
        rpm("quarry", version=version, requires=[f"quarry-data = {version}"],
            files={"/usr/share/quarry": f"{version}\n", "/usr/share/shared-words": "shared\n",
                   "/usr/lib/tmpfiles.d/quarry.conf": "d /run/quarry\n"}),
        rpm("quarry-data", version=version, requires=[f"quarry = {version}"],
            files={"/usr/share/quarry-data": f"{version}\n", "/usr/share/shared-words": "shared\n"}),
    ]  # fmt: skip


BASE = [*_pair("1"), rpm("gravel", version="1", files={"/usr/share/gravel": "1\n", "/lib/gravel.so": "gravel\n"})]


@pytest.fixture(scope="module")
def lab(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), shale) as made:
        made.release("1", BASE)
        made.release("2", [*BASE, rpm("news", files={"/usr/share/news": "news\n"})])
        made.release("3", _pair("1"))  # without gravel
        made.release("4", [*_pair("2"), rpm("gravel", version="2", files={"/usr/share/gravel": "2\n"})])
        yield made


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    lab.publish("1")
    lab.stock([tool("hammer"), tool("needs-gravel", requires=["gravel"]), tool("gravel-too", obsoletes=["gravel"])])
    lab.stock([_gravel("1.5")], "extra")
    with machine_of(lab, tmp_path / "sysroot") as made:
        yield made


def _gravel(version: str) -> Package:
    return rpm("gravel", version=version, files={"/usr/share/gravel": f"{version}\n"})


class TestRemove:
    def test_what_the_package_owned_goes_and_comes_back(self, machine: Machine, lab: Lab) -> None:
        machine.change("override remove", "gravel", "--reason", "it lies about")
        assert not machine.has("gravel")
        assert not (machine.tree / "usr/share/gravel").exists()
        assert not (machine.tree / "usr/lib/gravel.so").exists()  # its path is /lib/gravel.so
        assert machine.first["requested-base-removals"] == ["gravel"]
        assert machine.first["base-removals"] == [["gravel-1-1.noarch", "gravel", 0, "1", "1", "noarch"]]
        assert "RemovedBasePackages: gravel 1-1 [it lies about]" in machine.text
        lab.kill("tools")
        lab.kill("extra")
        machine.change("override reset", "gravel")
        assert machine.first["checksum"] == lab.commits["1"]

    def test_what_others_own_too_stays(self, machine: Machine) -> None:
        machine.change("override remove", "quarry", "quarry-data", "--install", "hammer")
        assert not (machine.tree / "usr/share/shared-words").exists()
        machine.change("override reset", "--all")
        assert machine.first["packages"] == ["hammer"]
        machine.lab.stock([rpm("reader", files={"/usr/share/shared-words": "shared\n"})])
        machine.change("override remove", "quarry", "quarry-data", "--install", "reader", "--uninstall", "hammer")
        assert machine.read("/usr/share/shared-words") == "shared\n"
        assert not (machine.tree / "usr/share/quarry").exists()

    def test_it_needs_no_network(self, machine: Machine, lab: Lab) -> None:
        for repo in lab.repos:
            lab.kill(repo)
        lab.site.requests.clear()
        machine.change("override remove", "gravel")
        assert lab.site.requests == []

    def test_through_upgrades(self, machine: Machine, lab: Lab) -> None:
        machine.change("override remove", "gravel")
        lab.publish("2")
        machine.change("upgrade")
        assert machine.has("news")
        assert not machine.has("gravel")
        lab.publish("3")
        assert "gravel (not in the base)" in machine.change("upgrade").stdout
        assert machine.first["checksum"] == lab.commits["3"]
        assert machine.first["requested-base-removals"] == ["gravel"]
        assert "InactiveBaseRemovals: gravel (not in the base)" in machine.text
        lab.publish("4")
        machine.change("upgrade")
        assert not machine.has("gravel")

    def test_what_can_not_be(self, machine: Machine) -> None:
        machine.change("install", "needs-gravel")
        for name in ("hammer", "needs-gravel", "no-such"):
            assert name in machine.refuse(1, "override remove", name)
        said = machine.refuse(4, "override remove", "gravel")
        assert "needs-gravel" in said
        assert "gravel" in said
        said = machine.refuse(4, "override remove", "quarry-data")  # another package of the base wants it
        assert "quarry" in said
        machine.refuse(1, "override reset", "gravel")
        machine.refuse(2, "override reset")
        machine.refuse(2, "override")

    def test_twice(self, machine: Machine) -> None:
        machine.change("override remove", "gravel")
        assert "already" in machine.refuse(1, "override remove", "gravel")

    def test_a_request_for_what_is_removed(self, machine: Machine) -> None:
        machine.change("override remove", "gravel")
        assert "removed" in machine.refuse(1, "install", "gravel")

    def test_one_in_its_place(self, machine: Machine) -> None:
        machine.change("override remove", "gravel", "--install", "gravel-too")
        assert machine.has("gravel-too")
        assert not machine.has("gravel")


class TestReplace:
    def test_by_a_file(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", lab.file(_gravel("0.9")), "--reason", "the old one worked")
        assert machine.has("gravel-0.9")
        assert machine.read("/usr/share/gravel") == "0.9\n"
        assert not (machine.tree / "usr/lib/gravel.so").exists()
        assert "LocalOverrides: gravel 1-1 -> 0.9-1 [the old one worked]" in machine.text
        assert [old[0] for _, old in machine.first["base-local-replacements"]] == ["gravel-1-1.noarch"]
        lab.publish("2")
        machine.change("upgrade")
        assert machine.has("gravel-0.9", "news")

    @pytest.mark.parametrize("words", [["gravel"], ["gravel-9-1.noarch"], ["--all"]])
    def test_reset(self, machine: Machine, lab: Lab, words: list[str]) -> None:
        machine.change("override replace", lab.file(_gravel("9")))
        machine.change("override reset", *words)
        assert machine.first["checksum"] == lab.commits["1"]

    def test_companions_are_wanted(self, machine: Machine, lab: Lab) -> None:
        one, two = (lab.file(package) for package in _pair("3"))
        said = machine.refuse(4, "override replace", one)
        assert "quarry-data" in said
        machine.change("override replace", one, two)
        assert machine.has("quarry-3", "quarry-data-3")

    def test_a_later_one_takes_its_place(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", lab.file(_gravel("8")))
        machine.change("override replace", lab.file(_gravel("9")))
        assert machine.first["requested-base-local-replacements"] == ["gravel-9-1.noarch"]
        assert "already" in machine.refuse(1, "override replace", lab.file(_gravel("9")))

    def test_together_with_others(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", lab.file(_gravel("9")), "--install", lab.file(tool("drill")))
        assert machine.has("gravel-9", "drill")
        machine.change("override remove", "quarry", "quarry-data", "--install", "hammer")
        assert machine.has("gravel-9", "drill", "hammer")
        machine.change("reset")
        assert machine.first["checksum"] == lab.commits["1"]

    def test_by_a_url(self, machine: Machine, lab: Lab) -> None:
        path = lab.file(_gravel("9"))
        machine.change("override replace", f"{lab.site.url}files/{path.name}")
        assert machine.has("gravel-9")

    def test_removing_and_replacing_at_once(self, machine: Machine, lab: Lab) -> None:
        quarry = ("quarry", "quarry-data")
        machine.change("override replace", lab.file(_gravel("9")), *(f"--remove={name}" for name in quarry))
        assert machine.has("gravel-9")
        assert not machine.has("quarry")
        machine.change("override reset", "--all")
        machine.change("override remove", *quarry, "--replace", lab.file(_gravel("9")))
        assert machine.has("gravel-9")
        assert not machine.has("quarry-data")
        machine.change("override reset", "quarry", "quarry-data")
        assert machine.has("quarry", "quarry-data", "gravel-9")

    def test_what_is_not_in_the_base(self, machine: Machine, lab: Lab) -> None:
        assert "drill" in machine.refuse(1, "override replace", lab.file(tool("drill")))
        machine.refuse(2, "override replace", "gravel")  # neither a file nor --from

    def test_active_and_not(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", lab.file(_gravel("9")))
        lab.publish("3")
        assert "gravel-9-1.noarch (not in the base)" in machine.change("upgrade").stdout
        assert "InactiveBaseReplacements: gravel-9-1.noarch" in machine.text
        assert not machine.has("gravel")
        lab.publish("4")
        lab.kill("tools")
        lab.kill("extra")
        machine.change("upgrade")  # the file is there still
        assert machine.has("gravel-9")

    def test_lines_for_var_go_with_the_package(self, machine: Machine, lab: Lab) -> None:
        (line,) = (path for path in (machine.tree / "usr/lib/tmpfiles.d").iterdir() if "quarry" in path.read_text())
        assert line.name == "quarry.conf"
        without = [
            rpm(package.name, version="3", files={f"/usr/share/{package.name}": "3\n"}) for package in _pair("3")
        ]
        machine.change("override replace", *map(lab.file, without))
        lines = [path for path in (machine.tree / "usr/lib/tmpfiles.d").iterdir() if "quarry" in path.read_text()]
        assert lines == []

    def test_without_effect(self, machine: Machine, lab: Lab) -> None:
        same = next((lab.bench.top / "rpms-release-1").glob("gravel-1-*.rpm"))
        said = machine.change("override replace", same).stdout
        assert "gravel-1-1.noarch (the base has the same)" in said
        assert "NO EFFECT" in machine.layer("override list").stdout
        assert machine.first["checksum"] == lab.commits["1"]


class TestFromARepository:
    def test_it_follows(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", "gravel", "--from", "repo=extra")
        assert machine.has("gravel-1.5")
        assert "gravel 1-1 -> 1.5-1 from extra" in machine.text
        machine.change("install", "hammer")
        assert "gravel 1-1 -> 1.5-1 from extra" in machine.text  # though it came from the cache now
        lab.stock([_gravel("1.6")], "extra")
        machine.change("upgrade")
        assert machine.has("gravel-1.6", "hammer")
        machine.change("override reset", "gravel")
        assert machine.has("gravel-1")

    def test_older_than_the_base(self, machine: Machine, lab: Lab) -> None:
        lab.stock([_gravel("0.5")], "extra")
        machine.change("override replace", "gravel", "--from", "repo=extra")
        assert machine.has("gravel-0.5")

    def test_what_is_not_there(self, machine: Machine, lab: Lab) -> None:
        machine.refuse(2, "override replace", "gravel", "--from", "extra")
        assert "nowhere" in machine.refuse(3, "override replace", "gravel", "--from", "repo=nowhere")
        assert "quarry" in machine.refuse(4, "override replace", "quarry", "--from", "repo=extra")
        machine.change("override replace", "gravel", "--from", "repo=extra")
        lab.kill("extra")
        assert "extra is used as it was" in machine.unchanged("upgrade")
        machine.layer("cleanup", "-m")
        assert "extra" in machine.refuse(5, "upgrade")
        lab.stock([rpm("of-extra")], "extra")
        assert "gravel" in machine.refuse(4, "upgrade")

    def test_others_are_taken_back_beside_it(self, machine: Machine) -> None:
        machine.change("override replace", "gravel", "--from", "repo=extra", "--install", "hammer")
        machine.change("uninstall", "hammer")
        assert machine.has("gravel-1.5")
        assert not machine.has("hammer")

    def test_the_list(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", "gravel", "--from", "repo=extra", "--reason", "fixed there")
        machine.change("override remove", "quarry", "quarry-data", "--reason", "not here")
        found = machine.layer("override list", "--json").json
        assert [(entry["name"], entry["kind"], entry["reason"]) for entry in found] == [
            ("gravel", "replace from extra", "fixed there"),
            ("quarry", "remove", "not here"),
            ("quarry-data", "remove", "not here"),
        ]
        assert all(entry["effect"] for entry in found)


class TestUntilNewer:
    def test_a_file(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", lab.file(_gravel("2")), "--until-newer")
        lab.publish("2")
        machine.change("upgrade")
        assert machine.has("gravel-2")
        assert "[until newer]" in machine.text
        lab.publish("4")
        assert "caught up" in machine.change("upgrade").stdout
        assert machine.first["checksum"] == lab.commits["4"]
        assert machine.first["requested-base-local-replacements"] == []

    def test_from_a_repository(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", "gravel", "--from", "repo=extra", "--until-newer")
        assert machine.has("gravel-1.5")
        lab.publish("4")
        machine.change("upgrade")
        assert machine.first["requested-base-remote-replacements"] == {}
        assert machine.has("gravel-2")


def test_files_of_a_replacement_may_be_in_the_way(machine: Machine, lab: Lab) -> None:
    bad = rpm("gravel", version="9", files={"/usr/share/quarry": file("not mine\n")})
    assert "/usr/share/quarry" in machine.refuse(9, "override replace", lab.file(bad))
