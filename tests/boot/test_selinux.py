# SPDX-License-Identifier: GPL-2.0-or-later
"""Granite with Debian's policy, booted with SELinux on; permissive, since that policy knows no OSTree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.boot import machine
from tests.boot.conftest import report
from tests.boot.machine import Machine
from tests.boot.status import booted
from tests.boot.world import World

REF = "granite/12/labelled"
_PACKAGES = ["selinux-policy-default", "selinux-utils", "policycoreutils"]
#: The file systems of the disk, and what of them is seen elsewhere. Labels of what the kernel makes up are its own.
_FIND = "find / /boot /sysroot /var /etc /usr -xdev"
#: To the first the policy gives no label. The second systemd makes in the initramfs, of the old root's place, where the
#: machine's /var is mounted over it later (systemd, src/shared/switch-root.c).
_NONE = "/proc$\\|/deploy/[^/]*/var/mnt$"


@pytest.fixture(scope="module")
def labelled(world: World, accelerator: str) -> Iterator[Machine]:
    """The machine at its prompt, booted for the first time."""
    world.compose("12.0", "labelled", ref=REF, selinux=True, packages=_PACKAGES)
    image = world.disk("labelled", REF, "security=selinux", "selinux=1", "enforcing=0")
    with machine.boot(image, accelerator=accelerator) as guest:
        report("first boot with SELinux", guest.boots[-1])
        guest.run("systemctl is-system-running --wait", machine.BOOT)
        yield guest


def test_the_policy_is_loaded(labelled: Machine) -> None:
    assert labelled.check("getenforce") == "Permissive"
    assert labelled.check("systemctl list-units --failed --plain --no-legend") == ""
    assert labelled.check("matchpathcon -n /proc") == "<<none>>"
    assert "init_t" in labelled.check("tr -d '\\0' </proc/1/attr/current")


def _check_labels(guest: Machine) -> None:
    guest.check(f"{_FIND} -printf '%Z %p\\n' 2>/dev/null | sort -u >/tmp/labels", machine.BOOT)
    assert int(guest.check("grep -c ':object_r:[a-z_]*_t:' /tmp/labels")) > 20_000  # the control
    assert guest.run("grep -v ':object_r:[a-z_]*_t:' /tmp/labels").output == ""
    assert guest.run(f"grep ':unlabeled_t:' /tmp/labels | grep -v '{_NONE}' | head -n 20").output == ""


def test_every_file_has_a_label(labelled: Machine) -> None:
    _check_labels(labelled)
    labelled.check("ostree fsck --quiet", machine.BOOT)  # labels are a part of objects


@pytest.mark.parametrize(
    ("path", "kind"), [("/etc/new", "etc_t"), ("/var/lib/new", "var_lib_t"), ("/var/log/new", "var_log_t")]
)
def test_new_files_have_one(labelled: Machine, path: str, kind: str) -> None:
    labelled.check(f"touch {path}")
    assert labelled.check(f"stat -c %C {path}").split(":")[2] == kind
    assert labelled.check(f"matchpathcon -n {path}").split(":")[2] == kind


def test_so_has_what_is_layered(labelled: Machine) -> None:
    labelled.check("layer install tree", 1800)
    report("reboot with SELinux and a layer", labelled.reboot())
    labelled.run("systemctl is-system-running --wait", machine.BOOT)
    assert booted(labelled)["packages"] == ["tree"]
    assert labelled.check("stat -c %C /usr/bin/tree").split(":")[2] == "bin_t"
    _check_labels(labelled)
    labelled.check("ostree fsck --quiet", machine.BOOT)
    labelled.check("layer verify", machine.BOOT)
