# SPDX-License-Identifier: GPL-2.0-or-later
"""The image that treefiles/granite-12.yaml makes, kernel and initramfs included: what a bootable system must have."""

from __future__ import annotations

import json
import os
import shlex
import stat
from pathlib import Path

import pytest

from rpmtree import command
from tests.conftest import TOP
from tests.end_to_end import granite
from tests.end_to_end.granite import Image
from tests.end_to_end.shale import ostree

REF = f"granite/12/{os.uname().machine}/stable"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def image(distro: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    assert (distro / "granite-12").is_dir()
    return granite.compose(TOP / "treefiles/granite-12.yaml", tmp_path_factory.mktemp("image"), REF)


def text(image: Image, path: str) -> str:
    return (image.tree / path).read_text()


def mode(image: Image, path: str) -> int:
    return stat.S_IMODE((image.tree / path).lstat().st_mode)


def test_nothing_is_left_over(image: Image) -> None:
    etc = {path.name for path in (image.tree / "usr/etc").iterdir()}
    assert not etc & {"passwd-", "group-", "shadow-", "gshadow-", ".pwd.lock", ".updated"}
    assert sorted(os.listdir(image.tree / "usr/share/rpm")) == ["rpmdb.sqlite"]
    assert not list(image.tree.rglob("*.rpmnew")) + list(image.tree.rglob("*.rpmsave"))
    assert not (image.tree / "etc").exists()
    for name in ("boot", "dev", "proc", "run", "sys", "sysroot", "var"):
        assert os.listdir(image.tree / name) == [], name


def test_modes_of_accounts(image: Image) -> None:
    names = ("usr/etc/passwd", "usr/etc/group", "usr/lib/passwd", "usr/lib/group", "usr/etc/shadow", "usr/etc/gshadow")
    assert [mode(image, name) for name in names] == [0o644] * 4 + [0, 0]
    assert [line.split(":")[0] for line in text(image, "usr/etc/passwd").splitlines()] == ["root", "nobody"]
    groups = {line.split(":")[0] for line in text(image, "usr/etc/group").splitlines()}
    assert groups == {"root", "sudo", "nogroup"}
    assert "systemd-network:" in text(image, "usr/lib/passwd")


def test_accounts_are_found_on_the_image(image: Image) -> None:
    moved = [line.split(":") for line in text(image, "usr/lib/passwd").splitlines()]
    users = {line.split(":")[0]: line.split(":")[2:4] for line in image.run(
        "getent", "passwd", *(fields[0] for fields in moved)).splitlines()}  # fmt: skip
    assert users == {fields[0]: fields[2:4] for fields in moved}
    for line in text(image, "usr/lib/group").splitlines():
        name, _, gid, _ = line.split(":")
        assert image.run("getent", "group", gid).split(":")[0] == name
    assert image.run("id", "-un", "0") == "root\n"
    assert image.run("getent", "passwd", "nobody-here", status=2) == ""  # the control


def test_useradd_makes_homes_in_var(image: Image) -> None:
    lines = text(image, "usr/etc/default/useradd").splitlines()
    # Granite's useradd has no line of its own; /home, its default, leads there, too.
    assert [line for line in lines if line.startswith("HOME=")] in ([], ["HOME=/var/home"])
    assert os.readlink(image.tree / "home") == "var/home"


def test_the_rpm_database_is_found_from_both_places(image: Image) -> None:
    count = len(image.packages())
    assert count >= 200
    for options in ((), ("--dbpath=/usr/share/rpm",), ("--dbpath=/usr/lib/sysimage/rpm",),
                    ("--dbpath=/usr/lib/sysimage/rpm-ostree-base-db",)):  # fmt: skip
        assert len(image.run("rpm", *options, "-qa").splitlines()) == count
    assert image.run("rpm", "-E", "%_dbpath").strip() == "/usr/share/rpm"
    assert text(image, "usr/lib/rpm/macros.d/macros.rpm-ostree") == "%_dbpath /usr/share/rpm\n"
    header = (image.tree / "usr/share/rpm/rpmdb.sqlite").read_bytes()[:20]
    assert header.startswith(b"SQLite format 3\0")
    assert header[18:20] == b"\1\1"  # no write-ahead log, which a read-only /usr could not have


def test_the_kernel_and_what_belongs_to_it(image: Image) -> None:
    (directory,) = (image.tree / "usr/lib/modules").iterdir()
    for name in ("vmlinuz", "initramfs.img"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o644
    assert (directory / "initramfs.img").stat().st_size > 1_000_000
    assert (directory / "modules.dep.bin").exists()
    version = ostree(image.repo, "show", "--print-metadata-key=ostree.linux", image.ref).strip()
    assert version == f"'{directory.name}'"
    assert ostree(image.repo, "show", "--print-metadata-key=ostree.bootable", image.ref).strip() == "true"
    assert not (image.tree / "usr/lib/ostree-boot").exists()  # boot-location: modules


def test_the_initramfs_can_boot_ostree(image: Image) -> None:
    (directory,) = (image.tree / "usr/lib/modules").iterdir()
    listed = image.run("lsinitrd", f"/usr/lib/modules/{directory.name}/initramfs.img")
    assert "ostree-prepare-root" in listed
    assert "dev/urandom" in (directory / "initramfs.img").read_bytes()[-4096:].decode("latin-1")
    machine_id = [line for line in listed.splitlines() if "etc/machine-id" in line]
    assert all(" 0 " in line for line in machine_id), machine_id


def test_machine_id(image: Image) -> None:
    assert not (image.tree / "usr/etc/machine-id").exists()  # machineid-compat: false


def test_top_level_links(image: Image) -> None:
    links = {path.name: os.readlink(path) for path in image.tree.iterdir() if path.is_symlink()}
    assert links == {
        "bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "home": "var/home",
        "root": "var/roothome", "srv": "var/srv", "mnt": "var/mnt", "media": "run/media", "opt": "var/opt",
        "ostree": "sysroot/ostree",
    }  # fmt: skip
    assert mode(image, "tmp") == 0o1777  # tmp-is-dir
    assert os.readlink(image.tree / "usr/local") == "../var/usrlocal"


def test_setuid_and_capabilities(image: Image) -> None:
    assert mode(image, "usr/bin/su") == 0o4755
    assert mode(image, "usr/bin/sudo") == 0o4755
    assert "cap_net_raw" in command.run(["getcap", str(image.tree / "usr/bin/ping")]).stdout.decode()
    assert mode(image, "usr/etc/sudoers.d/README") == 0o440


def test_no_file_is_writable_by_all(image: Image) -> None:
    found = [
        str(path)
        for top in ("usr", "boot")
        for path in (image.tree / top).rglob("*")
        if not path.is_symlink() and path.lstat().st_mode & stat.S_IWOTH
    ]
    assert found == []


def test_no_secrets_and_nothing_of_this_machine(image: Image) -> None:
    assert not list((image.tree / "usr/etc/ssh").glob("ssh_host_*"))
    assert not (image.tree / "usr/etc/hostname").exists() or os.uname().nodename not in text(image, "usr/etc/hostname")
    assert not (image.tree / "usr/etc/resolv.conf").is_file()


def test_units_were_preset(image: Image) -> None:
    wants = image.tree / "usr/etc/systemd/system/multi-user.target.wants"
    assert wants.is_dir()
    assert list(wants.iterdir()) != []
    target = image.tree / "usr/lib/systemd/system/default.target"
    assert os.readlink(target).endswith("multi-user.target")
    assert image.run("systemctl", "--root=/", "get-default").strip() == "multi-user.target"


def test_tmpfiles_fill_var(image: Image) -> None:
    script = "systemd-tmpfiles --create --prefix=/var --prefix=/run/media >/dev/null 2>&1; cd /var; stat -c '%n %a' *"
    found = dict(line.split() for line in image.run("sh", "-c", script).splitlines())
    wanted = {"home": "755", "srv": "755", "mnt": "755", "opt": "755", "usrlocal": "755", "roothome": "700",
              "lib": "755", "tmp": "1777", "log": "755"}  # fmt: skip
    assert wanted.items() <= found.items()


def test_treefile_and_version(image: Image) -> None:
    document = json.loads(text(image, "usr/share/rpm-ostree/treefile.json"))
    assert document["ref"] == REF
    assert "include" not in document
    version = ostree(image.repo, "show", "--print-metadata-key=version", image.ref).strip("'\n")
    assert version == "12"
    release = text(image, "usr/lib/os-release")
    assert shlex.split(next(line for line in release.splitlines() if line.startswith("OSTREE_VERSION="))) == [
        "OSTREE_VERSION=12"
    ]


def test_programs_of_the_image_run(image: Image) -> None:
    assert image.run("bash", "-c", "echo $((6 * 7))") == "42\n"
    assert image.run("python3", "-c", "import gi, rpm, dnf; print('fine')") == "fine\n"
    assert "OSTree" in image.run("python3", "-c", "from gi.repository import OSTree; print(OSTree.__name__)")
    assert image.run("ldconfig", "-p").count("libc.so.6") >= 1


def test_the_client_is_there_and_precompiled(image: Image) -> None:
    assert image.run("layer", "--version").startswith("layer ")
    assert "--trigger-automatic" not in image.run("layer", "upgrade", "--help")
    code = "import sys; sys.path.clear(); from layering.cli import main"
    assert image.run("python3", "-I", "-c", code, status=1) == ""  # the control
    report = "from layering import cli; from rpmtree import app; print(cli.__cached__, app.__cached__)"
    for cached in image.run("python3", "-I", "-c", report).split():
        data = (image.tree / cached.lstrip("/")).read_bytes()
        assert int.from_bytes(data[4:8], "little") == 1, "by its hash, and not looked at (PEP 552)"
    units = "usr/lib/systemd/system/rpm-ostreed-automatic"
    assert {path.name for path in (image.tree / units).parent.glob("rpm-ostreed-automatic.*")} == {
        "rpm-ostreed-automatic.service",
        "rpm-ostreed-automatic.timer",
    }
    wanted = image.tree / "usr/etc/systemd/system/timers.target.wants/rpm-ostreed-automatic.timer"
    assert not wanted.is_symlink(), "it is for the admin to enable"
    image.run("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/rpm-ostreed-automatic.timer")


def test_composed_again_elsewhere_it_is_the_same_commit(image: Image, tmp_path: Path) -> None:
    """With kernel and initramfs, a cache of its own, in a directory with a longer name."""
    top = tmp_path / "elsewhere"
    top.mkdir()
    granite.compose_into(TOP / "treefiles/granite-12.yaml", top)
    if ostree(top / "repo", "rev-parse", REF) != ostree(image.repo, "rev-parse", REF):
        other = granite.check_out(top / "repo", REF, top / "tree")
        argv = ["diff", "-rq", "--no-dereference", str(image.tree), str(other.tree)]
        pytest.fail(command.run(argv, check=False).stdout.decode())
