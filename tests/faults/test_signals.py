# SPDX-License-Identifier: GPL-2.0-or-later
"""Ctrl-C and SIGTERM at any moment of a command: it ends at once, nothing was changed, and nothing is left.

Named moments are those where a command can wait long: for a server, for a script. Others are spread over the calls
that change the file system; what is past the switch to the new deployment is finished, and then reported as stopped.
`STRATA_SIGNALS=N` sets how many these are for each command; without it a few, for every day.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.machine import TOP, Site, argv_of, copy_disk, layer, mounted, tools, trace
from tests.support import webserver
from tests.support.oracle import Wrong, check_left_nothing, state_of
from tests.support.processes import command_lines
from tests.support.rpms import rpm

pytestmark = [pytest.mark.needs("root", "bwrap", "ostree", "mkfs.ext4", "seccomp:"), pytest.mark.timeout(3600)]
MOMENTS = int(os.environ.get("STRATA_SIGNALS", "0"))
_A_FEW = 3
#: Seconds that a command may take to end.
LIMIT = 2.0
_SUBREAPER = 36  # linux/prctl.h
_SLEEP = "sleep 61.5"


@dataclass(frozen=True, slots=True)
class Served:
    """A site, and the server that machines get it from."""

    site: Site
    web: webserver.Site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("served")
    slow = [rpm(f"slow-{phase}", version="1", requires=["shell"], **{phase: _SLEEP}, files={f"/usr/share/{phase}": "z"})
            for phase in ("pre", "post", "posttrans")]  # fmt: skip
    with webserver.serve(top) as web:
        yield Served(Site.make(top, [*tools(2), *slow], web.url), web)


@pytest.fixture(scope="module")
def machine(served: Served, images: Path) -> Iterator[Path]:
    """A machine with the first release; not to be changed."""
    served.site.machine(images / "machine")
    yield images / "machine"
    (images / "machine").unlink()


@pytest.fixture
def sysroot(machine: Path, images: Path) -> Iterator[Path]:
    image = copy_disk(machine, images / "signalled")
    with mounted(image) as sysroot:
        yield sysroot
    image.unlink()


@pytest.fixture(autouse=True)
def _adopts() -> Iterator[None]:
    """What a command leaves running becomes a child of this process, and is seen."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def children() -> list[int]:
    """Children of this process that run; those that have ended are forgotten."""
    numbers = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError):  # a thread of the server's that has just ended
            numbers += [int(number) for number in path.read_text().split()]
    return [number for number in numbers if os.waitpid(number, os.WNOHANG) == (0, 0)]


def in_script() -> bool:
    return any(words[:2] == _SLEEP.split() for words in command_lines())


def stop(sysroot: Path, words: Sequence[str], signum: int, there: Callable[[], bool]) -> tuple[int, float, str]:
    """Run `layer` until `there` is true, send the signal; how it ended, after how many seconds, what it said."""
    process = subprocess.Popen(
        argv_of(sysroot, words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=TOP
    )
    deadline = time.monotonic() + 30
    while not there():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signum)
    began = time.monotonic()
    try:
        _, said = process.communicate(timeout=10)
    finally:
        process.kill()
    return process.returncode, time.monotonic() - began, said


#: Name → what is done, what the server holds up (None: a script takes its time).
PHASES = {
    "repository": (("install", "tool-1"), "repomd.xml"),
    "metadata": (("install", "tool-1"), "primary.xml.gz"),
    "package": (("install", "tool-1"), "tool-1-1-1.noarch.rpm"),
    "packages": (("install", "tool-0", "tool-1"), ".rpm"),
    "branch": (("upgrade",), "refs/heads/shale/1/stable"),
    "commit": (("upgrade",), ".commit"),
    "tree": (("upgrade",), ".dirtree"),
    "content": (("upgrade",), ".filez"),
    "pre": (("install", "slow-pre"), None),
    "post": (("install", "slow-post"), None),
    "posttrans": (("install", "slow-posttrans"), None),
}


CASES = [(phase, signum) for signum in (signal.SIGINT, signal.SIGTERM) for phase in PHASES
         if signum == signal.SIGINT or MOMENTS or phase in {"package", "content", "post"}]  # fmt: skip


@pytest.mark.parametrize(("phase", "signum"), CASES, ids=[f"{phase}-{signum.name}" for phase, signum in CASES])
def test_stopped(phase: str, signum: signal.Signals, served: Served, sysroot: Path) -> None:
    words, held = PHASES[phase]
    before, running = state_of(sysroot), children()
    served.web.hold(held)
    status, seconds, said = stop(sysroot, words, signum, in_script if held is None else served.web.stopped.is_set)
    served.web.hold(None)
    assert children() == running
    assert (status, said.splitlines()[-1]) == (128 + signum, f"error: stopped by {signum.name}")
    assert seconds < LIMIT
    assert not in_script()
    check_left_nothing(sysroot)
    assert state_of(sysroot) == before
    if held is not None:
        assert (done := layer(sysroot, *words)).status == 0, done.stderr
        check_left_nothing(sysroot)
    print(f"{phase}: {seconds:.2f} s")


@pytest.mark.parametrize("words", [("install", "tool-1"), ("upgrade",)], ids=lambda words: words[0])
def test_stopped_anywhere(words: Sequence[str], machine: Path, images: Path) -> None:
    prepared = copy_disk(machine, images / "prepared")
    with mounted(prepared) as sysroot:
        assert words != ("upgrade",) or layer(sysroot, "install", "tool-0").status == 0
        old = state_of(sysroot)
    counted_on = copy_disk(prepared, images / "counted")
    with mounted(counted_on) as sysroot:
        every = trace(sysroot, words).moments
        new = state_of(sysroot)
    counted_on.unlink()
    count = MOMENTS or _A_FEW
    slowest = 0.0
    for index in range(count):
        number = 1 + (2 * index + 1) * len(every) // (2 * count)
        image = copy_disk(prepared, images / "stopped")
        with mounted(image) as sysroot:
            stopped = trace(sysroot, words, at=number, signum=signal.SIGINT)
            place = f"{words}, moment {number} of {len(every)}: {stopped.met}"
            after = state_of(sysroot)
            assert stopped.status == 128 + signal.SIGINT or (stopped.status, after) == (0, new), (
                f"{place}: {stopped.status} {stopped.stderr}"
            )
            slowest = max(slowest, stopped.seconds)
            assert stopped.seconds < LIMIT, place
            try:
                check_left_nothing(sysroot)
            except Wrong as wrong:
                pytest.fail(f"{place}: {wrong}")
            if after.deployed == old.deployed:
                assert after == old, place
                assert (done := layer(sysroot, *words)).status == 0, f"{place}: {done.stderr}"
                check_left_nothing(sysroot)
                assert state_of(sysroot).objects == new.objects, place
            else:
                assert after.deployed == new.deployed, place
        image.unlink()
    prepared.unlink()
    print(f"{words[0]}: {count} of {len(every)} moments, the slowest took {slowest:.2f} s")


def test_what_is_left_running_is_seen() -> None:
    """The control: a process that outlives its parent becomes ours."""
    before = children()
    subprocess.run(["sh", "-c", f"{_SLEEP} & exit 0"], check=True)
    (left,) = set(children()) - set(before)
    assert in_script()
    os.kill(left, signal.SIGKILL)
    os.waitpid(left, 0)
