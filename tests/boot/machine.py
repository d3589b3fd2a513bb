# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine in QEMU, which is spoken to over its serial line.

It sees the host's loopback at 10.0.2.2. KVM is for where a probe has shown that it runs a guest: /dev/kvm may be there
and hang it. Disks are overlays over an image, which stays as it is; what a machine is at the prompt can be kept
and taken up again, without a boot.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

QEMU = "qemu-system-x86_64"
#: What the guest calls the host's loopback (QEMU's user network).
HOST = "10.0.2.2"
#: Seconds for a boot and for a command without a reason to take long. An emulated CPU on a busy host is slow.
BOOT, COMMAND = 600.0, 180.0
#: Kernel arguments that make an emulated boot shorter, and the serial line readable.
KARGS = ("console=ttyS0", "quiet", "mitigations=off", "systemd.show_status=0", "8250.nr_uarts=1",
         "random.trust_cpu=on", "audit=0")  # fmt: skip
PASSWORD = "granite"
#: The same as crypt(5) has it.
PASSWORD_HASH = "$6$strata$fEriCUsI1oaz1kZFWX.1HFl0tr.nIKvTFjH1iMGi3PYjDOyOfiseuJ60nPL8JY4v.8Bx4gzKnMi3DBJAfLgJl1"
_PROMPT = "strata-prompt# "
_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()].|[=>78NO])|\x0e|\x0f")
_SNAPSHOT = "prompt"


class GuestError(AssertionError):
    """The guest did not do what was expected; the end of what it said is in the message."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command in the guest ended."""

    status: int
    output: str


def probe(image: Path) -> str:
    """`kvm` where that boots `image` at the speed that is to be expected of it, else `tcg`."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    with suppress(GuestError), _running(overlay(image, _fresh(image)), 1024, "kvm") as machine:
        machine.wait_for_login(time.monotonic(), 60)
        return "kvm"
    return "tcg"


@dataclass(slots=True)
class Machine:
    """A guest; made by `boot` and `resume`."""

    disk: Path
    process: subprocess.Popen[bytes]
    monitor: Path
    log: Path
    #: What has come and was not looked at yet; and all.
    text: str = ""
    said: str = ""
    #: Seconds from power on (or reboot) to the login prompt, one for each boot.
    boots: list[float] = field(default_factory=list)
    _commands: int = 0

    # -- the serial line ----------------------------------------------------------------------------------------------

    def expect(self, *patterns: str, timeout: float = COMMAND) -> re.Match[str]:
        """Wait until one of the expressions is found, take what is before it and it. Raises GuestError."""
        deadline = time.monotonic() + timeout
        while True:
            for pattern in patterns:
                if found := re.search(pattern, self.text):
                    self.text = self.text[found.end() :]
                    return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestError(f"no {' or '.join(patterns)} within {timeout:g} s: …{self.said[-3000:]}")
            if not self._read(min(left, 1.0)) and self.process.poll() is not None:
                raise GuestError(f"the machine is off, {' or '.join(patterns)} was expected: …{self.said[-3000:]}")

    def send(self, text: str) -> None:
        """Type."""
        assert self.process.stdin is not None
        # The emulated serial port holds 16 bytes, and a shell that is busy reads none.
        for begin in range(0, len(text), 512):
            self.process.stdin.write(text[begin : begin + 512].encode())
            self.process.stdin.flush()

    def _read(self, timeout: float) -> bool:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        if not ready or not (data := os.read(self.process.stdout.fileno(), 1 << 16)):
            return False
        with self.log.open("ab") as log:
            log.write(data)
        clean = _ESCAPE.sub("", data.decode("utf-8", "replace")).replace("\r", "")
        self.text += clean
        self.said = (self.said + clean)[-1_000_000:]
        return True

    # -- the guest ----------------------------------------------------------------------------------------------------

    def wait_for_login(self, started: float, timeout: float = BOOT) -> float:
        """Wait for the login prompt; gives the seconds that the boot took."""
        self.expect(r"login: ?$", r"login: ", timeout=timeout)
        self.boots.append(time.monotonic() - started)
        return self.boots[-1]

    def login(self, user: str = "root", password: str = PASSWORD) -> None:
        """Log in at the prompt, and get a shell that is easy to read."""
        self.send(f"{user}\n")
        self.expect(r"Password: ?")
        self.send(f"{password}\n")
        if self.expect(r"[#$] ?$", r"Login incorrect", timeout=COMMAND)[0].startswith("Login"):
            raise GuestError(f"{user} can't log in: …{self.said[-2000:]}")
        self.send("exec env TERM=dumb SYSTEMD_COLORS=0 PAGER=cat bash --norc --noprofile --noediting\n")
        self.send(f"stty -echo cols 500; PS1='{_PROMPT}' PS2=; dmesg -n 1; printf 'ready%s\\n' ready\n")
        self.expect("readyready")
        self.expect(re.escape(_PROMPT))

    def run(self, command: str, timeout: float = COMMAND) -> Done:
        """Run a command line in the guest's shell, with stdout and stderr together."""
        self._commands += 1
        mark = f"{self._commands}-{os.getpid()}"
        self.text = ""
        self.send(f"{{ {command}\n}} 2>&1 </dev/null; printf '\\n%s%s %d\\n' end-of- {mark} $?\n")
        # Begins with what is seldom: all that has come is searched again with each line that comes.
        end = self.expect(rf"end-of-{mark} (\d+)\n", timeout=timeout)
        output = end.string[: end.start()]
        self.expect(re.escape(_PROMPT))
        return Done(int(end[1]), output.removeprefix(_PROMPT).strip("\n"))

    def check(self, command: str, timeout: float = COMMAND) -> str:
        """The output of a command that must succeed. Raises GuestError."""
        done = self.run(command, timeout)
        if done.status != 0:
            raise GuestError(f"`{command}` ended with {done.status}: {done.output[-4000:]}")
        return done.output

    def reboot(self, timeout: float = BOOT, by: str = "systemctl reboot") -> float:
        """Reboot as an admin does, or by another command; gives the seconds from there to the login prompt."""
        started = time.monotonic()
        self.text = ""
        self.send(f"{by}\n")
        self.expect(r"login: ", timeout=timeout)
        self.boots.append(time.monotonic() - started)
        self.login()
        return self.boots[-1]

    def power_off(self) -> None:
        """Shut down, and wait until the machine is off."""
        self.send("systemctl poweroff\n")
        self.process.wait(COMMAND)

    # -- from outside -------------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Keep the machine as it is, memory and all, in its disk: `resume` takes it up. It ends."""
        self.command("stop")
        said = self.command("human-monitor-command", {"command-line": f"savevm {_SNAPSHOT}"})
        assert said == "", said
        self.command("quit")
        self.process.wait(COMMAND)

    def command(self, name: str, arguments: dict[str, object] | None = None) -> object:
        """What QEMU answers (QMP)."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.monitor))
            stream = line.makefile("rw", encoding="utf-8")
            stream.readline()
            answer: dict[str, object] = {}
            for order in ({"execute": "qmp_capabilities"}, {"execute": name, "arguments": arguments or {}}):
                stream.write(json.dumps(order) + "\n")
                stream.flush()
                while "return" not in (answer := json.loads(stream.readline() or '{"return": ""}')):
                    assert "error" not in answer, answer
            return answer["return"]


def overlay(image: Path, path: Path) -> Path:
    """A disk that begins as `image` and takes all changes itself."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", _format(image), str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def _format(image: Path) -> str:
    with image.open("rb") as file:
        return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"


@contextmanager
def boot(image: Path, *, memory: int = 1024, accelerator: str = "tcg") -> Iterator[Machine]:
    """Switch a machine on with an overlay of `image`, wait for its login prompt, and log in."""
    with _running(overlay(image, _fresh(image)), memory, accelerator) as machine:
        machine.wait_for_login(time.monotonic())
        machine.login()
        yield machine


@contextmanager
def resume(kept: Path, *, memory: int = 1024, accelerator: str = "tcg") -> Iterator[Machine]:
    """Take up a copy of the machine whose disk `kept` is, where `Machine.keep` left it."""
    disk = _fresh(kept)
    shutil.copyfile(kept, disk)
    with _running(disk, memory, accelerator, "-loadvm", _SNAPSHOT) as machine:
        machine.send("\n")
        machine.expect(re.escape(_PROMPT))
        yield machine


@contextmanager
def recorded(image: Path, log: Path, *, memory: int = 1024, accelerator: str = "tcg") -> Iterator[Machine]:
    """As `boot`, with the raw `image` as the disk itself; all that is written to it is in `log` (`writelog`)."""
    log.touch()
    drive = (
        *("-blockdev", f"driver=file,filename={image},node-name=f0,cache.no-flush=on,discard=ignore"),
        *("-blockdev", f"driver=file,filename={log},node-name=l0,cache.no-flush=on"),
        *("-blockdev", "driver=blklogwrites,file=f0,log=l0,node-name=d0,log-super-update-interval=1"),
    )
    with _running(image, memory, accelerator, drive=drive) as machine:
        machine.wait_for_login(time.monotonic())
        machine.login()
        yield machine


def _fresh(beside: Path) -> Path:
    descriptor, name = tempfile.mkstemp(".qcow2", "machine-", beside.parent)
    os.close(descriptor)
    return Path(name)


@contextmanager
def _running(
    disk: Path, memory: int, accelerator: str, *options: str, drive: Sequence[str] | None = None
) -> Iterator[Machine]:
    monitor, log = disk.with_suffix(".qmp"), disk.with_suffix(".log")
    process = subprocess.Popen(
        [*_argv(drive or _overlay_drive(disk), memory, accelerator, monitor), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield Machine(disk, process, monitor, log)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        monitor.unlink(missing_ok=True)
        if drive is None and not disk.with_suffix(".kept").exists():
            disk.unlink(missing_ok=True)


def _overlay_drive(disk: Path) -> tuple[str, ...]:
    return ("-drive", f"file={disk},if=none,id=d0,cache=unsafe,format=qcow2,discard=unmap")


def _argv(drive: Sequence[str], memory: int, accelerator: str, monitor: Path) -> list[str]:
    kvm = accelerator == "kvm"
    # Without cx16: a newer kernel has been seen to panic where it is emulated.
    processor = ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", "qemu64,-cx16"]
    return [
        *(QEMU, *processor, "-machine", "q35", "-smp", "1", "-m", str(memory)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"),
        *drive,
        *("-device", "virtio-blk-pci,drive=d0", "-device", "virtio-rng-pci"),
        *("-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0"),
        *("-qmp", f"unix:{monitor},server=on,wait=off"),
    ]
