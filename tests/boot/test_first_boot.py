# SPDX-License-Identifier: GPL-2.0-or-later
"""Granite 12.0 as `compose disk` leaves it, booted for the first time."""

from __future__ import annotations

import json

from tests.boot.machine import Machine
from tests.boot.world import REMOTE, World, branch


def test_it_boots_whole(guest: Machine) -> None:
    assert guest.check("systemctl list-units --failed --plain --no-legend") == ""
    assert guest.run("systemctl is-system-running").output == "running"
    assert "ID=granite" in guest.check("cat /etc/os-release")


def test_layer_knows_what_runs(world: World, guest: Machine) -> None:
    said = json.loads(guest.check("layer status --json"))
    (deployment,) = said["deployments"]
    assert deployment["booted"] is True
    assert deployment["checksum"] == world.commits["12.0"]
    assert deployment["version"] == "12.0"
    assert deployment["origin"] == f"{REMOTE}:{branch('granite')}"


def test_usr_is_read_only(guest: Machine) -> None:
    assert guest.run("touch /usr/bin/new").status != 0
    assert "ro" in guest.check("findmnt -n -o OPTIONS /usr").split(",")
    guest.check("touch /etc/new /var/new")  # the controls


def test_the_rpm_database_can_be_asked(guest: Machine) -> None:
    names = guest.check("rpm -qa --qf '%{NAME}\\n'").splitlines()
    assert {"bash", "kernel", "systemd", "strata-layer"} <= set(names)
    assert guest.check("rpm -qf /usr/bin/bash").startswith("bash-")


def test_names_are_found(guest: Machine) -> None:
    assert guest.check("id -u sshd; id -u nobody; getent passwd root | cut -d: -f7").split() == [
        "74",
        "65534",
        "/bin/bash",
    ]
    assert guest.run("id -u nobody-here").status != 0
