# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts of layered packages on a client: what they see, what they can't harm, accounts, owners, modules."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.client import Lab, Machine, machine_of, open_lab, tool
from tests.end_to_end.shale import COMPOSE, Shale, programs
from tests.support.oracle import State, check_bootable
from tests.support.processes import command_lines
from tests.support.rpms import Package, directory, file, lua, rpm, script, trigger

pytestmark = pytest.mark.needs("getent", "useradd", "groupadd", "depmod", "rpm", "getcap")
#: Bases that find accounts by records, and in /etc alone.
USERDB, NONE = "shale/userdb", "shale/none"
LAYER = COMPOSE.with_name("layer")
_RPM = ("rpmrc", "macros")
#: Seconds that nobody else sleeps.
_LONG = f"77.{os.getpid()}"
_MODULES = "/usr/lib/modules/6.0"


def _account(name: str, version: str = "1", **said: Any) -> Package:
    """A package with an account whose ids nobody chose."""
    made: dict[str, Any] = {
        "version": version, "requires_pre": ["shell", "tools"],
        "pre": f"getent group {name} || groupadd -r {name}\n"
        f"getent passwd {name} || useradd -r -g {name} -d / -s /usr/sbin/nologin {name}",
        "files": {f"/usr/share/{name}": directory(mode=0o750, user=name, group=name),
                  f"/usr/share/{name}/data": file(f"{version}\n", mode=0o640, user="root", group=name)}, **said,
    }  # fmt: skip
    return rpm(name, **made)


PACKAGES = [
    tool("hammer"),
    tool("fails", post="echo on the one hand; echo on the other >&2; exit 3"),
    tool("fails-in-lua", post=lua("error('no moon')")),
    tool("speaks", post="echo to one; echo to two >&2"),
    rpm("moon", files={"/usr/share/moon": "moon\n"},
        post=lua("local f = io.open('/usr/share/moon.lua', 'w'); f:write('lua ' .. arg[2]); f:close()")),
    tool("options", post=script("x=1 && echo $- >/usr/share/options", "/bin/sh", "-eu"),
         posttrans=script("", "/usr/bin/true")),
    rpm("plugin", files={"/usr/lib/libstone-plugin.so": "plugin\n"}, requires=["libstone"]),
    tool("watcher", triggers=[trigger("filetriggerin", "/usr/share/greeter", "cat >>/usr/share/watched"),
                              trigger("triggerin", "hammer", "echo hammer came >/usr/share/hammer.seen")]),
    tool("wrecker", post="rm -rf --no-preserve-root / ; exit 0"),
    tool("spoiler", post="echo spoiled >/usr/share/greeter/words; echo spoiled >/etc/greeter.conf"),
    tool("reader", post="cat /etc/secret >/usr/share/stolen 2>&1 || true; cat /etc/greeter.conf >/usr/share/seen"),
    tool("asks", requires_pre=["tools"], post="rpm -q greeter asks >/usr/share/answer"),
    tool("litters", post="mkdir -p /var/lib/litter && echo x >/var/lib/litter/x"),
    tool("sleeps", post=f"sleep {_LONG}"),
    _account("anna"),
    _account("bert"),
    rpm("joins", requires_pre=["shell", "tools"],
        pre="getent passwd joiner || useradd -r -G daemon -d / -s /usr/sbin/nologin joiner",
        files={"/usr/share/joins": "joins\n"}),
    rpm("powers", requires_pre=["anna"], files={
        "/usr/bin/powerful": file("powerful\n", mode=0o755, caps="cap_net_raw,cap_net_admin=ep"),
        "/usr/bin/setuid": file("setuid\n", mode=0o4755),
        "/usr/bin/setgid": file("setgid\n", mode=0o2750, group="anna"),
        "/usr/share/powers": directory(mode=0o1777)}),
    rpm("kmod-extra", requires=["kernel"], files={f"{_MODULES}/extra/extra.ko": "no module, but depmod takes it\n"}),
]  # fmt: skip


def _tools(lookup: str = "altfiles") -> Package:
    files = programs("getent", "useradd", "groupadd", "depmod", "rpm")
    files |= {f"/usr/lib/rpm/{name}": file(Path("/usr/lib/rpm", name).read_bytes()) for name in _RPM}
    # It is only looked whether it is there: accounts then go to /usr/lib.
    return rpm("tools", files={**files, f"/usr/lib64/libnss_{lookup}.so.2": f"{lookup}\n"}, requires=["shell"])


@pytest.fixture(scope="module")
def lab(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), shale) as made:
        made.release("1", [_tools()])
        made.release("userdb", [_tools("systemd")], ref=USERDB)
        made.release("none", [_tools("nothing")], ref=NONE)
        made.release("2", [_tools(), rpm("news", files={"/usr/share/news": "news\n"})])
        yield made


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    lab.publish("1")
    lab.stock(PACKAGES)
    with machine_of(lab, tmp_path / "sysroot") as made:
        yield made


class TestRunning:
    @pytest.mark.parametrize(("name", "said"), [("fails", "on the other"), ("fails-in-lua", "no moon")])
    def test_one_that_fails(self, machine: Machine, name: str, said: str) -> None:
        told = machine.refuse(6, "install", "hammer", name)
        assert f"%post of {name} " in told
        assert said in told
        machine.change("install", "hammer")  # the control

    def test_what_it_says_is_shown_to_who_wants_it(self, machine: Machine) -> None:
        told = machine.change("install", "speaks", "-v").stderr
        assert "speaks.post: to one" in told
        assert "speaks.post: to two" in told

    def test_lua(self, machine: Machine) -> None:
        machine.change("install", "moon")
        assert machine.read("/usr/share/moon.lua") == "lua 1"

    def test_interpreters(self, machine: Machine) -> None:
        machine.change("install", "options")
        assert {"e", "u"} <= set(machine.read("/usr/share/options").strip())

    def test_a_trigger_of_the_base_gets_the_new_files(self, machine: Machine) -> None:
        machine.change("install", "plugin")
        assert machine.read("/etc/stone.cache") == "/usr/lib/libstone-plugin.so\n"

    def test_a_layered_trigger_sees_the_base(self, machine: Machine) -> None:
        machine.change("install", "watcher")
        assert "/usr/share/greeter/words" in machine.read("/usr/share/watched").split()
        assert not (machine.tree / "usr/share/hammer.seen").exists()
        machine.change("install", "hammer")
        assert machine.read("/usr/share/hammer.seen") == "hammer came\n"

    def test_it_can_ask_rpm(self, machine: Machine) -> None:
        machine.change("install", "asks")
        assert machine.read("/usr/share/answer").split() == ["greeter-2.0~rc1-1.noarch", "asks-1-1.noarch"]


class TestEnding:
    """From outside, while a script runs: nothing was changed, nothing runs on, and the next command finds all well."""

    @pytest.fixture
    def running(self, machine: Machine) -> Iterator[subprocess.Popen[str]]:
        argv = [str(LAYER), "install", f"--sysroot={machine.path}", "hammer", "sleeps"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
            assert process.stderr is not None
            said = ""
            while "Running scripts" not in said:
                said += process.stderr.read(1)
            while not _sleepers():
                time.sleep(0.02)
            yield process
            process.kill()

    def _check(self, machine: Machine, before: State) -> None:
        assert _sleepers() == []
        assert machine.state.deployed == before.deployed
        check_bootable(machine.path)
        machine.change("install", "hammer")

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_by_a_signal(self, machine: Machine, running: subprocess.Popen[str], number: signal.Signals) -> None:
        before, started = machine.state, time.monotonic()
        running.send_signal(number)
        assert running.wait(10) == 128 + number
        assert time.monotonic() - started < 2
        self._check(machine, before)

    def test_by_cancel(self, machine: Machine, running: subprocess.Popen[str]) -> None:
        before = machine.state
        machine.layer("cancel")
        assert running.wait(10) == 128 + signal.SIGINT
        self._check(machine, before)


def _sleepers() -> list[str]:
    """Processes of the script that sleeps."""
    return [" ".join(words) for words in command_lines() if words[:2] == ["sleep", _LONG]]


class TestHarm:
    def test_everything_removed(self, machine: Machine, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        canary.write_text("alive\n")
        machine.refuse(6, "install", "wrecker")
        assert canary.read_text() == "alive\n"
        machine.layer("verify")

    def test_what_is_deployed_is_not_written_to(self, machine: Machine) -> None:
        old = machine.tree
        before = {path: (old / path).read_text() for path in ("usr/share/greeter/words", "etc/greeter.conf")}
        machine.change("install", "spoiler")
        assert {path: (old / path).read_text() for path in before} == before
        assert machine.read("/usr/share/greeter/words") == "spoiled\n"

    def test_etc_is_the_machines_own(self, machine: Machine) -> None:
        etc = machine.tree / "etc"
        (etc / "secret").write_text("key\n")
        (etc / "greeter.conf").write_text("polite = no\n")
        machine.change("install", "reader")
        assert "key" not in machine.read("/usr/share/stolen")
        assert machine.read("/usr/share/seen") == "polite = yes\n"  # the base's
        assert machine.read("/etc/greeter.conf") == "polite = no\n"
        machine.change("install", "spoiler")
        assert machine.read("/etc/greeter.conf") == "polite = no\n"
        assert machine.read("/usr/etc/greeter.conf") == "spoiled\n"
        assert machine.read("/etc/secret") == "key\n"

    def test_what_it_writes_to_var_is_named(self, machine: Machine) -> None:
        assert "/var/lib/litter" in machine.change("install", "litters").stderr
        assert not (machine.path / "ostree/deploy/shale/var/lib/litter").exists()


def ids(machine: Machine, name: str) -> tuple[str, str] | None:
    """Uid and gid of an account in /usr/lib/passwd."""
    for line in machine.read("/usr/lib/passwd").splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return fields[2], fields[3]
    return None


def groups(text: str) -> dict[str, str]:
    """Group → its line's id and members."""
    return {line.split(":")[0]: ":".join(line.split(":")[2:]) for line in text.splitlines()}


class TestAccounts:
    def test_they_come_and_go_with_the_package(self, machine: Machine) -> None:
        machine.change("install", "anna")
        found = ids(machine, "anna")
        assert found is not None
        assert "anna" in groups(machine.read("/usr/lib/group"))
        assert "anna" not in machine.read("/etc/passwd")
        data = machine.tree / "usr/share/anna/data"
        assert str(data.stat().st_gid) == found[1]
        assert str(data.parent.stat().st_uid) == found[0]
        assert stat.S_IMODE(data.stat().st_mode) == 0o640
        machine.change("uninstall", "anna", "--install", "hammer")
        assert ids(machine, "anna") is None
        assert "anna" not in groups(machine.read("/usr/lib/group"))

    def test_ids_stay(self, machine: Machine) -> None:
        machine.change("install", "anna")
        first = ids(machine, "anna")
        machine.change("install", "bert")
        assert ids(machine, "anna") == first
        assert ids(machine, "bert") not in (None, first)
        machine.lab.publish("2")
        machine.lab.stock([*PACKAGES, _account("anna", "2")])
        machine.change("upgrade")
        assert machine.has("anna-2", "bert-1", "news")
        assert ids(machine, "anna") == first
        assert str((machine.tree / "usr/share/anna/data").stat().st_gid) == (first or ("", ""))[1]

    def test_ids_of_the_machines_people_are_not_given_away(self, machine: Machine, lab: Lab, tmp_path: Path) -> None:
        with machine_of(lab, tmp_path / "other") as other:
            other.change("install", "anna")
            taken = ids(other, "anna")
        assert taken is not None
        with (machine.tree / "etc/passwd").open("a") as passwd, (machine.tree / "etc/group").open("a") as group:
            passwd.write(f"local:x:{taken[0]}:{taken[1]}::/:/bin/sh\n")
            group.write(f"local:x:{taken[1]}:\n")
        machine.change("install", "anna")
        found = ids(machine, "anna")
        assert found is not None
        assert found[0] != taken[0]
        assert found[1] != taken[1]
        assert ids(machine, "local") is None
        assert f"local:x:{taken[0]}" in machine.read("/etc/passwd")

    def test_as_records(self, machine: Machine) -> None:
        machine.change("rebase", f"site:{USERDB}")
        machine.change("install", "anna")
        record = machine.tree / "usr/lib/userdb/anna.user"
        first = json.loads(record.read_text())
        assert first["uid"] == (machine.tree / "usr/share/anna").stat().st_uid
        assert "anna" not in machine.read("/etc/passwd")
        machine.change("install", "bert")
        assert json.loads((machine.tree / "usr/lib/userdb/anna.user").read_text()) == first
        machine.change("uninstall", "anna")
        assert not (machine.tree / "usr/lib/userdb/anna.user").exists()
        assert (machine.tree / "usr/lib/userdb/bert.user").exists()

    def test_in_etc_alone(self, machine: Machine) -> None:
        machine.change("rebase", f"site:{NONE}")
        assert "accounts stay in /etc/passwd" in machine.change("install", "anna").stderr
        found = next(line.split(":") for line in machine.read("/etc/passwd").splitlines() if line.startswith("anna:"))
        assert int(found[2]) == (machine.tree / "usr/share/anna").stat().st_uid
        machine.change("install", "bert")
        assert int(found[2]) == (machine.tree / "usr/share/anna").stat().st_uid

    def test_a_group_that_etc_and_lib_know(self, machine: Machine) -> None:
        """An admin who copies a group to /etc/group, to add somebody, can go on layering."""
        line = next(text for text in machine.read("/usr/lib/group").splitlines() if text.startswith("daemon:"))
        with (machine.tree / "etc/group").open("a") as group:
            group.write(f"{line}kim\n")
        machine.change("install", "joins")
        assert ids(machine, "joiner") is not None
        assert groups(machine.read("/usr/lib/group"))["daemon"] == "1:joiner"
        assert groups(machine.read("/etc/group"))["daemon"] == "1:kim"
        machine.change("install", "anna")
        assert ids(machine, "joiner") is not None
        assert groups(machine.read("/usr/lib/group"))["daemon"] == "1:joiner"
        machine.change("uninstall", "joins")
        assert ids(machine, "joiner") is None
        assert groups(machine.read("/usr/lib/group"))["daemon"] == "1:"


class TestFiles:
    def test_modes_owners_and_capabilities(self, machine: Machine) -> None:
        machine.change("install", "powers")
        found = {
            path: (machine.tree / path).stat() for path in ("usr/bin/setuid", "usr/bin/setgid", "usr/share/powers")
        }
        assert [stat.S_IMODE(at.st_mode) for at in found.values()] == [0o4755, 0o2750, 0o1777]
        assert str(found["usr/bin/setgid"].st_gid) == (ids(machine, "anna") or ("", ""))[1]
        assert os.getxattr(machine.tree / "usr/bin/powerful", "security.capability")
        machine.layer("verify")

    def test_modules_are_indexed(self, machine: Machine) -> None:
        machine.change("install", "kmod-extra")
        assert "extra/extra.ko:" in machine.read(f"{_MODULES}/modules.dep")
        assert (machine.tree / "usr/lib/modules/6.0/modules.dep.bin").exists()
        machine.change("uninstall", "kmod-extra")
        assert not (machine.tree / "usr/lib/modules/6.0/modules.dep").exists()
