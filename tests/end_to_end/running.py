# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines that run, as `tests.support.booted` has them: copies of one, whose commits and packages come over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.machine import Site
from tests.support.booted import run_verbs
from tests.support.oracle import State, entries, state_of

#: What programs may use besides `run_verbs`' own.
_PROGRAM = """
import hashlib, signal, time

def digest(where):
    found = hashlib.sha256()
    for path in sorted(Path(where).rglob("*")):
        what = path.lstat()
        held = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        found.update(repr((path, what.st_mode, what.st_uid, what.st_gid, what.st_mtime_ns, held)).encode())
    return found.hexdigest()

def tree():
    running = next(found for found in status() if found["booted"])
    return digest("/sysroot/ostree/deploy/shale/deploy/" + running["id"].partition("-")[2])

def flags():
    return [[name for name in ("staged", "booted", "finalization-locked") if found[name]] for found in status()]

def requested():
    return [found["requested-packages"] for found in status()]

def packages_kept():
    return sorted(path.name for path in Path("/ostree/repo/refs/heads/rpmostree/pkg").glob("*"))

def wait_for(there):
    for _ in range(400):
        if there():
            return
        time.sleep(0.05)
    raise SystemExit("it did not come")

def in_script():
    return any(b"sleep\\x0060.5" in path.read_bytes() for path in Path("/proc").glob("[1-9]*/cmdline"))
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A sysroot, and which commits there are for it."""

    sysroot: Path
    site: Site

    def run(self, program: str) -> dict[str, Any]:
        """Boot what boots next, and run a program."""
        return run_verbs(self.sysroot, self.deployed, f"{_PROGRAM}{program}")

    @property
    def deployed(self) -> Path:
        """What boots next."""
        return entries(self.sysroot)[0][1]

    @property
    def state(self) -> State:
        return state_of(self.sysroot)
