# SPDX-License-Identifier: GPL-2.0-or-later
"""What commands cost: wall time, CPU time of a control group, peak memory of any process in it.

CPU time is the group's, since getrusage(2) misses what runs below `bwrap --unshare-pid`: such a process is
reaped by the sandbox's own init. `check_cpu` shows that the group misses nothing. What the kernel does later on
its own behalf (write-back) is in no group, so whoever measures writing syncs inside the measured window.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

#: Seconds between two looks at the memory of the group's processes.
INTERVAL = 0.02
#: What the control burns, and what of it has to be seen.
BURNED, SEEN = 1.0, 0.9
#: Bytes of memory that are touched before each measurement.
TOUCHED = 3 << 30
_ENTER = 'echo $$ >"$1" && shift && exec "$@"'


class BenchmarkError(Exception):
    """A comparison that can't be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a window cost: seconds of wall time and of CPU, MiB of the largest process.

    `others` is how many CPUs everything else on the machine kept busy meanwhile (the kernel's write-back too):
    where it is not small, the wall time says little.
    """

    wall: float
    cpu: float
    peak_mb: float
    others: float
    #: What the commands wrote to stdout.
    stdout: str


class Group:
    """A control group with CPU accounting, of version 1 or 2; removed on exit."""

    def __init__(self) -> None:
        parent, self._usage, self._unit = accounting(Path("/proc/self/mounts").read_text())
        self._path = parent / f"strata-bench-{os.getpid()}-{secrets.token_hex(4)}"
        try:
            self._path.mkdir()
        except OSError as error:
            raise BenchmarkError(f"can't make the control group {self._path}: {error.strerror}") from error

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in range(100):  # a process that was just reaped may still be listed
            with suppress(OSError):
                self._path.rmdir()
                return
            time.sleep(0.01)

    @property
    def procs(self) -> Path:
        """The file that takes processes in and lists them."""
        return self._path / "cgroup.procs"

    def pids(self) -> list[int]:
        """The processes in the group, those in inner pid namespaces too."""
        return [int(line) for line in self.procs.read_text().split()]

    def cpu(self) -> float:
        """Seconds of CPU, user and system, that the group has used."""
        return parse_usage((self._path / self._usage).read_text()) / self._unit


def accounting(mounts: str) -> tuple[Path, str, float]:
    """Where groups with CPU accounting are made, the file with the usage, its units in a second; from mounts(5).

    Raises BenchmarkError if there is no such hierarchy.
    """
    second: tuple[Path, str, float] | None = None
    for line in mounts.splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpuacct" in options.split(","):
            return Path(where), "cpuacct.usage", 1e9
        if kind == "cgroup2":
            second = Path(where), "cpu.stat", 1e6
    if second is None:
        raise BenchmarkError("neither a cpuacct control group hierarchy nor one of version 2 is mounted")
    return second


def parse_usage(text: str) -> int:
    """The number in cpuacct.usage, or behind usage_usec in cpu.stat."""
    words = text.split()
    return int(words[words.index("usage_usec") + 1] if "usage_usec" in words else words[0])


def parse_peak(status: str) -> int:
    """VmHWM in KiB from /proc/PID/status; 0 for what has no memory of its own (zombies)."""
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


class _Sampler(threading.Thread):
    """Watches the peak memory of a group's processes. VmHWM only grows, so little is missed between looks."""

    def __init__(self, group: Group) -> None:
        super().__init__(daemon=True)
        self._group = group
        self._done = threading.Event()
        self.peak_kib = 0

    def run(self) -> None:
        while not self._done.wait(INTERVAL):
            self.look()

    def look(self) -> None:
        for pid in self._group.pids():
            with suppress(OSError):  # it has ended
                self.peak_kib = max(self.peak_kib, parse_peak(Path(f"/proc/{pid}/status").read_text()))

    def stop(self) -> None:
        self._done.set()
        self.join()


def measure(commands: Iterable[Sequence[str]], *, env: Mapping[str, str], cwd: Path, log: Path) -> Cost:
    """Run `commands` one after the other in a group of their own; their stderr is appended to `log`.

    Raises BenchmarkError if one fails.
    """
    os.sync()  # nobody pays for what was written before
    _touch_memory()
    with Group() as group, log.open("ab", buffering=0) as stderr:
        sampler = _Sampler(group)
        sampler.start()
        stdout = b""
        busy, begin = busy_seconds(), time.monotonic()
        try:
            for argv in commands:
                os.write(stderr.fileno(), f"$ {' '.join(argv)}\n".encode())
                stdout += _run(argv, group, env, cwd, stderr.fileno())
        finally:
            wall, cpu = time.monotonic() - begin, group.cpu()
            others = (busy_seconds() - busy - cpu) / wall
            sampler.stop()
    return Cost(wall, cpu, sampler.peak_kib / 1024, max(others, 0.0), stdout.decode("utf-8", "replace"))


def _touch_memory() -> None:
    """Use some memory and give it back, if there is plenty.

    A virtual machine gets memory from its host when it first touches it, and hands back what it frees: files
    that are written then cost up to three times the CPU that they cost a moment after memory was in use.
    """
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if free > 2 * TOUCHED:
        touch = f"b = bytearray({TOUCHED})\nfor at in range(0, {TOUCHED}, 4096): b[at] = 1"
        subprocess.run([sys.executable, "-c", touch], check=False)


def _run(argv: Sequence[str], group: Group, env: Mapping[str, str], cwd: Path, stderr: int) -> bytes:
    # The shell moves itself into the group, so that nothing of the command is outside it.
    wrapped = ["/bin/sh", "-c", _ENTER, "sh", str(group.procs), *argv]
    done = subprocess.run(wrapped, env=dict(env), cwd=cwd, stdout=subprocess.PIPE, stderr=stderr, check=False)
    if done.returncode:
        raise BenchmarkError(f"status {done.returncode}: {' '.join(argv)}: see its log")
    return done.stdout


def busy_seconds() -> float:
    """CPU seconds that all processes of the machine have used since it started."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    user, nice, system, _, _, irq, softirq, *_ = (int(word) for word in first[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def check_cpu(cwd: Path, log: Path, env: Mapping[str, str]) -> float:
    """The positive control: seconds that are seen of a process that burns BURNED s in a sandbox's pid namespace.

    Raises BenchmarkError if that is less than SEEN: figures about CPU would then be wrong.
    """
    burn = f"import time\nwhile time.process_time() < {BURNED}: pass"
    sandbox = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--"]
    seen = measure([[*sandbox, sys.executable, "-c", burn]], env=env, cwd=cwd, log=log).cpu
    if seen < SEEN:
        raise BenchmarkError(f"of {BURNED:g} s of CPU burned in a sandbox, only {seen:.2f} s were seen")
    return seen
