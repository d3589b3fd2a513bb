# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine through what its admin does to it, with a reboot after each: what was asked for runs, and what is the
admin's own stays.
"""

from __future__ import annotations

import time

from tests.boot.conftest import report
from tests.boot.machine import Machine
from tests.boot.status import booted, deployments
from tests.boot.world import REMOTE, World, branch

#: Seconds that an emulated machine may solve, fetch and deploy for.
_LONG = 5400


def _layer(guest: Machine, words: str) -> None:
    started = time.monotonic()
    guest.check(f"layer {words}", _LONG)
    report(f"layer {words}", time.monotonic() - started)


def _reboot(guest: Machine, what: str) -> None:
    report(f"reboot into {what}", guest.reboot())
    guest.run("systemctl is-system-running --wait", _LONG)
    assert guest.check("systemctl list-units --failed --plain --no-legend") == ""


def _check_own(guest: Machine) -> None:
    """What the admin has made is there."""
    assert guest.check("cat /etc/motd") == "mine"
    assert guest.check("cat /etc/added.conf") == "new"
    assert guest.check("id -un 1000; cat /var/home/kim/letter").split() == ["kim", "dear"]
    assert guest.check("stat -c %U /var/home/kim/letter; cat /var/lib/own/state").split() == ["kim", "kept"]


def test_install_upgrade_rebase_rollback(world: World, guest: Machine) -> None:
    guest.check("echo mine >/etc/motd; echo new >/etc/added.conf; useradd -m -s /bin/bash kim")
    guest.check("su kim -c 'echo dear >/var/home/kim/letter'; mkdir /var/lib/own; echo kept >/var/lib/own/state")

    assert guest.run("powerline --help").status == 127  # the control
    _layer(guest, "install powerline")
    _reboot(guest, "Granite 12.0 and powerline")
    assert "usage: powerline" in guest.check("powerline --help")
    assert booted(guest)["packages"] == ["powerline"]
    _check_own(guest)

    world.release("12.1")
    _layer(guest, "upgrade")
    _reboot(guest, "Granite 12.1")
    assert booted(guest)["version"] == "12.1"
    assert "12.1" in guest.check("cat /etc/granite-release")
    granite_kernel = guest.check("uname -r")
    assert "usage: powerline" in guest.check("powerline --help")
    _check_own(guest)

    world.release("13.0")
    _layer(guest, f"rebase {REMOTE}:{branch('basalt')}")
    _reboot(guest, "Basalt 13.0")
    assert booted(guest)["version"] == "13.0"
    assert "ID=basalt" in guest.check("cat /etc/os-release")
    assert guest.check("uname -r") != granite_kernel
    assert "usage: powerline" in guest.check("powerline --help")
    assert booted(guest)["packages"] == ["powerline"]
    _check_own(guest)

    _layer(guest, "rollback")
    _reboot(guest, "Granite 12.1 again")
    assert "ID=granite" in guest.check("cat /etc/os-release")
    assert guest.check("uname -r") == granite_kernel
    assert "usage: powerline" in guest.check("powerline --help")
    _check_own(guest)


def test_what_is_staged(world: World, guest: Machine) -> None:
    """Shutdown finishes it, unless it was dropped before."""
    before = booted(guest)["checksum"]
    _layer(guest, "install tree")
    staged, running = deployments(guest)
    assert (staged["staged"], running["booted"]) == (True, True)
    _layer(guest, "cleanup -p")
    assert [one["checksum"] for one in deployments(guest)] == [before]
    _layer(guest, "install tree")
    _reboot(guest, "Granite 12.0 and tree")
    there = booted(guest)
    assert (there["staged"], there["packages"]) == (False, ["tree"])
    assert guest.check("tree --version").startswith("tree ")

    _layer(guest, "install htop")
    assert deployments(guest)[0]["staged"] is True
    _layer(guest, "cleanup -p")
    _reboot(guest, "what ran before")
    assert booted(guest)["checksum"] == there["checksum"]
    assert guest.run("htop --version").status == 127
