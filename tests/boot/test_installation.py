# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that is installed with everything: file systems of its own, a user, units, a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from kickstart.disk import DiskOptions, make_disk
from kickstart.installation import Account, Group, Installation, Partition, Script, Source
from rpmtree.progress import Reporter
from tests.boot import machine
from tests.boot.conftest import report
from tests.boot.world import REMOTE, World, branch

_POST = """\
echo made >/etc/made-by-post
mkdir /var/lib/made && echo here >/var/lib/made/state
useradd --create-home --user-group second
systemctl is-enabled ssh.service >/var/lib/made/ssh || :
"""


@pytest.fixture(scope="module")
def installed(world: World) -> Path:
    target = world.top / "installed.raw"
    installation = Installation(
        source=Source(world.remote, branch("granite"), REMOTE, "oak", gpg=False),
        partitions=(
            Partition("/boot", size=512),
            Partition("/", size=4096),
            Partition("swap", "swap", 256),
            Partition("/var", "xfs", size=1024, options=("noatime",)),
            Partition("/var/home", size=512, grow=True),
        ),
        root=Account("root", machine.PASSWORD_HASH),
        users=(Account("kim", machine.PASSWORD_HASH, groups=("sudo", "team"), keys=("ssh-ed25519 AAAA kim",)),),
        groups=(Group("team", 3000),),
        timezone="Europe/Oslo",
        lang="C.UTF-8",
        hostname="oak",
        disabled=("ssh.service",),
        enabled=("fstrim.timer",),
        post=(Script(_POST, "/bin/bash", essential=True),),
    )
    options = DiskOptions(world.repo, world.commits["12.0"], target, kernel_arguments=machine.KARGS)
    make_disk(options, installation, Reporter())
    return target


def test_all_is_there_after_the_boot(world: World, installed: Path, accelerator: str) -> None:
    with machine.boot(installed, accelerator=accelerator) as guest:
        report("first boot with five partitions", guest.boots[-1])
        assert guest.run("systemctl is-system-running --wait", machine.BOOT).output == "running"
        assert guest.check("systemctl list-units --failed --plain --no-legend") == ""
        mounts = dict(line.split() for line in guest.check("findmnt -rn --real -o TARGET,FSTYPE").splitlines())
        assert {"/boot": "ext4", "/var": "xfs", "/var/home": "ext4"}.items() <= mounts.items()
        assert "noatime" in guest.check("findmnt -n -o OPTIONS /var")
        assert guest.check("swapon --show=SIZE --noheadings").strip() == "256M"
        assert guest.check("hostname; cat /etc/made-by-post /var/lib/made/state").split() == ["oak", "made", "here"]
        assert guest.check("readlink -f /etc/localtime") == "/usr/share/zoneinfo/Europe/Oslo"
        assert "sudo" in guest.check("id -nG kim").split()
        assert guest.check("getent group team") == "team:x:3000:kim"
        assert guest.check("stat -c '%U %a' /home/kim /home/kim/.ssh/authorized_keys").split() == [
            "kim", "700", "kim", "600",
        ]  # fmt: skip
        assert guest.check("stat -c %U /home/second") == "second"
        # What was disabled stays so, and what was not is as the image has it.
        assert guest.run("systemctl is-enabled ssh.service").output == "disabled"
        assert guest.check("cat /var/lib/made/ssh") == "disabled"
        assert guest.check("systemctl is-enabled fstrim.timer cron.service").split() == ["enabled", "enabled"]
        assert f"{REMOTE}:{branch('granite')}" in guest.check("layer status")
        guest.check("layer upgrade --check --unchanged-exit-77 || [ $? = 77 ]", 600)
        guest.send("exit\n")
        guest.expect("login: ")
        guest.login("kim")
        assert guest.check("id -un; pwd").split() == ["kim", "/var/home/kim"]
