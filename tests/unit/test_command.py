# SPDX-License-Identifier: GPL-2.0-or-later
"""How processes are started: with what they see, how they end, and what is left of them. Real ones, all short."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.command import CLEAN_ENVIRONMENT, run
from rpmtree.errors import CommandFailed, ToolError


def test_streams_are_captured_whole() -> None:
    done = run(["sh", "-c", "echo out; echo err >&2"])
    assert (done.status, done.stdout, done.stderr) == (0, b"out\n", b"err\n")


def test_stdin_is_the_bytes_given_or_empty(tmp_path: Path) -> None:
    assert run(["cat"], stdin=b"text").stdout == b"text"
    assert run(["cat"]).stdout == b""
    (tmp_path / "file").write_bytes(b"from a file")
    with (tmp_path / "file").open("rb") as file:
        assert run(["cat"], stdin=file.fileno()).stdout == b"from a file"


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    seen = dict(line.split("=", 1) for line in run(["env"], env={"EXTRA": "2"}).stdout.decode().splitlines())
    assert seen == {**CLEAN_ENVIRONMENT, "EXTRA": "2"}


def test_it_runs_in_the_directory_given(tmp_path: Path) -> None:
    assert run(["pwd"], cwd=tmp_path).stdout.decode().strip() == str(tmp_path.resolve())


def test_only_named_descriptors_are_inherited() -> None:
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        assert run(["sh", "-c", f"echo through >/proc/self/fd/{writer}"], pass_fds=[writer]).status == 0
        assert os.read(reader, 100) == b"through\n"
        assert run(["sh", "-c", f"echo through >/proc/self/fd/{writer}"], check=False).status != 0
    finally:
        os.close(reader)
        os.close(writer)


def test_a_failure_carries_status_and_the_tail_of_stderr() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "yes long | head -c 20000 >&2; echo last >&2; exit 3"])
    assert caught.value.status == 3
    assert caught.value.argv[0] == "sh"
    assert (caught.value.detail or "").endswith("last")
    assert len(caught.value.detail or "") <= command.TAIL_BYTES


def test_a_failure_is_a_value_where_it_was_asked_for() -> None:
    assert run(["false"], check=False).status == 1


def test_death_by_signal_is_told_as_such() -> None:
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", "kill -TERM $$"])
    assert caught.value.status == -signal.SIGTERM


def test_a_timeout_ends_the_process() -> None:
    begin = time.monotonic()
    with pytest.raises(CommandFailed) as caught:
        run(["sleep", "60"], timeout=0.2)
    assert time.monotonic() - begin < 10
    assert caught.value.hint is not None


@pytest.mark.parametrize(("program", "package"), [("bwrap", "bubblewrap"), ("rpmlua", "rpm"), ("frob", "frob")])
def test_a_missing_program_names_its_package(program: str, package: str) -> None:
    assert package in (command.missing(program).hint or "").split()


@pytest.mark.parametrize("program", ["no-such-program", "/no/such/program"])
def test_a_missing_program_is_found_before_the_start(program: str) -> None:
    with pytest.raises(ToolError) as caught:
        run([program])
    assert type(caught.value) is ToolError
    assert program in caught.value.message


def test_the_debug_log_has_a_line_to_paste(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="rpmtree.command"):
        run(["printf", "%s", "a b"], env={"X": "1 2"})
    line = caplog.messages[0].removeprefix("run: ")
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout == b"a b"
    assert line.startswith("X='1 2' ")


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    """The parent is killed while it waits, so that it has no chance to clean up."""
    script = "from rpmtree.command import run; run(['sh', '-c', 'echo $$ > pid.new; mv pid.new pid; sleep 60'])"
    environment = {**CLEAN_ENVIRONMENT, "PYTHONPATH": str(Path(command.__file__).parents[1])}
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment)
    try:
        _wait_for((tmp_path / "pid").exists)
        child = int((tmp_path / "pid").read_text())
        assert _alive(child)
    finally:
        parent.kill()
        parent.wait()
    _wait_for(lambda: not _alive(child))


@dataclass(frozen=True)
class Prefix:
    """A sandbox that only changes the environment."""

    pass_fds: tuple[int, ...] = ()

    def argv(self, inner: Sequence[str]) -> list[str]:
        return [shutil.which("env") or "env", "INSIDE=1", *inner]


def test_a_sandbox_wraps_the_command() -> None:
    done = run(["sh", "-c", "echo $INSIDE"], sandbox=Prefix())
    assert done.stdout == b"1\n"
    assert done.argv[0] == "sh"


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_for(condition: object) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
