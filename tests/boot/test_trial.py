# SPDX-License-Identifier: GPL-2.0-or-later
"""Systems that do not boot: each kind of failure ends in the system before, is counted, and is refused in the end.

What is bad about a system is a package that is layered on it, as an admin would get it from a repository.
"""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from tests.boot.conftest import report
from tests.boot.machine import BOOT, GuestError, Machine
from tests.boot.status import booted, deployments
from tests.boot.world import World
from tests.support.rpms import file, make_repo, rpm, symlink
from tests.support.rpmvalues import Package

_LONG = 1800
_UNIT = """\
[Unit]
Description=What is bad about this system
DefaultDependencies=no
After=local-fs.target
Before=basic.target

[Service]
Type=oneshot
ExecStart={command}
TimeoutStartSec=infinity
"""
_UNITS = "/usr/lib/systemd/system"


def _bad(name: str, command: str) -> Package:
    """A package whose unit runs a command at each boot, before anybody can log in."""
    return rpm(name, files={
        f"{_UNITS}/{name}.service": file(_UNIT.format(command=command)),
        f"{_UNITS}/basic.target.requires/{name}.service": symlink(f"../{name}.service"),
    })  # fmt: skip


KINDS = {
    # A kernel that panics: sysrq does what a fault in a driver would.
    "panic": _bad("panic", "/bin/sh -c 'echo c >/proc/sysrq-trigger'"),
    # No init: the initramfs finds the root, and nothing in it to start.
    "initless": rpm("initless", files={}, post="rm /usr/lib/systemd/systemd"),
    "unwell": rpm("unwell", files={"/usr/lib/strata/health.d/50-no": file("#!/bin/sh\nexit 1\n", mode=0o755)}),
    "hanging": rpm("hanging", files={
        **_bad("hanging", "/bin/sleep infinity").files,
        f"{_UNITS}/strata-boot-overdue.timer.d/soon.conf": file("[Timer]\nOnBootSec=\nOnBootSec=90\n"),
    }),
    "rebooting": _bad("rebooting", "/usr/bin/systemctl reboot"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bad(world: World) -> str:
    """The address of a repository with systems that do not boot, one package each."""
    made = make_repo(world.top / "www" / "bad", [*KINDS.values(), rpm("fine", files={"/usr/share/fine": "fine"})])
    assert made.is_dir()
    return f"{world.url}/bad"


@pytest.fixture
def tried(guest: Machine, bad: str) -> Machine:
    """A machine that is proven, and knows the repository."""
    guest.check(f"printf '[bad]\\nname=bad\\nbaseurl={bad}\\ngpgcheck=0\\n' >/etc/yum.repos.d/bad.repo")
    assert json.loads(guest.check("cat /var/lib/strata/boots.json"))["proven"] == [booted(guest)["checksum"]]
    return guest


def _settle(guest: Machine) -> None:
    guest.run("systemctl is-system-running --wait", BOOT)


def _try(guest: Machine, what: str) -> None:
    """Reboot; the machine comes back by itself, however often it boots meanwhile."""
    report(f"reboot, a try of {what}, and back", guest.reboot(_LONG))
    _settle(guest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_system_that_does_not_boot_gives_way(kind: str, tried: Machine) -> None:
    before = booted(tried)["checksum"]
    tried.check(f"layer install {kind}", _LONG)
    for count in (1, 2, 3):
        if kind == "unwell":
            _try_unwell(tried, kind)
        else:
            _try(tried, kind)
        first, second = deployments(tried)
        assert (first["booted"], first["checksum"], second["packages"]) == (True, before, [kind])
        expected = f"failed {count} of 3" if count < 3 else "refused: did not boot in 3 tries"
        assert second["strata"]["boot-trial"] == expected
        assert expected in tried.check("layer status")
    said = len(tried.said)
    report("reboot after all tries", tried.reboot())
    assert booted(tried)["checksum"] == before
    assert tried.said.count("login: ", said) <= 2


def _try_unwell(guest: Machine, kind: str) -> None:
    """It reaches its login prompt before the check says that it is not well."""
    guest.text = ""
    guest.send("systemctl reboot\n")
    for _ in range(2):
        guest.expect(r"login: ", timeout=_LONG)
    guest.login()
    _settle(guest)


def test_a_system_that_boots_becomes_the_default(tried: Machine) -> None:
    tried.check("layer install fine", _LONG)
    report("reboot into what is fine", tried.reboot())
    assert "strata.trial=1" in tried.check("cat /proc/cmdline")
    _settle(tried)
    first, second = deployments(tried)
    assert (first["booted"], first["packages"]) == (True, ["fine"])
    assert "boot-trial" not in first["strata"]
    known = json.loads(tried.check("cat /var/lib/strata/boots.json"))
    assert sorted(known["proven"]) == sorted([first["checksum"], second["checksum"]])
    report("reboot, no try any more", tried.reboot())
    assert "strata.trial" not in tried.check("cat /proc/cmdline")
    assert booted(tried)["packages"] == ["fine"]
    assert tried.run("grep strata-trial /boot/loader/syslinux.cfg").status == 1


def test_where_both_are_bad_it_stays_up(tried: Machine) -> None:
    tried.check("mkdir -p /etc/strata/health.d; printf '#!/bin/sh\\nexit 1\\n' >/etc/strata/health.d/no")
    tried.check("chmod 755 /etc/strata/health.d/no; layer install panic", _LONG)
    before = booted(tried)["checksum"]
    _try(tried, "panic, from a system that is not well")
    assert booted(tried)["checksum"] == before
    said = len(tried.said)
    report("reboot of a system that is not well", tried.reboot())
    assert "Kernel panic" not in tried.said[said:]
    assert booted(tried)["checksum"] == before
    assert deployments(tried)[1]["strata"]["boot-trial"] == "failed 1 of 3"


def test_an_admin_gives_it_new_tries(tried: Machine) -> None:
    tried.check("printf '[Strata]\\nBootTries=1\\n' >/etc/rpm-ostreed.conf; layer install panic", _LONG)
    _try(tried, "panic")
    assert deployments(tried)[1]["strata"]["boot-trial"] == "refused: did not boot"
    tried.check("layer rollback")
    assert "boot-trial" not in deployments(tried)[0]["strata"]
    _try(tried, "panic, asked for")
    assert deployments(tried)[1]["strata"]["boot-trial"] == "refused: did not boot"
    with suppress(GuestError):
        tried.power_off()
