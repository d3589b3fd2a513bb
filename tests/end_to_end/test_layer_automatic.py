# SPDX-License-Identifier: GPL-2.0-or-later
"""What a system does by itself: each policy on a machine that runs, with a branch that has moved on.

Machines are those of `tests.end_to_end.test_layer_running`; what the timer starts is run by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from tests.end_to_end.running import Machine
from tests.end_to_end.shale import REF
from tests.faults.machine import Site, tools
from tests.support.layer import layer
from tests.support.oracle import check_left_nothing
from tests.support.rpms import Advisory, rpm
from tests.support.schema import SCHEMA, faults
from tests.support.webserver import serve

pytestmark = pytest.mark.needs("mkfs.ext4", "seccomp:", "unshare", "pivot_root")

_PROGRAM = """
from datetime import datetime

def policy(word, *more):
    Path("/etc/rpm-ostreed.conf").write_text("\\n".join(["[Daemon]", f"AutomaticUpdatePolicy={word}", *more, ""]))

def trigger(*words):
    return layer("upgrade", "--trigger-automatic-update-policy", *words)

def text():
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        invoke("layer", build_parser, ["status"], {})
    return out.getvalue()

def note():
    path = Path("/var/cache/strata/cached-update.json")
    return json.loads(path.read_text()) if path.exists() else None
"""
_REBOOT = ["reboot", "--check-inhibitors=yes"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A branch whose newest commit has a security advisory."""
    top = tmp_path_factory.mktemp("site")
    with serve(top) as served:
        made = Site.make(top, tools(2), served.url)
        text = f"[tools]\nname=Tools\nbaseurl={made.url}tools\nenabled=1\ngpgcheck=0\nmetadata_expire=0\n"
        repos = rpm("shale-repos", files={"/etc/yum.repos.d/tools.repo": text})
        stone = rpm("libstone", version="3.3", requires=["shell"], files={"/usr/lib/libstone.so.3.3": "newest\n"})
        advisory = Advisory("SHALE-1", ("libstone",), cves=("CVE-1",))
        made.bench.add_repo("newest", [stone, repos], advisories=[advisory])
        made.bench.treefile |= {"ref": REF, "packages": ["greeter", "kernel", "shale-repos"]}
        made.bench.compose("--add-metadata-string=version=3.3")
        yield made


def test_none(machine: Machine) -> None:
    before = machine.state
    seen = machine.run(
        f"""{_PROGRAM}
seen["unset"] = trigger()
policy("off")
seen["off"] = trigger("--quiet")
seen["note"], seen["text"], seen["called"] = note(), text(), called()
"""
    )
    answer = {"policy": "none", "message": None, "outcome": None, "reboot": None}
    assert seen["unset"] == seen["off"] == [0, answer]
    assert (seen["note"], seen["called"]) == (None, [])
    assert "AutomaticUpdates" not in seen["text"]
    assert machine.state == before


def test_check(machine: Machine) -> None:
    before = machine.state
    seen = machine.run(
        f"""{_PROGRAM}
policy("check")
seen["never"] = text()
seen["done"] = trigger()
seen["flags"], seen["called"] = flags(), called()
seen["status"], seen["text"] = layer("status")[1], text()
seen["anyone"] = nobody("status")[1]["cached-update"] == seen["status"]["cached-update"]
seen["whole"] = list(Path("/ostree/repo/state").glob("*.commitpartial")) != []
layer("install", "tool-1")
seen["outdated"] = layer("status")[1]["cached-update"]
seen["again"] = trigger()[0], layer("status")[1]["cached-update"]["rpm-diff"]["upgraded"]
"""
    )
    assert "AutomaticUpdates: check, never looked" in seen["never"]
    assert (seen["done"][0], seen["flags"], seen["called"]) == (0, [["booted"]], [])
    assert list(faults(seen["status"], SCHEMA)) == []
    update = seen["status"]["cached-update"]
    assert (update["checksum"], update["version"], update["origin"]) == (machine.site.newest, "3.3", f"site:{REF}")
    assert update["ref-has-new-commit"]
    assert update["strata"] == {"from-checksum": machine.site.first}
    assert [row[:2] for row in update["rpm-diff"]["upgraded"]] == [[0, "libstone"]]
    assert [row[:3] for row in update["advisories"]] == [["SHALE-1", 1, 3]]
    assert "AutomaticUpdates: check, last looked 20" in seen["text"]
    assert "SecAdvisories: 1 important\n" in seen["text"]
    assert "Diff: 1 upgraded\n" in seen["text"]
    assert (seen["anyone"], seen["whole"]) == (True, True), "no more than the metadata was fetched"
    assert seen["outdated"] is None, "it was another deployment's"
    assert seen["again"][0] == 0
    assert [row[:2] for row in seen["again"][1]] == [[0, "libstone"]]
    assert machine.state.entries == before.entries


def test_a_look_by_hand_is_noted_too(machine: Machine) -> None:
    seen = machine.run(
        f"""{_PROGRAM}
seen["check"] = layer("upgrade", "--check")[0]
seen["found"] = layer("status")[1]["cached-update"]["version"]
seen["other"] = layer("upgrade", "--preview", "--install=tool-1")[0]
seen["still"] = note()["update"]["rpm-diff"]["added"]
layer("upgrade")
seen["nothing"] = layer("upgrade", "--check")[0]
seen["after"] = note()["update"], layer("status")[1]["cached-update"]
"""
    )
    assert (seen["check"], seen["found"], seen["other"], seen["still"]) == (0, "3.3", 0, [])
    assert (seen["nothing"], seen["after"]) == (77, [None, None])


def test_stage(machine: Machine) -> None:
    seen = machine.run(
        f"""{_PROGRAM}
policy("ex-stage")
seen["done"] = trigger()
seen["flags"], seen["called"], seen["update"] = flags(), called(), layer("status")[1]["cached-update"]
seen["again"] = trigger()
finalize()
"""
    )
    assert (seen["done"][0], seen["done"][1]["outcome"]["staged"], seen["done"][1]["reboot"]) == (0, True, None)
    assert (seen["flags"], seen["called"], seen["update"]) == ([["staged"], ["booted"]], [], None)
    assert (seen["again"][0], seen["again"][1]["outcome"]["changed"]) == (0, False)
    assert machine.state.entries[0].checksum == machine.site.newest
    assert (machine.deployed / "usr/lib/libstone.so.3.3").exists()
    check_left_nothing(machine.sysroot)


def test_apply(machine: Machine) -> None:
    seen = machine.run(
        f"""{_PROGRAM}
policy("apply")
Path("/tmp/inhibited").write_text("Operation inhibited by backup.\\n")
seen["inhibited"] = trigger()
seen["flags"] = flags()
Path("/tmp/inhibited").unlink()
Path("/tmp/called").unlink()
seen["again"] = trigger()
seen["called"] = called()
layer("install", "tool-1")
seen["own"] = trigger(), len(called())
layer("cleanup", "-p")
trigger()
Path("/tmp/called").unlink()
subprocess.run(["ostree", "config", "set", 'remote "site".url', "http://127.0.0.1:9/none"], check=True)
seen["no-network"] = trigger()[0], called()
"""
    )
    assert (seen["inhibited"][0], seen["inhibited"][1]["reboot"]) == (0, "refused")
    assert seen["flags"] == [["staged"], ["booted"]]
    assert seen["again"][0] == 0
    assert (seen["again"][1]["outcome"]["changed"], seen["again"][1]["reboot"]) == (False, "now"), "it still waits"
    assert seen["called"] == _REBOOT
    (status, answer), calls = seen["own"]
    assert (status, answer["reboot"], calls) == (0, None, len(_REBOOT)), "what an admin has staged is the admin's"
    assert seen["no-network"] == [5, _REBOOT], "what waits needs no network"


def test_apply_in_a_window(machine: Machine) -> None:
    when = datetime.now() + timedelta(days=2)
    seen = machine.run(
        f"""{_PROGRAM}
policy("apply", "[Strata]", "MaintenanceWindow={when:%a} 02:00-04:00")
seen["outside"] = trigger()
seen["flags"], seen["called"], seen["ran"] = flags(), called(), ran()
policy("apply", "[Strata]", "MaintenanceWindow=00:00-24:00")
Path("/tmp/called").unlink()
seen["inside"] = trigger()
seen["end"] = called(), len(ran())
"""
    )
    assert (seen["outside"][0], seen["flags"]) == (0, [["staged"], ["booted"]])
    assert seen["outside"][1]["reboot"] == f"{when:%Y-%m-%d} 02:00:00"
    assert seen["called"] == ["stop", "rpm-ostreed-automatic-window.timer"]
    (wake,) = seen["ran"]
    assert f"--on-calendar={when:%Y-%m-%d} 02:00:00" in wake
    assert wake.endswith(" systemctl start --no-block rpm-ostreed-automatic.service")
    assert (seen["inside"][1]["reboot"], seen["end"]) == ("now", [_REBOOT, 1])


def test_what_did_not_boot_is_passed_over(machine: Machine) -> None:
    seen = machine.run(
        f"""{_PROGRAM}
from layering.state import identity
from layering.boot_memory import write
from layering.trial import Memory, Trial
from rpmtree.ostree.sysroot import Sysroot

newest = "{machine.site.newest}"
write(Path("/var"), Memory(refused=(Trial(newest, newest),)))
policy("stage")
seen["base"], seen["flags"], seen["said"] = trigger(), flags(), text()
seen["by-hand"] = layer("upgrade", "--dry-run")[0]
layer("install", "tool-1")
seen["layered"] = trigger()[1]["outcome"]["base"]
tried = status()[0]["checksum"]
commit = Sysroot.open().repository.commit(bytes.fromhex(tried))
write(Path("/var"), Memory(refused=(Trial(tried, identity(tried, commit)),)))
layer("cleanup", "-p")
layer("install", "tool-1")
before = status()[0]["checksum"]
seen["again"], seen["same"] = trigger(), status()[0]["checksum"] == before
write(Path("/var"), Memory())
seen["free"] = trigger()[1]["outcome"]["changed"]
"""
    )
    status, answer = seen["base"]
    assert (status, answer["outcome"], seen["flags"]) == (0, None, [["booted"]])
    assert machine.site.newest in answer["message"]
    assert answer["message"] in seen["said"]
    assert seen["by-hand"] == 0, "an admin may have it all the same"
    assert seen["layered"] == machine.site.newest, "with something layered it is another system"
    assert (seen["again"][0], seen["again"][1]["outcome"], seen["same"]) == (0, None, True)
    assert seen["free"]


def test_a_run_that_fails_changes_nothing(machine: Machine) -> None:
    before = machine.state
    seen = machine.run(
        f"""{_PROGRAM}
policy("check")
trigger()
policy("apply")

subprocess.run(["ostree", "config", "set", 'remote "site".url', "http://127.0.0.1:9/none"], check=True)
seen["failed"] = trigger("--quiet")
seen["flags"], seen["called"], seen["text"] = flags(), called(), text()
seen["found"] = layer("status")[1]["cached-update"]["version"]
subprocess.run(["ostree", "config", "set", 'remote "site".url', "{machine.site.url}bench/repo"], check=True)
seen["mended"] = trigger()[0], "failed" in text()
layer("cleanup", "-p")
policy("sometimes")
seen["wrong"], seen["shown"] = trigger(), text()
"""
    )
    status, answer = seen["failed"]
    assert (status, answer["error"]["class"]) == (5, "FetchError")
    assert (seen["flags"], seen["called"]) == ([["booted"]], [])
    assert f"failed: {answer['error']['message']}" in seen["text"]
    assert seen["found"] == "3.3", "what was known is known still"
    assert seen["mended"] == [0, False]
    status, answer = seen["wrong"]
    assert (status, answer["error"]["place"]["line"]) == (3, 2)
    assert "AutomaticUpdates: unknown" in seen["shown"]
    assert machine.state.entries == before.entries


def test_what_is_held_back_stays_so(machine: Machine) -> None:
    seen = machine.run(
        f"""{_PROGRAM}
policy("apply")
layer("install", "--lock-finalization", "tool-1")
seen["done"], seen["flags"], seen["called"] = trigger(), flags(), called()
"""
    )
    assert (seen["done"][0], seen["done"][1]["outcome"]) == (0, None)
    assert (seen["flags"], seen["called"]) == ([["staged", "finalization-locked"], ["booted"]], [])


@pytest.mark.parametrize("option", ["--check", "--install=tool-1", "--cache-only", "--reboot", "--best-base"])
def test_the_policy_alone_says_what_is_done(machine: Machine, option: str) -> None:
    seen = machine.run(f'{_PROGRAM}policy("stage")\nseen["done"] = trigger("{option}")[0], flags()')
    assert seen["done"] == [2, [["booted"]]]


def test_a_system_that_does_not_run(machine: Machine) -> None:
    assert layer(machine.sysroot, "upgrade", "--trigger-automatic-update-policy").status == 2
