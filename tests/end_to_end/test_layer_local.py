# SPDX-License-Identifier: GPL-2.0-or-later
"""RPMs that come as files or URLs, files that are in the way of each other, signatures, and the package cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import Lab, Machine, machine_of, open_lab, tool
from tests.end_to_end.shale import Shale
from tests.support.rpms import Key, Raw, file, flip_payload, rpm

#: A package of sources has RPMTAG_SOURCEPACKAGE (an RPM_INT32_TYPE) and no RPMTAG_SOURCERPM.
_SOURCES: dict[int, tuple[int, list[int]] | None] = {1044: None, 1106: (4, [1])}
WORDS = "/usr/share/greeter/words"  # of the base
TOOLS = [
    tool("hammer"),
    tool("saw"),
    rpm("nail", files={"/usr/share/nail": "nail\n"}),
    rpm("same-words", files={"/usr/share/doc/words": "alike\n"}),
    rpm("alike-words", files={"/usr/share/doc/words": "alike\n"}),
    rpm("other-words", files={"/usr/share/doc/words": "other\n"}),
    rpm("against-base", files={WORDS: file("not the base's\n")}),
]


@pytest.fixture(scope="module")
def lab(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), shale, repos=("tools", "signed")) as made:
        made.release("1")
        made.release("2", [rpm("drill", files={"/usr/share/drill": "drill\n"})])
        made.release("3", [tool("drill", "3")])
        yield made


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    lab.publish("1")
    lab.stock(TOOLS)
    lab.stock([tool("chisel")], "signed", key=lab.key)
    lab.site.requests.clear()
    with machine_of(lab, tmp_path / "sysroot") as made:
        yield made


def downloads(lab: Lab) -> list[str]:
    """The RPMs that were fetched."""
    return [path.rpartition("/")[2] for path, _ in lab.site.requests if path.endswith(".rpm")]


class TestFiles:
    @pytest.mark.parametrize("kind", ["path", "file:", "http:"])
    def test_by_where_it_is(self, machine: Machine, lab: Lab, kind: str) -> None:
        path = lab.file(tool("drill", requires=["nail"]))
        word = {"path": str(path), "file:": path.as_uri(), "http:": f"{lab.site.url}files/{path.name}"}[kind]
        machine.change("install", word)
        assert machine.has("drill", "nail")  # what it requires comes from a repository
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert machine.origin["packages"]["requested-local"] == f"{digest}:drill-1-1.noarch;"
        assert machine.first["requested-local-packages"] == ["drill-1-1.noarch"]
        assert machine.first["packages"] == []
        assert "LocalPackages: drill-1-1.noarch" in machine.text

    def test_what_is_no_package_to_install(self, machine: Machine, lab: Lab, tmp_path: Path) -> None:
        source = lab.file(tool("source", raw=Raw(header=_SOURCES)))
        assert "sources" in machine.refuse(5, "install", source)
        (tmp_path / "text.rpm").write_text("no package\n")
        machine.refuse(5, "install", tmp_path / "text.rpm")
        damaged = lab.file(tool("damaged"))
        flip_payload(damaged)
        machine.refuse(5, "install", damaged)
        machine.refuse(2, "install", tmp_path / "missing.rpm")
        machine.refuse(5, "install", f"{lab.site.url}files/missing.rpm")

    def test_no_repository_is_needed(self, machine: Machine, lab: Lab) -> None:
        path = lab.file(tool("drill"))
        for repo in lab.repos:
            lab.kill(repo)
        machine.change("install", path)
        assert machine.has("drill")
        assert lab.site.requests == []

    def test_looking_leaves_nothing(self, machine: Machine, lab: Lab) -> None:
        said = machine.refuse(0, "install", lab.file(tool("drill")), "--dry-run")
        assert "drill-1-1.noarch" in said

    @pytest.mark.parametrize("word", ["drill", "drill-1-1.noarch"])
    def test_uninstall(self, machine: Machine, lab: Lab, word: str) -> None:
        machine.change("install", lab.file(tool("drill")), "hammer")
        machine.change("uninstall", word)
        assert machine.first["requested-local-packages"] == []
        assert machine.first["packages"] == ["hammer"]
        assert not machine.has("drill")

    def test_another_version_takes_its_place(self, machine: Machine, lab: Lab) -> None:
        one, two = lab.file(tool("drill")), lab.file(tool("drill", "2"))
        machine.change("install", one)
        machine.refuse(1, "install", one)
        machine.unchanged("install", one, "--idempotent")
        machine.change("install", two)
        assert machine.has("drill-2")
        assert machine.first["requested-local-packages"] == ["drill-2-1.noarch"]
        assert "drill 2" in machine.read("/usr/bin/drill")
        machine.change("install", one)
        assert machine.has("drill-1")

    def test_it_stays_though_a_repository_has_a_newer_one(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", lab.file(tool("drill")))
        lab.stock([*TOOLS, tool("drill", "2")])
        machine.unchanged("upgrade")

    def test_it_follows_a_repository_where_it_is_to(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", lab.file(tool("drill")), "--follow")
        machine.unchanged("upgrade")  # nobody has a newer one
        lab.stock([*TOOLS, tool("drill", "2")])
        machine.change("upgrade")
        assert machine.has("drill-2")
        assert "drill-1-1.noarch [follows repositories]" in machine.text
        machine.change("uninstall", "drill")
        assert "follow" not in machine.state.entries[0].origin

    def test_from_a_file_to_a_repository_and_back(self, machine: Machine, lab: Lab) -> None:
        path = lab.file(tool("hammer"))
        machine.change("install", path)
        machine.change("uninstall", "hammer", "--install", "hammer")
        assert machine.first["packages"] == ["hammer"]
        assert machine.first["requested-local-packages"] == []
        machine.change("install", path, "--uninstall", "hammer")
        assert machine.first["packages"] == []

    def test_the_base_has_it(self, machine: Machine, lab: Lab) -> None:
        newer = lab.file(rpm("libstone", version="9", files={"/usr/lib/libstone.so.9": "9\n"}))
        said = machine.refuse(1, "install", newer)
        assert "libstone-9-1.noarch" in said
        assert "override replace" in said

    def test_it_sleeps_while_the_base_has_the_very_same(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", lab.file(rpm("drill", files={"/usr/share/drill": "drill\n"})), "hammer")
        lab.publish("2")
        assert "drill-1.0-1.noarch (in the base)" in machine.change("upgrade").stdout
        assert machine.has("drill", "hammer")
        assert machine.first["requested-local-packages"] == ["drill-1.0-1.noarch"]
        assert "InactiveRequests: drill-1.0-1.noarch (in the base)" in machine.text
        machine.change("uninstall", "hammer")
        assert "InactiveRequests: drill-1.0-1.noarch (in the base)" in machine.text

    def test_a_rollback_still_has_it(self, machine: Machine, lab: Lab) -> None:
        path = lab.file(tool("drill"))
        machine.change("install", path)
        machine.change("uninstall", "drill")
        machine.change("rollback")
        path.unlink()
        machine.change("install", "hammer")
        assert machine.has("drill", "hammer")

    def test_one_that_the_repository_lost(self, machine: Machine, lab: Lab) -> None:
        path = lab.file(tool("drill"))
        machine.change("install", path)
        (branch,) = (machine.path / "ostree/repo/refs/heads/rpmostree/local").iterdir()
        branch.unlink()
        assert "drill-1-1.noarch" in machine.layer("install", "hammer", status=8).stderr
        machine.layer("uninstall", "drill", "--install", path)
        machine.change("install", "hammer")
        assert machine.has("drill", "hammer")

    def test_the_base_has_a_newer_one(self, machine: Machine, lab: Lab) -> None:
        path = lab.file(tool("drill", "2"))
        machine.change("install", path)
        lab.publish("3")
        assert "drill-2-1.noarch" in machine.refuse(4, "upgrade", fetched=True)
        machine.change("uninstall", "drill", fetched=True)
        machine.change("install", path, "--follow", fetched=True)
        assert "drill-2-1.noarch (the base has drill-3-1.noarch)" in machine.change("upgrade").stdout
        assert "InactiveRequests: drill-2-1.noarch (the base has drill-3-1.noarch)" in machine.text
        assert machine.has("drill-3")


class TestFilesInTheWay:
    def test_of_the_base(self, machine: Machine) -> None:
        said = machine.refuse(9, "install", "against-base")
        for text in ("against-base", "greeter", WORDS, "--force-replacefiles"):
            assert text in said
        assert "remove-from-packages" not in said

    def test_of_another_package(self, machine: Machine) -> None:
        said = machine.refuse(9, "install", "same-words", "other-words")
        for text in ("same-words", "other-words", "/usr/share/doc/words"):
            assert text in said
        machine.change("install", "same-words")
        machine.refuse(9, "install", "other-words")

    def test_the_same_file_twice_is_no_conflict(self, machine: Machine) -> None:
        machine.change("install", "same-words", "alike-words")
        machine.change("uninstall", "same-words")
        assert machine.read("/usr/share/doc/words") == "alike\n"

    def test_a_file_may_be_forced_and_is_given_back(self, machine: Machine, lab: Lab) -> None:
        theirs = machine.read(WORDS)
        path = lab.file(rpm("against-base", files={WORDS: file("not the base's\n")}))
        machine.refuse(9, "install", path)
        machine.change("install", path, "--force-replacefiles")
        assert machine.read(WORDS) == "not the base's\n"
        assert "LocalForcedPackages: against-base" in machine.text
        assert machine.first["requested-local-fileoverride-packages"] != []
        machine.change("install", "hammer")  # and stays forced
        assert machine.read(WORDS) == "not the base's\n"
        machine.change("uninstall", "against-base")
        assert machine.read(WORDS) == theirs


class TestSignatures:
    def test_the_right_key(self, machine: Machine) -> None:
        machine.change("install", "chisel")
        assert machine.has("chisel")

    @pytest.mark.parametrize("key", [None, Key.generate("Other <other@localhost>")], ids=["none", "wrong"])
    def test_refused(self, machine: Machine, lab: Lab, key: Key | None) -> None:
        lab.stock([tool("chisel")], "signed", key=key)
        said = machine.refuse(5, "install", "chisel", "hammer")
        assert "chisel" in said
        lab.stock([tool("chisel")], "signed", key=lab.key)
        machine.change("install", "chisel", "hammer")

    def test_a_file_of_ones_own_needs_none(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", lab.file(tool("drill")))


class TestCache:
    def test_what_is_there_is_not_fetched_again(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer", "nail")
        assert sorted(downloads(lab)) == ["hammer-1-1.noarch.rpm", "nail-1.0-1.noarch.rpm"]
        lab.site.requests.clear()
        machine.change("install", "saw")
        assert downloads(lab) == ["saw-1-1.noarch.rpm"]

    def test_the_repository_has_made_it_anew(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "nail")
        again = rpm("nail", files={"/usr/share/nail": "another nail\n"})
        lab.stock([again if package.name == "nail" else package for package in TOOLS])
        lab.site.requests.clear()
        machine.change("upgrade")
        assert downloads(lab) == ["nail-1.0-1.noarch.rpm"]
        assert machine.read("/usr/share/nail") == "another nail\n"

    def test_what_is_fetched_has_to_be_what_was_promised(self, machine: Machine, lab: Lab) -> None:
        path = lab.site.root / "rpms/tools/nail-1.0-1.noarch.rpm"
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        machine.refuse(5, "install", "nail")
        path.write_bytes(whole)
        machine.change("install", "nail")
