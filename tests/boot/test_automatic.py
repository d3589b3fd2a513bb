# SPDX-License-Identifier: GPL-2.0-or-later
"""Automatic updates on a machine that boots: its own timer and service, each policy, and a window for the reboot."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.boot.conftest import report
from tests.boot.machine import BOOT, Machine
from tests.boot.status import booted, deployments, status
from tests.boot.world import World

_LONG = 1800
_UNIT = "rpm-ostreed-automatic"


@pytest.fixture
def newer(world: World) -> Iterator[str]:
    """The branch has moved on to 12.1; gives that commit."""
    yield world.release("12.1")
    world.release("12.0")


def _policy(guest: Machine, policy: str, window: str = "") -> None:
    said = f"\\n[Strata]\\nMaintenanceWindow={window}" if window else ""
    guest.check(f"printf '[Daemon]\\nAutomaticUpdatePolicy={policy}{said}\\n' >/etc/rpm-ostreed.conf")


def _run(guest: Machine) -> None:
    """What the timer does."""
    guest.check(f"systemctl start {_UNIT}.service", _LONG)


def _today(guest: Machine) -> datetime:
    return datetime.fromisoformat(guest.check("date +%Y-%m-%dT%H:%M:%S"))


def test_each_policy(guest: Machine, newer: str) -> None:
    before = booted(guest)["checksum"]
    assert guest.check(f"systemctl show -P UnitFileState {_UNIT}.timer") == "disabled"
    _run(guest)  # nobody has asked for anything
    assert status(guest)["cached-update"] is None

    _policy(guest, "check")
    _run(guest)
    found = status(guest)
    assert [one["checksum"] for one in found["deployments"]] == [before]
    assert (found["cached-update"]["checksum"], found["cached-update"]["version"]) == (newer, "12.1")
    assert "AutomaticUpdates: check, last looked" in guest.check("layer status")

    _policy(guest, "stage")
    _run(guest)
    staged, running = deployments(guest)
    assert (staged["staged"], staged["checksum"], running["booted"]) == (True, newer, True)
    guest.check("layer cleanup -p")

    # A window that opens in two days: staged, and not booted; then one that is open.
    when = _today(guest) + timedelta(days=2)
    _policy(guest, "apply", f"{when:%a} 02:00-04:00")
    _run(guest)
    assert deployments(guest)[0]["staged"] is True
    assert f"{when:%Y-%m-%d} 02:" in guest.check(f"systemctl list-timers --all {_UNIT}-window.timer")
    assert guest.check("systemctl is-system-running") == "running"
    _policy(guest, "apply", "00:00-24:00")
    report("reboot by an automatic update", guest.reboot(_LONG, f"systemctl start --no-block {_UNIT}.service"))
    guest.run("systemctl is-system-running --wait", BOOT)
    assert (booted(guest)["checksum"], booted(guest)["version"]) == (newer, "12.1")
    assert guest.check("systemctl list-units --failed --plain --no-legend") == ""


def test_the_timer_starts_it(guest: Machine, newer: str) -> None:
    _policy(guest, "stage")
    drop_in = f"/etc/systemd/system/{_UNIT}.timer.d"
    text = "[Timer]\\nOnBootSec=\\nOnActiveSec=3\\nRandomizedDelaySec=0\\n"
    guest.check(f"mkdir -p {drop_in}; printf '{text}' >{drop_in}/soon.conf; systemctl daemon-reload")
    guest.check(f"systemctl enable --now {_UNIT}.timer")
    deadline = time.monotonic() + _LONG
    while not deployments(guest)[0]["staged"]:
        assert time.monotonic() < deadline, guest.run(f"systemctl status {_UNIT}.service").output
        time.sleep(5)
    assert deployments(guest)[0]["checksum"] == newer
    guest.check(f"systemctl is-active {_UNIT}.timer")
