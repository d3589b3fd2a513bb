# SPDX-License-Identifier: GPL-2.0-or-later
"""`layer` on the system that runs: what it makes waits for the next boot, and what runs stays as it is.

Machines are copies of one, booted as `tests.support.booted` does it; commits and packages come over HTTP. A shutdown
is `ostree admin finalize-staged`, as systemd's unit runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.end_to_end.running import Machine
from tests.faults.machine import Site, tools
from tests.support.oracle import check_bootable, check_left_nothing
from tests.support.rpms import rpm
from tests.support.webserver import serve

pytestmark = pytest.mark.needs("mkfs.ext4", "seccomp:", "unshare", "pivot_root")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    top = tmp_path_factory.mktemp("site")
    sleeper = rpm("sleeper", version="1", requires=["shell"], post="sleep 60.5", files={"/usr/share/sleeper": "z"})
    with serve(top) as served:
        yield Site.make(top, [*tools(3), sleeper], served.url)


def test_what_is_installed_waits_for_the_next_boot(machine: Machine) -> None:
    seen = machine.run(
        """
before = tree()
seen["made"] = layer("install", "tool-1")
seen["same"] = tree() == before
seen["pending"] = layer("status", "--pending-exit-77")[0]
seen["flags"] = flags()
Path("/etc/greeter.conf").write_text("polite = no\\n")
Path("/etc/local").write_text("after staging\\n")
Path("/etc/stone.cache").unlink()
before = tree()
finalize()
seen["still"] = tree() == before
"""
    )
    status, answer = seen["made"]
    assert (status, answer["changed"], answer["staged"]) == (0, True, True)
    assert [row[:2] for row in answer["packages"]] == [["tool-1", 0]]
    assert seen["flags"] == [["staged"], ["booted"]]
    assert (seen["same"], seen["still"], seen["pending"]) == (True, True, 77)
    etc = machine.deployed / "etc"
    assert (etc / "greeter.conf").read_text() == "polite = no\n"
    assert (etc / "local").read_text() == "after staging\n"
    assert not (etc / "stone.cache").exists()
    assert (machine.deployed / "usr/share/tool-1.made").read_text() == "1\n"
    seen = machine.run(
        """
seen["flags"] = flags()
seen["requested"] = requested()
seen["rollback"] = layer("rollback")[0]
seen["rolled"] = flags()
seen["undone"] = layer("rollback", "-r")[0]
seen["pending"] = layer("status", "--pending-exit-77")[0]
seen["called"] = called()
"""
    )
    assert seen["flags"] == [["booted"], []]
    assert seen["requested"] == [["tool-1"], []]
    assert (seen["rollback"], seen["rolled"], seen["undone"], seen["pending"]) == (0, [[], ["booted"]], 0, 0)
    assert seen["called"] == ["reboot"]
    check_left_nothing(machine.sysroot)


def test_what_is_staged_is_gone_with_the_power(machine: Machine) -> None:
    before = machine.state
    seen = machine.run('seen["made"] = layer("install", "tool-1")[0]')  # and no shutdown
    assert seen == {"made": 0}
    check_bootable(machine.sysroot)
    assert machine.state.entries == before.entries
    seen = machine.run('seen["flags"], seen["cleanup"] = flags(), layer("cleanup", "-b")[0]')
    assert seen == {"flags": [["booted"]], "cleanup": 0}
    check_left_nothing(machine.sysroot)
    assert machine.state == before


def test_in_a_mount_namespace_of_its_own(machine: Machine) -> None:
    """As a unit of systemd with PrivateTmp= has it; no other process keeps that namespace alive."""
    seen = machine.run(
        """
seen["status"] = subprocess.run(["unshare", "--mount", *argv_of(["install", "tool-1"])], stdout=2).returncode
seen["flags"] = flags()
"""
    )
    assert seen == {"status": 0, "flags": [["staged"], ["booted"]]}


def test_held_back_until_it_is_let_go(machine: Machine) -> None:
    seen = machine.run(
        """
seen["made"] = layer("install", "--lock-finalization", "tool-1")[0]
seen["flags"] = flags()
finalize()
seen["held"] = flags()
base = status()[0]["base-checksum"]
seen["wrong"] = layer("finalize-deployment", base[::-1])
seen["none"] = layer("finalize-deployment")[0]
seen["before"] = called()
seen["right"] = layer("finalize-deployment", base)[0]
seen["after"] = called()
seen["free"] = flags()
finalize()
"""
    )
    assert (seen["made"], seen["flags"]) == (0, [["staged", "finalization-locked"], ["booted"]])
    assert seen["held"] == seen["flags"]
    assert (seen["wrong"][0], seen["none"], seen["before"]) == (8, 2, [])
    assert "Expected staged base checksum" in seen["wrong"][1]["error"]["message"]
    assert (seen["right"], seen["after"], seen["free"]) == (0, ["reboot"], [["staged"], ["booted"]])
    assert (machine.deployed / "usr/bin/tool-1").exists()


def test_what_is_staged_is_dropped(machine: Machine) -> None:
    before = machine.state
    seen = machine.run(
        """
layer("install", "tool-1")
seen["kept"] = packages_kept()
seen["refused"] = layer("rollback")
seen["cleanup"] = layer("cleanup", "-p")
seen["left"] = flags(), packages_kept()
seen["nothing"] = layer("rollback")[1]["error"]["message"]
"""
    )
    assert seen["kept"] == ["tool-1"]
    assert seen["refused"][0] == 8
    assert "cleanup --pending" in seen["refused"][1]["error"]["hint"]
    status, answer = seen["cleanup"]
    assert (status, len(answer["removed"])) == (0, 1)
    assert answer["freed"]["packages"] == ["rpmostree/pkg/tool-1/1-1.noarch"]
    assert answer["freed"]["bytes"] > 0
    assert seen["left"] == [[["booted"]], []]
    assert "staged" not in seen["nothing"].lower()
    check_left_nothing(machine.sysroot)
    assert machine.state == before


def test_changes_on_top_of_what_is_staged(machine: Machine) -> None:
    seen = machine.run(
        """
def reboots(*words):
    before = len(called())
    return layer(*words)[0], len(called()) - before

seen["first"] = reboots("install", "-r", "tool-1")
seen["again"] = reboots("install", "-r", "--idempotent", "tool-1")
seen["second"] = reboots("install", "tool-2")
seen["both"] = requested()
seen["upgrade"] = reboots("upgrade", "--reboot")
seen["bases"] = [found.get("base-checksum", found["checksum"]) for found in status()]
seen["none"] = reboots("upgrade", "-r", "--unchanged-exit-77")
seen["uninstall"] = reboots("uninstall", "tool-1")
seen["left"], seen["kept"] = requested(), packages_kept()
seen["reset"] = reboots("reset")
seen["end"], seen["dropped"] = requested(), packages_kept()
seen["plain"] = status()[0]["checksum"]
"""
    )
    assert [seen[name] for name in ("first", "again", "second")] == [[0, 1], [0, 0], [0, 0]]
    assert seen["both"] == [["tool-1", "tool-2"], []]
    assert (seen["upgrade"], seen["none"], seen["uninstall"], seen["reset"]) == ([0, 1], [77, 0], [0, 0], [0, 0])
    assert seen["bases"] == [machine.site.newest, machine.site.first]
    assert (seen["left"], seen["kept"]) == ([["tool-2"], []], ["tool-2"])
    assert (seen["end"], seen["dropped"]) == ([[], []], [])
    assert seen["plain"] == machine.site.newest


def test_one_at_a_time(machine: Machine) -> None:
    before = machine.state
    seen = machine.run(
        """
slow = start("install", "sleeper")
wait_for(in_script)
seen["busy"] = layer("install", "tool-1")
began = time.monotonic()
seen["waited"] = layer("install", "--wait=1", "tool-1")[0], time.monotonic() - began
seen["status"] = layer("status")[1]["transaction"]
seen["pid"] = slow.pid
patient = start("cleanup", "-b", "--wait")
time.sleep(0.5)
seen["waits"] = patient.poll() is None
began = time.monotonic()
seen["cancel"] = layer("cancel")
seen["took"] = time.monotonic() - began
seen["slow"] = slow.wait()
seen["patient"] = patient.wait()
seen["script"] = in_script()
seen["flags"] = flags()
seen["idle"] = layer("cancel")[1], layer("status")[1]["transaction"]
"""
    )
    status, answer = seen["busy"]
    assert status == 75
    said = re.fullmatch(r"busy: pid (\d+), `layer install`, since \d\d:\d\d", answer["error"]["message"])
    assert said is not None
    assert int(said[1]) == seen["pid"]
    assert seen["waited"][0] == 75
    assert seen["waited"][1] >= 1
    assert seen["status"]
    assert seen["waits"]
    assert seen["cancel"][1]["cancelled"]["pid"] == seen["pid"]
    assert (seen["slow"], seen["patient"], seen["script"]) == (130, 0, False)
    assert seen["took"] < 2  # as long as Ctrl-C may take
    assert (seen["flags"], seen["idle"]) == ([["booted"]], [{"cancelled": None}, None])
    check_left_nothing(machine.sysroot)
    assert machine.state == before


#: Verbs that change something, or ask what only root may.
_REFUSED = ("install tool-1", "uninstall tool-1", "upgrade", "rebase site:x", "deploy 1", "rollback", "cleanup -b",
            "override remove manual", "reset", "kargs --append=a", "refresh-md", "pin 0",
            "finalize-deployment --allow-missing-checksum", "remote add x http://x", "remote delete site",
            "repair")  # fmt: skip


def test_what_anyone_may_do(machine: Machine) -> None:
    seen = machine.run(
        """
layer("refresh-md")
seen["dry"] = nobody("install", "--dry-run", "tool-1")
seen["unprepared"] = flags()
slow = start("install", "tool-1", "sleeper")
wait_for(in_script)
seen["status"] = nobody("status") == layer("status"), nobody("status")[1]["transaction"]
seen["cancel"] = nobody("cancel")
seen["upgrade"] = nobody("upgrade", "--dry-run")
layer("cancel"), slow.wait()
layer("install", "tool-1")
seen["list"] = nobody("db", "list")[0]
seen["diff"] = nobody("db", "diff")
seen["search"] = nobody("search", "tool-*")
seen["remove"] = nobody("uninstall", "--dry-run", "tool-1")
seen["kept"] = requested()
"""
        f"""
seen["refused"] = [[text, *nobody(*text.split())] for text in {_REFUSED!r}]
seen["end"] = requested()
""",
    )
    assert seen["dry"][0] == 0, seen["dry"]
    assert [row[:2] for row in seen["dry"][1]["packages"]] == [["tool-1", 0]]
    assert seen["status"][0]
    assert seen["status"][1] is not None
    assert seen["cancel"][0] == 8
    assert seen["upgrade"][0] == 0
    assert seen["list"] == 0
    assert [row[:2] for row in seen["diff"][1]["pkgdiff"]] == [["tool-1", 0]]
    assert sorted(row["name"] for row in seen["search"][1]) == ["tool-0", "tool-1", "tool-2"]
    assert [row[:2] for row in seen["remove"][1]["packages"]] == [["tool-1", 1]]
    assert seen["end"] == seen["kept"] == [["tool-1"], []]
    for text, status, answer in seen["refused"]:
        assert status == 8, (text, answer)
        assert "\n" not in answer["error"]["message"]
        assert "root" in answer["error"]["message"], (text, answer)
        assert "sudo" in answer["error"]["hint"], (text, answer)


def test_what_was_done_is_remembered(machine: Machine) -> None:
    seen = machine.run(
        """
seen["none"] = layer("history")
layer("install", "tool-1")
layer("install", "tool-1", "--idempotent")
layer("upgrade")
layer("kargs", "--append=quiet")
seen["failed"] = layer("install", "no-such")[0]
ids = [found["id"] for found in status()]
boot = {"DEPLOYMENT_PATH": "/sysroot/ostree/deploy/shale/deploy/" + ids[0].partition("-")[2]}
Path("/tmp/journal").write_text("".join(
    json.dumps({**boot, "__REALTIME_TIMESTAMP": str(when * 1_000_000)}) + "\\n" for when in (1, 4_000_000_000)))
seen["ids"], seen["all"] = ids, layer("history", "--all")[1]
seen["last"], seen["anyone"] = layer("ex", "history", "-n", "1")[1], nobody("history", "--limit=1")[1]
out = io.StringIO()
with contextlib.redirect_stdout(out):
    invoke("layer", build_parser, ["history"], {})
seen["text"] = out.getvalue()
"""
    )
    assert seen["none"] == [0, []]
    assert [event["command"] for event in seen["all"]] == ["layer kargs", "layer upgrade", "layer install tool-1"]
    newest, upgraded, installed = seen["all"]
    assert (newest["id"], newest["boots"]) == (seen["ids"][0], [4_000_000_000]), "not one from before it was made"
    assert (upgraded["base"], upgraded["diff"], upgraded["boots"]) == (machine.site.newest, "1 upgraded", [])
    assert (installed["base"], installed["diff"], installed["requested"]) == (machine.site.first, "1 added", ["tool-1"])
    assert seen["last"] == seen["anyone"] == [newest]
    assert seen["failed"] == 4
    assert "layer install tool-1\n" in seen["text"]
    assert "Booted: 2096-10-02T07:06:40Z" in seen["text"]
