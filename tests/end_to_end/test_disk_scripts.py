# SPDX-License-Identifier: GPL-2.0-or-later
"""%post scripts on a composed system's disk: what they may write, and what becomes of one that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from kickstart.deployed import open_deployed
from kickstart.disk import DiskOptions, make_disk
from kickstart.installation import Installation, Script
from kickstart.layout import MIB
from rpmtree.errors import ConfigError, Place, ScriptletError
from rpmtree.progress import Reporter
from tests.end_to_end.shale import REF, Bench
from tests.support import disks

pytestmark = pytest.mark.needs("sfdisk", "mke2fs", "extlinux", "losetup", "blkid")
AT = Place("ks.cfg", 12)
_WRITES = """\
echo mine >/etc/mine
touch /var/lib/state
chown 7:8 /var/lib/state
echo scratch >/tmp/x && echo scratch >/var/tmp/x
echo said
"""
_OUTSIDE = """\
for path in /usr/bin/new /usr/new /new /sysroot/new /boot/new; do
    if touch "$path"; then echo "wrote $path"; fi
done 2>/dev/null
if cat </dev/tcp/127.0.0.1/1; then echo connected; fi 2>/dev/null
echo "home $HOME"
touch /etc/tried
"""


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append(f"warning: {text}")


def make(bench: Bench, target: Path, *scripts: Script, **said: object) -> list[str]:
    """What is said while a disk is made."""
    reporter = Said()
    installation = Installation(root=None, post=scripts, **said)  # type: ignore[arg-type]
    make_disk(DiskOptions(bench.repo, REF, target, size=128 * MIB), installation, reporter)
    return reporter.lines


@pytest.fixture
def composed(bench: Bench) -> Bench:
    bench.compose()
    return bench


def test_var_has_what_scripts_expect(tmp_path: Path) -> None:
    var = tmp_path / "var"
    (var / "lib").mkdir(0o700, parents=True)  # the image's own, or libostree's
    with open_deployed(tmp_path, var) as deployed:
        deployed.fill_var()
        deployed.fill_var()
    found = {path.name: str(path.readlink()) if path.is_symlink() else path.stat().st_mode for path in var.iterdir()}
    assert found == {"lib": 0o40700, "log": 0o40755, "tmp": 0o41777, "run": "../run", "lock": "../run/lock"}


def test_what_scripts_may_write(composed: Bench, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    second = "cat /etc/mine; if touch /etc/second; then echo two; fi"
    said = make(composed, target, Script(_WRITES, place=AT), Script(second), Script(_OUTSIDE))
    assert said == [
        "%post of ks.cfg:12: said",
        "%post of script 2: mine",
        "%post of script 2: two",
        "%post of script 3: home /root",
    ]
    with disks.mounted(target, tmp_path / "mnt", {1: ""}) as top:
        (deployed,) = [path for path in top.glob("ostree/deploy/*/deploy/*") if path.is_dir()]
        assert (deployed / "etc/mine").read_text() == "mine\n"
        assert (deployed / "etc/tried").exists()
        var = top / "ostree/deploy/shale/var"
        found = (var / "lib/state").stat()
        assert (found.st_uid, found.st_gid) == (7, 8)
        assert not (var / "tmp/x").exists()
        assert not any((deployed / name).exists() for name in ("new", "usr/new", "usr/bin/new"))
        assert not list(top.glob("**/kickstart-post"))


def test_a_script_that_must_not_fail(composed: Bench, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    make(composed, target, Script("exit 0", essential=True, place=AT))  # the control
    target.unlink()
    with pytest.raises(ScriptletError) as caught:
        make(composed, target, Script("echo because; exit 3", essential=True, place=AT), Script("echo never"))
    assert "ks.cfg:12" in caught.value.message
    assert "3" in caught.value.message
    assert caught.value.detail == "because"
    assert not target.exists()
    assert disks.loop_devices(tmp_path) == []


def test_a_script_that_may_fail(composed: Bench, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    said = make(composed, target, Script("echo because; exit 3", place=AT), Script("echo next"))
    assert said == [
        "%post of ks.cfg:12: because",
        "warning: %post of ks.cfg:12 exited with status 3",
        "%post of script 2: next",
    ]
    disks.check_file_systems(target)


def test_an_interpreter_that_is_not_there(composed: Bench, tmp_path: Path) -> None:
    with pytest.raises(ScriptletError):
        make(composed, tmp_path / "disk.raw", Script("1", "/usr/bin/no-such", essential=True))
    make(composed, tmp_path / "disk.raw", Script("test -z $-x || echo x", "/bin/sh -x"))


def test_units_need_systemctl(composed: Bench, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"own\.service"):
        make(composed, tmp_path / "disk.raw", enabled=("own.service",))
    assert list(tmp_path.glob("*disk*")) == []
