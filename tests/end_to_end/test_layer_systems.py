# SPDX-License-Identifier: GPL-2.0-or-later
"""What layering does to a system as a whole: kernels and their initramfs, architectures, repositories, resetting."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import Lab, Machine, machine_of, open_lab, tool
from tests.end_to_end.shale import Shale
from tests.support.rpms import Package, file, rpm

#: In the place of dracut: says what it was asked for, and makes as much of an initramfs as anybody looks at here.
_DRACUT = """\
#!/bin/sh
for last; do :; done
echo "made: $*" >"$last"
"""
INITRD = "shale/initrd"


def _kernel(version: str) -> Package:
    files = {f"/usr/lib/modules/{version}/vmlinuz": f"kernel {version}\n"}
    return rpm("kernel", version=version, arch="x86_64", files=files)


def _slate(arch: str, program: str = "slate\n") -> Package:
    where = {"x86_64": "/usr/lib64", "i686": "/usr/lib"}[arch]
    files = {f"{where}/libslate.so.1": f"{arch}\n", "/usr/share/slate": "alike\n", "/usr/bin/slate": program}
    return rpm("slate", arch=arch, files=files)


@pytest.fixture(scope="module")
def lab(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), shale) as made:
        made.release("1", [_slate("x86_64")])
        module = "/usr/lib/dracut/modules.d/98ostree/module-setup.sh"
        dracut = rpm("dracut", requires=["shell"], files={"/usr/bin/dracut": file(_DRACUT, mode=0o755), module: "\n"})
        made.bench.treefile["no-initramfs"] = False
        made.release("initrd", [dracut], ref=INITRD)
        yield made


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    lab.stock([tool("hammer"), tool("saw"), rpm("words", files={"/usr/share/words/more": "more\n"})])
    lab.stock([rpm("of-extra")], "extra")
    lab.site.requests.clear()
    with machine_of(lab, tmp_path / "sysroot") as made:
        yield made


class TestKernel:
    """The oracle sees that the kernel that boots is the deployed tree's."""

    def test_another_one(self, machine: Machine, lab: Lab) -> None:
        machine.change("override replace", lab.file(_kernel("6.1")), "--install", "hammer")
        modules = machine.tree / "usr/lib/modules"
        assert [path.name for path in modules.iterdir()] == ["6.1"]
        assert not (modules / "6.1/initramfs.img").exists()  # the base boots without one
        machine.change("override reset", "--all")
        assert [path.name for path in (machine.tree / "usr/lib/modules").iterdir()] == ["6.0"]

    def test_its_initramfs_is_made(self, machine: Machine, lab: Lab) -> None:
        machine.change("rebase", f"site:{INITRD}")
        place = "/usr/lib/modules/{0}/initramfs.img"
        theirs = (machine.tree / place.format("6.0").lstrip("/")).read_bytes()
        assert b"--kver 6.0" in theirs
        machine.change("install", "hammer")
        assert (machine.tree / place.format("6.0").lstrip("/")).read_bytes() == theirs
        machine.change("override replace", lab.file(_kernel("6.1")))
        assert b"--kver 6.1" in (machine.tree / place.format("6.1").lstrip("/")).read_bytes()

    def test_two_of_them(self, machine: Machine, lab: Lab) -> None:
        second = rpm("kernel-other", version="6.2", files={"/usr/lib/modules/6.2/vmlinuz": "kernel 6.2\n"})
        said = machine.refuse(1, "install", lab.file(second))
        assert "6.0" in said
        assert "6.2" in said

    def test_arguments_stay(self, machine: Machine) -> None:
        machine.layer("kargs", "--append=quiet", "--append=console=ttyS0")
        machine.change("install", "hammer")
        assert machine.layer("kargs").stdout.split()[-2:] == ["quiet", "console=ttyS0"]


class TestArchitectures:
    def test_beside_each_other(self, machine: Machine, lab: Lab) -> None:
        lab.stock([_slate("i686")])
        machine.change("install", "slate.i686")
        assert machine.read("/usr/lib/libslate.so.1") == "i686\n"
        assert machine.read("/usr/lib64/libslate.so.1") == "x86_64\n"
        machine.change("uninstall", "slate.i686")
        assert not (machine.tree / "usr/lib/libslate.so.1").exists()
        assert machine.read("/usr/share/slate") == "alike\n"

    def test_a_program_that_both_have_in_two_ways(self, machine: Machine, lab: Lab) -> None:
        lab.stock([_slate("i686", "another\n")])
        assert "/usr/bin/slate" in machine.refuse(9, "install", "slate.i686")


class TestRepositories:
    def test_lists_of_files_are_fetched_where_a_path_is_asked_for(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        machine.layer("search", "saw")
        assert not [path for path, _ in lab.site.requests if "filelists" in path]
        machine.change("install", "/usr/share/words/more")
        assert machine.has("words")
        assert [path for path, _ in lab.site.requests if "filelists" in path]

    def test_search(self, machine: Machine) -> None:
        machine.change("install", "hammer")
        before = machine.state
        assert "hammer" in machine.layer("search", "hamm").stdout
        assert "===== " in machine.layer("search", "hamm").stdout
        (found,) = machine.layer("search", "hamm*", "--json").json
        assert (found["name"], found["repo"], found["evr"]) == ("hammer", "tools", "1-1")
        assert machine.state == before

    def test_news_are_asked_for(self, machine: Machine, lab: Lab) -> None:
        assert machine.layer("refresh-md").stdout.split() == ["extra", "tools"]
        lab.stock([tool("drill")])
        machine.layer("refresh-md", "--force")
        lab.kill("tools")
        assert "drill" in machine.layer("search", "drill", "--cache-only").stdout

    def test_those_of_the_machine_count(self, machine: Machine, lab: Lab) -> None:
        repos = machine.tree / "etc/yum.repos.d"
        lab.stock([tool("own")], "own")
        lab.stock([tool("by-variable")], "by-variable")
        text = "[own]\nname=Own\nbaseurl={0}rpms/own\ngpgcheck=0\n\n[by-variable]\nname=V\nbaseurl={0}rpms/$which\n"
        (repos / "own.repo").write_text(text.format(lab.site.url) + "gpgcheck=0\n")
        (machine.tree / "etc/dnf/vars").mkdir(parents=True)
        (machine.tree / "etc/dnf/vars/which").write_text("by-variable\n")
        machine.change("install", "own", "by-variable", "hammer")
        (machine.tree / "etc/yum.repos.d/tools.repo").unlink()
        assert "saw" in machine.refuse(4, "install", "saw")
        (machine.tree / "etc/yum.repos.d/own.repo").write_text("[own\n")
        assert "own.repo" in machine.refuse(3, "install", "saw")

    def test_damaged_metadata(self, machine: Machine, lab: Lab) -> None:
        listed = next((lab.site.root / "rpms/tools/repodata").glob("*primary.xml.gz"))
        listed.write_bytes(gzip.compress(b"<metadata/>"))
        assert "tools" in machine.refuse(5, "install", "hammer")


class TestReset:
    def test_each_kind_and_all(self, machine: Machine, lab: Lab) -> None:
        drill = lab.file(tool("drill"))
        machine.change("install", "hammer", drill)
        machine.change("override remove", "slate")
        machine.change("reset", "--overlays")
        assert machine.first["requested-base-removals"] == ["slate"]
        assert machine.first["requested-packages"] == machine.first["requested-local-packages"] == []
        machine.change("install", "hammer")
        machine.change("reset", "--overrides")
        assert machine.has("slate", "hammer")
        machine.unchanged("reset", "--initramfs")
        machine.change("override remove", "slate")
        machine.change("reset", "--install", "saw")
        assert machine.first["packages"] == ["saw"]
        assert machine.has("slate")
        machine.change("reset")
        assert machine.first["checksum"] == lab.commits["1"]
        machine.unchanged("reset")


def test_the_difference_of_what_waits(machine: Machine) -> None:
    machine.change("install", "hammer")
    said = machine.layer("db diff").stdout
    assert "hammer-1-1.noarch" in said
    assert "hammer" in machine.layer("db list", machine.first["checksum"]).stdout


def test_going_back(machine: Machine, lab: Lab) -> None:
    machine.change("install", "hammer")
    machine.change("rollback")
    assert machine.first["checksum"] == lab.commits["1"]
    machine.change("rollback")
    assert machine.has("hammer")
    machine.change("cleanup", "--rollback")
    assert len(machine.state.entries) == 1
    machine.refuse(8, "rollback")


def test_what_is_pinned_keeps_all_that_it_is_made_of(machine: Machine, lab: Lab) -> None:
    drill = lab.file(tool("drill"))
    machine.change("install", "hammer", drill)
    machine.layer("pin", "0")
    pinned = machine.state.entries[0].checksum
    machine.change("uninstall", "--all")
    machine.change("install", "saw")
    machine.change("override remove", "slate")
    machine.layer("cleanup", "--base", "--rollback", "--pending")
    assert pinned in [entry.checksum for entry in machine.state.entries]
    assert len(machine.state.entries) == 2
    machine.layer("verify")


class TestSettings:
    """/etc/rpm-ostreed.conf of the deployment that the next one is made from."""

    def _decide(self, machine: Machine, text: str) -> None:
        (machine.tree / "etc/rpm-ostreed.conf").write_text(f"[Daemon]\nIdleExitTimeout=60\n{text}\n")

    def test_what_is_recommended(self, machine: Machine, lab: Lab) -> None:
        lab.stock([tool("plane", recommends=["wax"]), rpm("wax")])
        machine.change("install", "plane")
        assert machine.has("wax")
        self._decide(machine, "Recommends=false")
        machine.change("uninstall", "plane")
        machine.change("install", "plane")
        assert not machine.has("wax")

    def test_nothing_more(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        self._decide(machine, "LockLayering=true")
        for words in (("install", "saw"), ("override remove", "greeter"), ("upgrade", "--install", "saw"),
                      ("install", lab.file(tool("chisel")))):  # fmt: skip
            assert "LockLayering=true" in machine.refuse(1, *words, fetched=True)
        machine.change("uninstall", "hammer")

    def test_what_is_no_setting(self, machine: Machine) -> None:
        self._decide(machine, "Recommends=perhaps")
        said = machine.refuse(3, "install", "hammer")
        assert "rpm-ostreed.conf:3" in said
        assert "Recommends" in said
