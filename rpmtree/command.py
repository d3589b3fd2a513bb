# SPDX-License-Identifier: GPL-2.0-or-later
"""The one door through which processes are started."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rpmtree.errors import CommandFailed, ToolError

log = logging.getLogger(__name__)

TAIL_BYTES = 8192
#: What every child sees, and nothing else: no proxies, no secrets, no locale of the user's.
CLEAN_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
#: Debian package that holds a program, where that is not the program's own name.
PACKAGE_OF = {
    "bwrap": "bubblewrap",
    "createrepo_c": "createrepo-c",
    "gpg": "gnupg",
    "mbr.bin": "extlinux",
    "menu.c32": "syslinux-common",
    "mke2fs": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkswap": "util-linux",
    "qemu-img": "qemu-utils",
    "rpmlua": "rpm",
    "setpriv": "util-linux",
    "sfdisk": "fdisk",
}


class Sandbox(Protocol):
    """A way to wrap a command: `argv` gives the outer command line, `pass_fds` what it reads from."""

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """Descriptors that the wrapped command inherits."""

    def argv(self, inner: Sequence[str]) -> list[str]:
        """The command line that runs `inner` inside."""


@dataclass(frozen=True, slots=True)
class Completed:
    """How a process ended. `stdout` is whole where it was captured; `stderr` likewise."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    sandbox: Sandbox | None = None,
    stdin: bytes | int | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    timeout: float | None = None,
    check: bool = True,
) -> Completed:
    """Run `argv` to its end, in a clean environment plus `env`; it dies with this process.

    stdin is empty, the given bytes, or the given descriptor. stdout and stderr are captured whole, or go
    to the given descriptor. Raises CommandFailed on a non-zero status unless `check` is False, on a
    timeout (seconds), and ToolError with the package to install if the program is missing.
    """
    process = spawn(
        argv,
        sandbox=sandbox,
        stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin if stdin is not None else subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=env,
        pass_fds=pass_fds,
    )
    try:
        out, err = process.communicate(stdin if isinstance(stdin, bytes) else None, timeout=timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        _, err = process.communicate()
        raise CommandFailed(argv, -9, tail(err), hint=f"it ran longer than {timeout:g} s") from None
    except BaseException:
        kill(process)
        process.communicate()
        raise
    if check and process.returncode != 0:
        raise CommandFailed(argv, process.returncode, tail(err))
    return Completed(tuple(argv), process.returncode, out or b"", err or b"")


def spawn(
    argv: Sequence[str],
    *,
    sandbox: Sandbox | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `argv` and return at once; the caller waits for it. Streams are as subprocess names them."""
    outer = sandbox.argv(argv) if sandbox else list(argv)
    fds = (*pass_fds, *(sandbox.pass_fds if sandbox else ()))
    environment = {**CLEAN_ENVIRONMENT, **(env or {})}
    log.debug("run: %s", " ".join([*(f"{k}={shlex.quote(v)}" for k, v in (env or {}).items()), shlex.join(outer)]))
    if not is_program(outer[0]):
        raise missing(outer[0])
    # setpriv rather than preexec_fn: no Python code runs between fork and exec.
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *outer],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=cwd,
        env=environment,
        pass_fds=fds,
        close_fds=True,
        start_new_session=True,  # a group of its own, for `kill`
    )


def spawn_own(module: str, *, stdin: int, stdout: int = subprocess.PIPE, stderr: int) -> subprocess.Popen[bytes]:
    """As `spawn`, one of the project's modules, by the Python that runs this one."""
    # -P: a module in the working directory must not be taken for one of Python's. -S: what a machine adds to each start
    # of Python takes longer than the rest of it.
    argv = [sys.executable, "-P", "-S", "-m", module]
    # It finds modules where this process has found them: that need not be where Python looks by itself.
    found = [path for path in sys.path if path.endswith(("/site-packages", "/dist-packages"))]
    env = {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[1]), *found))}
    return spawn(argv, stdin=stdin, stdout=stdout, stderr=stderr, env=env)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill what `spawn` started, with its group; the caller waits for it.

    The process alone would not do: what it has started may live on, and hold the streams open for ever.
    """
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_program(name: str) -> bool:
    """Whether `name` can be started: a path, or a program on the clean PATH."""
    if "/" in name:
        return os.access(name, os.X_OK)
    return any(os.access(f"{directory}/{name}", os.X_OK) for directory in CLEAN_ENVIRONMENT["PATH"].split(":"))


def missing(program: str) -> ToolError:
    """The error that names the package to install for `program`."""
    package = PACKAGE_OF.get(Path(program).name, Path(program).name)
    return ToolError(f"the program {program} is not installed", hint=f"install the package {package}")


def tail(data: bytes | None) -> str:
    """The last lines of a stream, as text, at most TAIL_BYTES."""
    return (data or b"")[-TAIL_BYTES:].decode("utf-8", "backslashreplace").strip()
