# SPDX-License-Identifier: GPL-2.0-or-later
"""A hostile program in the sandbox: each way out is tried, and tried again in a weak sandbox as the control."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.errors import CommandFailed, ScriptletError, ToolError
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root import sandbox, seccomp
from rpmtree.root.scriptlets import run_package_scripts
from rpmtree.root.spec import ScriptPolicy
from tests.support.processes import command_lines
from tests.support.scriptvalues import package

TOP = Path(__file__).resolve().parents[2]
PROBES = Path(__file__).with_name("probes.py")
HOST_USR = (sandbox.Bind(Path("/usr"), "/usr"), sandbox.Bind(PROBES, "/run/probes.py"))
#: What a script must be able to do to its own tree.
MEANT = {"chown", "setuid_file", "file_capability", "chroot"}
#: Kernels differ in what they offer: so many of the others must at least be possible without the sandbox.
MIN_CONTROLS = 17


@pytest.fixture
def listener() -> Iterator[tuple[int, str]]:
    """A port and an abstract unix socket of the host that answer."""
    name = f"strata-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"\0{name}")
        unix.listen()
        yield tcp.getsockname()[1], name


def test_every_way_out_is_closed(small_root: Root, listener: tuple[int, str]) -> None:
    inner = ["/usr/bin/python3", "-I", "/run/probes.py", str(listener[0]), listener[1], str(os.getpid())]
    weak = ["bwrap", "--cap-add", "ALL", "--bind", str(small_root.path), "/", "--dev", "/dev", "--proc", "/proc"]
    weak += ["--tmpfs", "/run", *(word for bind in HOST_USR for word in ("--ro-bind", str(bind.source), bind.target))]
    control = json.loads(command.run([*weak, *inner]).stdout)
    box = sandbox.image_sandbox(small_root.path, binds=HOST_USR)
    strong = json.loads(command.run(inner, sandbox=box).stdout)
    possible = {name for name, outcome in control.items() if outcome == "allowed"}
    assert possible >= MEANT
    assert len(possible - MEANT) >= MIN_CONTROLS, control
    assert {name for name, outcome in strong.items() if outcome == "allowed"} == MEANT, strong


def test_capabilities_are_the_ten(box: sandbox.ScriptSandbox) -> None:
    """No program started inside has more, nor can get more: no_new_privs holds root to what it has."""
    status = command.run(["sh", "-c", "sh -c 'cat /proc/self/status; :'"], sandbox=box).stdout.decode()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    numbers = (0, 1, 3, 4, 5, 6, 7, 8, 18, 31)  # linux/capability.h
    assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == sum(1 << number for number in numbers)
    assert (fields["Seccomp"], fields["NoNewPrivs"]) == ("2", "1")


def test_any_owner_can_be_set(box: sandbox.ScriptSandbox, small_root: Root) -> None:
    command.run(["sh", "-c", "touch /etc/x && chown 1234:65533 /etc/x"], sandbox=box)
    found = small_root.stat("etc/x")
    assert (found.st_uid, found.st_gid) == (1234, 65533)


def test_var_is_read_only_unless_asked_for(small_root: Root) -> None:
    write = ["sh", "-c", "touch /var/tmp/scratch /tmp/scratch && touch /var/x"]
    assert command.run(write, sandbox=sandbox.image_sandbox(small_root.path), check=False).status != 0
    assert not small_root.exists("var/x")
    command.run(write, sandbox=sandbox.image_sandbox(small_root.path, writable_var=True))
    assert small_root.exists("var/x")
    assert small_root.listdir("var/tmp") == []


def test_fork_bomb(small_root: Root) -> None:
    with sandbox.pids_limit(64) as cgroup:
        if cgroup is None:
            pytest.skip("no pids cgroup can be made here")
    bomb = package("bomb", post="b() { b | b & }; i=0; while [ $i -lt 5 ]; do b; i=$((i+1)); done; sleep 60")
    started = time.monotonic()
    with pytest.raises(ScriptletError):
        run_package_scripts(small_root, [bomb], ScriptPolicy(timeout_seconds=1), Reporter())
    assert time.monotonic() - started < 10
    command.run(["true"])  # the host can still start processes
    assert not cgroup.exists()


def test_processes_are_limited(box: sandbox.ScriptSandbox) -> None:
    many = ["sh", "-c", "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all"]
    with sandbox.pids_limit(40) as cgroup:
        if cgroup is None:
            pytest.skip("no pids cgroup can be made here")
        held = command.run(many, sandbox=dataclasses.replace(box, cgroup=cgroup), check=False)
        peak = int((cgroup / "pids.max").read_text())
    assert peak == 40
    assert b"all" not in held.stdout
    assert b"fork" in held.stderr.lower()
    assert command.run(many, sandbox=box).stdout == b"all\n"


def test_no_process_outlives_its_script(small_root: Root) -> None:
    mark = f"{os.getpid()}.5150"
    daemon = package("daemon", post=f"setsid sh -c 'trap \"\" TERM HUP; sleep {mark}; :' >/dev/null 2>&1 & exit 0")
    started = time.monotonic()
    run_package_scripts(small_root, [daemon], ScriptPolicy(), Reporter())
    assert time.monotonic() - started < 5
    assert not _running(mark)
    control = command.spawn(["sleep", mark])
    try:
        while not _running(mark):
            assert control.poll() is None
            time.sleep(0.01)
    finally:
        control.kill()
        control.communicate()


def _running(mark: str) -> bool:
    """Whether a process of this machine has `mark` among its arguments."""
    return any(mark in words for words in command_lines())


def test_file_size_is_limited(box: sandbox.ScriptSandbox, small_root: Root) -> None:
    limit = command.run(["sh", "-c", "ulimit -f; ulimit -c"], sandbox=box).stdout.split()
    assert limit == [str(sandbox.MAX_FILE_BYTES // 512).encode(), b"0"]


@pytest.mark.parametrize("name", ["tmp", "run", "var", "usr/share"])
def test_a_link_at_a_mount_point_is_refused(small_root: Root, name: str) -> None:
    sandbox.image_sandbox(small_root.path)
    small_root.remove(name)
    small_root.symlink("/oldroot/tmp", name)
    with pytest.raises(ToolError, match=name):
        sandbox.image_sandbox(small_root.path)


@pytest.mark.parametrize(("right", "named"), [("sys_admin", "CAP_SYS_ADMIN"), ("net_admin", "CAP_NET_ADMIN")])
def test_a_missing_right_is_named(right: str, named: str) -> None:
    sandbox.check_host()
    program = (
        "from rpmtree.errors import ToolError\nfrom rpmtree.root.sandbox import check_host\n"
        "try:\n    check_host()\nexcept ToolError as error:\n    print(error.message)"
    )
    told = command.run(["setpriv", f"--bounding-set=-{right}", sys.executable, "-c", program], cwd=TOP).stdout
    assert named in told.decode()


def test_a_missing_filter_fails_closed(small_root: Root, tmp_path: Path) -> None:
    def attempt(bpf: Path) -> None:
        box = sandbox.ScriptSandbox(root=small_root.path, var=small_root.path / "var", bpf=bpf)
        command.run(["true"], sandbox=box)

    attempt(seccomp.filter_path())
    (tmp_path / "empty").touch()
    (tmp_path / "half").write_bytes(seccomp.filter_bytes()[:-8])
    for name in ("none", "empty", "half"):
        with pytest.raises(CommandFailed):
            attempt(tmp_path / name)
