# SPDX-License-Identifier: GPL-2.0-or-later
"""All steps one after another: what they make of a whole system, and that no link leads them out of it (E9)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from rpmtree.command import run as run_command
from rpmtree.errors import CommandFailed, ConfigError, ToolError
from rpmtree.files import Root
from rpmtree.finish import postprocess
from rpmtree.finish.steps import COMPOSE_STEPS, Step, finish_root
from rpmtree.mounts import overlay
from rpmtree.root.spec import AddFile, FinishSpec
from tests.finish.golden import Recorder
from tests.finish.tinyroot import make
from tests.support.trees import canonical, describe, plant

SYSTEM = """
bin -> usr/bin
lib -> usr/lib
boot/
dev/
proc/
tmp/ 1777
root/ 0700
var/lib/dpkg/status "lost"
etc/passwd
| root:x:0:0:root:/root:/bin/bash
| daemon:x:1:1::/:/bin/false
etc/group
| root:x:0:
| daemon:x:1:
etc/shadow 0640
| root:*:19000:0:99999:7:::
etc/passwd- "old"
etc/default/useradd
| HOME=/home
usr/bin/sh
usr/lib64/libnss_systemd.so.2
usr/lib/modules/6.1/vmlinuz "kernel"
usr/lib/os-release
| VERSION=1
usr/lib/systemd/system/a.service
usr/lib/rpm-ostree/tmpfiles.d/a.conf
| d /var/lib/a 0755 root root - -
usr/share/rpm/rpmdb.sqlite "packages"
"""
FINISHED = """
bin -> usr/bin
boot/
dev/
etc/default/useradd
| HOME=/var/home
etc/group
| root:x:0:
etc/machine-id 0444
etc/nsswitch.conf
| passwd: files systemd
| group: files systemd
etc/passwd
| root:x:0:0:root:/root:/bin/bash
etc/shadow 0000
| root:*::0:99999:7:::
| daemon:!:::::::
etc/systemd/system/multi-user.target.wants/a.service -> /usr/lib/systemd/system/a.service
home -> var/home
lib -> usr/lib
media -> run/media
mnt -> var/mnt
opt -> var/opt
ostree -> sysroot/ostree
proc/
root -> var/roothome
run/
srv -> var/srv
sys/
sysroot/
tmp -> sysroot/tmp
usr/bin/sh
usr/lib/group
| daemon:x:1:
usr/lib/modules/6.1/vmlinuz "kernel"
usr/lib/os-release
| VERSION=2
| OSTREE_VERSION=2
usr/lib/ostree-boot/vmlinuz-6.1-SHA256 == usr/lib/modules/6.1/vmlinuz
usr/lib/passwd
| daemon:x:1:1::/:/bin/false
usr/lib/rpm-ostree/tmpfiles.d/a.conf
| d /var/lib/a 0755 root root - -
usr/lib/rpm/macros.d/macros.rpm-ostree
| %_dbpath /usr/share/rpm
usr/lib/sysimage/rpm -> ../../share/rpm
usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite "packages"
usr/lib/systemd/system/a.service
usr/lib/tmpfiles.d/rpm-ostree-autovar.conf
| # Made from the packages of this image.
| d /var/lib/a 0755 root root - -
usr/lib/userdb/1.group -> daemon.group
usr/lib/userdb/1.user -> daemon.user
usr/lib64/libnss_systemd.so.2
usr/local -> ../var/usrlocal
usr/share/rpm-ostree/treefile.json "{}"
usr/share/rpm/rpmdb.sqlite == usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite
var/
"""
SPEC = FinishSpec(
    units=("a.service",), default_target=None, mutate_os_release="1", version="2", initramfs=False,
    remove_files=("usr/gone",), treefile_json="{}",
)  # fmt: skip


def finish(top: Path, spec: FinishSpec = SPEC) -> Recorder:
    recorder = Recorder()
    with Root(top) as root:
        finish_root(root, spec, COMPOSE_STEPS, recorder)
    return recorder


def entries(text: str) -> set[str]:
    """Entries of a description, without those of files that have tests of their own, and checksums blanked."""
    parts = text.replace("\n| ", "\a| ").splitlines()
    own = ("usr/lib/tmpfiles.d/rpm-ostree-0-", "usr/lib/userdb/daemon.")
    return {part.split("vmlinuz-6.1-")[0] for part in parts if not part.startswith(own)}


def test_a_whole_system(tmp_path: Path) -> None:
    said = finish(plant(tmp_path, SYSTEM))
    assert entries(describe(tmp_path)) == entries(canonical(FINISHED))
    assert said.done == ["Finishing the tree"]
    assert said.warnings == ["left in /var by scripts, and not part of the image: /var/lib/dpkg/status"]


def test_finishing_again_changes_nothing(tmp_path: Path) -> None:
    finish(plant(tmp_path, SYSTEM))
    once = describe(tmp_path)
    assert finish(tmp_path).warnings == []
    assert describe(tmp_path) == once


@pytest.mark.needs("root")
def test_on_an_overlay_it_is_the_same(tmp_path: Path) -> None:
    """Roots are overlays, which can't rename directories of the lower layer."""
    text = f"{SYSTEM}\nvar/lib/alternatives/deep/x\nboot/efi/EFI/x\nusr/lib/sysimage/rpm/x/y\nopt/a/b\nusr/local/bin/"
    finish(plant(tmp_path / "plain", text))
    plant(tmp_path / "lower", text)
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    before = state(tmp_path / "lower")
    with overlay(tmp_path / "root", lower=[tmp_path / "lower"], upper=tmp_path / "upper", work=tmp_path / "work"):
        finish(tmp_path / "root")
        assert describe(tmp_path / "root") == describe(tmp_path / "plain")
    assert "\nvar/lib" not in describe(tmp_path / "plain")
    assert state(tmp_path / "lower") == before


def test_a_container_needs_no_kernel_and_keeps_its_top_level(tmp_path: Path) -> None:
    text = (
        "etc/passwd\n| root:x:0:0:::\n| a:x:1:1:::\nusr/bin/sh\nvar/lib/x/\nhome/\nbin -> usr/bin\netc/machine-id 0444"
    )
    finish(plant(tmp_path, text), FinishSpec(container=True))
    added = "usr/lib/rpm/macros.d/macros.rpm-ostree\n| %_dbpath /usr/share/rpm\nusr/lib/sysimage/rpm -> ../../share/rpm"
    added += "\nusr/share/rpm/\nusr/lib/sysimage/rpm-ostree-base-db/"
    assert describe(tmp_path) == canonical(f"{text}\n{added}")


def test_what_the_tree_makes_impossible_is_an_error_with_the_step_and_the_path(tmp_path: Path) -> None:
    plant(tmp_path, f"{SYSTEM}\nusr/share/rpm-ostree")
    with pytest.raises(ToolError, match=r"Storing the treefile failed.*rpm-ostree"):
        finish(tmp_path)


def test_other_errors_are_bugs_and_not_hidden(tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError), Root(tmp_path) as root:
        finish_root(root, FinishSpec(), [Step("Breaking", broken)], Recorder())


#: Links that a script could plant, each to where a step would read, write, move or remove through it.
PLANTED = (
    *("etc", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/nsswitch.conf", "etc/machine-id"),
    *("etc/default", "etc/default/useradd", "etc/systemd", "etc/systemd/system/multi-user.target.wants"),
    *("usr", "usr/bin", "usr/local", "usr/added", "usr/lib/os-release", "usr/lib/passwd", "usr/lib/userdb"),
    *("usr/lib/tmpfiles.d", "usr/lib/tmpfiles.d/rpm-ostree-0-integration.conf", "usr/lib/rpm-ostree/tmpfiles.d"),
    *("usr/lib/rpm/macros.d", "usr/lib/sysimage", "usr/lib/modules", "usr/lib/modules/6.1"),
    *("usr/lib/modules/6.1/vmlinuz", "usr/lib/ostree-boot", "usr/lib/opt", "usr/share/rpm", "usr/share/rpm-ostree"),
    *("boot", "opt", "root", "run", "tmp", "var", "var/lib", "var/lib/alternatives"),
)
BAIT = """
.rpm.lock
a.conf "d /var/lib/bait 0755 root root -\\n"
alternatives/editor
bait
default/useradd "HOME=/home\\n"
group "root:x:0:\\nbait:x:9:\\n"
loader/entries/x
multi-user.target.wants/
passwd "root:x:0:0:::\\nbait:x:9:9:::\\n"
rpm-ostree-base-db/x
shadow 0640 "root:*:1:\\n"
vmlinuz "x"
vmlinuz-6.1 "x"
"""


@pytest.mark.parametrize("up", ["", "../../../../../../../../../../.."])
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_link_leads_nowhere(tmp_path: Path, planted: str, up: str) -> None:
    host = plant(tmp_path / "host", BAIT)
    before = state(host)
    top = plant(tmp_path / "root", SYSTEM)
    target = host / Path(planted).name if (host / Path(planted).name).is_file() else host
    run_command(["rm", "-rf", str(top / planted)])
    (top / planted).parent.mkdir(parents=True, exist_ok=True)
    (top / planted).symlink_to(f"{up}{target}")
    (tmp_path / "source" / "d").mkdir(parents=True)
    (tmp_path / "source" / "d" / "bait").write_text("overwritten")
    spec = replace(
        SPEC,
        add_files=(
            AddFile(tmp_path / "source" / "d", "usr/added"),
            AddFile(tmp_path / "source" / "d" / "bait", "usr/bin/bait"),
        ),
        remove_files=(f"{planted}/bait",),
    )
    with Root(top) as root:
        for step in COMPOSE_STEPS:  # each, even if one before it has refused the tree
            with suppress(ToolError):
                finish_root(root, spec, [step], Recorder())
    assert state(host) == before


def state(place: Path) -> list[tuple[object, ...]]:
    """All that writing to a tree can change: names, contents, modes and times."""
    times = [
        (str(path), path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
        for path in sorted(place.rglob("*"))
    ]
    return [(describe(place), place.stat().st_mtime_ns), *times]


@pytest.mark.parametrize("planted", ["etc/passwd", "usr/share/rpm", "boot"])
def test_a_careless_step_would_be_seen(tmp_path: Path, planted: str) -> None:
    """The control: the same link, and a write that follows it."""
    host = plant(tmp_path / "host", BAIT)
    before = state(host)
    (tmp_path / "root" / planted).parent.mkdir(parents=True)
    (tmp_path / "root" / planted).symlink_to(host)
    (tmp_path / "root" / planted / "passwd").write_text("root:x:0:0:::\n")
    assert state(host) != before


SCRIPT = "#!/bin/sh\nset -e\n"


@pytest.mark.needs("bwrap", "root", "seccomp:")
def test_postprocess(tmp_path: Path) -> None:
    top = make(tmp_path / "root")
    before = describe(top)
    (tmp_path / "script").write_text(f"{SCRIPT}[ -e /etc/first ]; cat /etc/first >/etc/last; echo $SOURCE_DATE_EPOCH")
    spec = FinishSpec(
        postprocess=(f"{SCRIPT}echo 1 >/etc/first", f"{SCRIPT}echo 2 >>/etc/first; echo said >&2"),
        postprocess_script=tmp_path / "script",
        source_date_epoch=77,
    )
    recorder = Recorder()
    with Root(top) as root:
        postprocess.apply(root, spec, recorder)
    assert set(describe(top).splitlines()) - set(before.splitlines()) == {"etc/first", "etc/last", "| 1", "| 2"}
    assert [note.rpartition(": ")[2] for note in recorder.notes] == ["said", "77"]


@pytest.mark.needs("bwrap", "root", "seccomp:")
def test_postprocess_that_fails(tmp_path: Path) -> None:
    top = make(tmp_path / "root")
    spec = FinishSpec(postprocess=(f"{SCRIPT}echo about to fail; exit 4", f"{SCRIPT}touch /etc/not-reached"))
    with pytest.raises(CommandFailed) as caught, Root(top) as root:
        postprocess.apply(root, spec, Recorder())
    assert caught.value.status == 4
    assert caught.value.detail == "about to fail"
    assert not (top / "etc/not-reached").exists()
    assert not list((top / "usr/bin").glob("rpmostree*"))


@pytest.mark.needs("bwrap", "root", "seccomp:")
def test_postprocess_sees_nothing_of_the_host(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("host")
    top = make(tmp_path / "root")
    (top / "etc/here").write_text("inside")
    script = f"#!/bin/sh\nif cat {canary}; then exit 1; fi; cat /etc/here"
    recorder = Recorder()
    with Root(top) as root:
        postprocess.apply(root, FinishSpec(postprocess=(script,)), recorder)
    assert any("inside" in note for note in recorder.notes)


def test_postprocess_script_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), Root(tmp_path) as root:
        postprocess.apply(root, FinishSpec(postprocess_script=tmp_path / "gone"), Recorder())
