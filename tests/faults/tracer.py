# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that runs another, counts what it changes in the file system, and ends it at one of these moments.

    python -m tests.faults.tracer '{"at": 17, "signal": 9}' layer install …

Threads are counted together and children not at all, so that the same number is the same moment in the next run,
which `strace -e inject` can't do: it counts each thread for itself. A kernel filter (seccomp) stops the program at
these calls alone; all else runs at full speed. The moment is before the call: what it would change has not happened.
The answer is JSON on the last line of stdout: all moments, the one that was met, how the program ended.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: Calls that give, take or move a name, or that make something durable.
CALLS = ("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat",
         "symlink", "symlinkat", "fsync", "fdatasync", "syncfs", "mount", "umount2", "ftruncate")  # fmt: skip
#: Calls whose last path is the second argument that is one.
_PATH_AT = {"rename": 1, "renameat": 3, "renameat2": 3, "link": 1, "linkat": 3, "unlinkat": 1, "mkdirat": 1,
            "symlink": 1, "symlinkat": 2, "mount": 1}  # fmt: skip
_NO_PATH = ("fsync", "fdatasync", "syncfs", "ftruncate")
# linux/ptrace.h
_TRACEME, _CONT, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 7, 0x4200, 0x420E
_FORK, _VFORK, _CLONE, _EXEC, _SECCOMP = 1, 2, 3, 4, 7
_OPTIONS = sum(1 << event for event in (_FORK, _VFORK, _CLONE, _EXEC, _SECCOMP))
_WALL = 0x40000000
# linux/fs.h and ext4: what is not in the journal yet is lost, as by a loss of power.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@dataclass
class Tracer:
    """One run. `at` 0: only count. `cut`: a directory whose file system loses power at that moment."""

    at: int = 0
    signal: int = signal.SIGKILL
    cut: str | None = None
    #: Where the program writes its progress: the descriptor's other end.
    progress: int = -1
    moments: list[list[str]] = field(default_factory=list)
    step: str = "start"
    met: list[str] | None = None
    met_after: float = 0.0

    def run(self, argv: Sequence[str]) -> dict[str, Any]:
        started = time.monotonic()
        main = _start(argv)
        process_of = {main: main}
        status = None
        while True:
            try:
                tid, said = os.waitpid(-1, _WALL)
            except ChildProcessError:
                break
            if not os.WIFSTOPPED(said):
                if tid == main:
                    status = os.waitstatus_to_exitcode(said)
                    ended = time.monotonic()
                continue
            event, number = said >> 16, os.WSTOPSIG(said)
            passed = 0
            if event == _SECCOMP:
                if process_of.get(tid) is None:
                    process_of[tid] = _process_of(tid)
                if process_of[tid] == main:
                    self._moment(tid, main)
            elif event == 0 and number not in (signal.SIGTRAP, signal.SIGSTOP):
                passed = number
            _libc.ptrace(_CONT, tid, None, passed)
        since = started if self.met is None else self.met_after
        return {"status": status, "moments": self.moments, "met": self.met, "seconds": ended - since}

    def _moment(self, tid: int, main: int) -> None:
        for line in _lines(self.progress):
            event = json.loads(line)
            if event["event"] == "step_started":
                self.step = event["name"]
            elif event["event"] == "step_done":
                self.step = f"after {event['name']}"
        moment = [*_call(tid), self.step]
        self.moments.append(moment)
        if len(self.moments) == self.at:
            self.met, self.met_after = moment, time.monotonic()
            if self.cut is not None:
                _cut(self.cut)
            os.kill(main, self.signal)


def _start(argv: Sequence[str]) -> int:
    import seccomp

    chosen = seccomp.SyscallFilter(seccomp.ALLOW)
    chosen.set_attr(seccomp.Attr.CTL_NNP, 0)
    for number, name in enumerate(CALLS):
        chosen.add_rule(seccomp.TRACE(number), name)
    child = os.fork()
    if child == 0:
        _libc.ptrace(_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        chosen.load()
        os.execv(argv[0], argv)
    os.waitpid(child, _WALL)
    if _libc.ptrace(_SETOPTIONS, child, None, _OPTIONS) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    _libc.ptrace(_CONT, child, None, 0)
    return child


def _process_of(tid: int) -> int:
    with open(f"/proc/{tid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Tgid:"))


def _call(tid: int) -> tuple[str, str]:
    """The call that a thread is about to make, and the path that it is about."""
    buffer = ctypes.create_string_buffer(88)
    _libc.ptrace(_GET_SYSCALL_INFO, tid, 88, ctypes.cast(buffer, ctypes.c_void_p))
    arguments = struct.unpack_from("6Q", buffer, 32)
    name = CALLS[struct.unpack_from("I", buffer, 80)[0]]
    if name in _NO_PATH:
        try:
            return name, os.readlink(f"/proc/{tid}/fd/{arguments[0]}")
        except OSError:
            return name, ""
    return name, _text(tid, arguments[_PATH_AT.get(name, 0)])


def _text(tid: int, address: int) -> str:
    try:
        with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(4096 - address % 4096).split(b"\0")[0].decode(errors="replace")
    except OSError:
        return ""


def _lines(fd: int) -> list[bytes]:
    if fd < 0:
        return []
    try:
        return os.read(fd, 1 << 16).splitlines()  # a line is far below what a pipe takes as one
    except BlockingIOError:
        return []


def _cut(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(fd)


def main() -> None:
    said, *argv = sys.argv[1:]
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_inheritable(write, True)
    tracer = Tracer(**json.loads(said), progress=read)
    answer = tracer.run([*argv, f"--progress-fd={write}"])
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
