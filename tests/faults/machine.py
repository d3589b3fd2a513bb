# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines to harm: ext4 file systems in files, each with a sysroot of Shale, copied as often as they are wanted.

A copy of the file is a copy of the machine, made in some milliseconds; what one loses, another never had. The files
are in memory where there is room: what a killed process has written stays either way.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpmtree import command
from tests.end_to_end.shale import REF, Bench, Shale, ostree
from tests.support.rpms import Package, file, make_repo, rpm

TOP = Path(__file__).resolve().parent.parent.parent
LAYER = Path(sys.executable).with_name("layer")
NEXT = "shale/2/stable"
MEGABYTE = 1 << 20
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and the seconds that it took."""

    status: int
    stdout: str
    stderr: str
    seconds: float


def tools(count: int) -> list[Package]:
    """Packages to layer: each has a file of its own, a script, an account's worth of work."""
    return [
        rpm(f"tool-{number}", version="1", requires=["shell"], post=f"echo {number} >/usr/share/tool-{number}.made",
            files={f"/usr/bin/tool-{number}": file(f"#!/bin/sh\necho {number}\n", mode=0o755),
                   f"/usr/share/tool-{number}/data": file(f"{number}\n" * 2000)})
        for number in range(count)
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """What machines get theirs from: a repository of commits, one of packages."""

    top: Path
    first: str
    bench: Bench
    #: Where machines find `top`.
    url: str

    @classmethod
    def make(cls, top: Path, packages: Sequence[Package], url: str | None = None) -> Site:
        """Two releases of one branch, one of the next, and `packages` that can be layered on all.

        `url` is where `top` is served; without it machines find it on the disk.
        """
        make_repo(top / "tools", packages)
        where = f"file://{top}/" if url is None else url
        text = f"[tools]\nname=Tools\nbaseurl={where}tools\nenabled=1\ngpgcheck=0\nmetadata_expire=0\n"
        bench = Bench(top / "bench", Shale.make(top / "rpms"))
        if url is not None:
            bench.init("archive")
        bench.add_repo("repos", [rpm("shale-repos", files={"/etc/yum.repos.d/tools.repo": file(text)})])
        bench.treefile["packages"] = ["greeter", "kernel", "shale-repos"]
        bench.compose()
        first = bench.commit()
        newer = rpm("libstone", version="3.2", requires=["shell"], files={"/usr/lib/libstone.so.3.2": "newer\n"})
        bench.add_repo("newer", [newer, rpm("shale-repos", files={"/etc/yum.repos.d/tools.repo": file(text)})])
        bench.compose()
        bench.treefile["ref"] = NEXT
        bench.treefile["packages"] = ["greeter", "kernel", "shale-repos", "manual"]
        bench.compose()
        return cls(top, first, bench, where)

    @property
    def newest(self) -> str:
        """The commit that an upgrade comes to."""
        return self.bench.commit()

    def machine(self, path: Path, size: int = 96 * MEGABYTE, *, bootloader: str = "none") -> None:
        """An image with the first release deployed, at `path`."""
        make_disk(path, size)
        with mounted(path) as sysroot:
            admin = ["ostree", "admin", f"--sysroot={sysroot}"]
            repo = sysroot / "ostree/repo"
            command.run(["ostree", "admin", "init-fs", "--modern", str(sysroot)])
            command.run([*admin, "os-init", "shale"])
            ostree(repo, "config", "set", "sysroot.bootloader", bootloader)
            ostree(repo, "remote", "add", "--no-gpg-verify", "site", f"{self.url}bench/repo")
            ostree(repo, "pull", "site", f"{REF}@{self.first}")
            command.run([*admin, "deploy", "--os=shale", f"site:{REF}"])


def make_disk(path: Path, size: int) -> None:
    """An empty ext4 file system in a file."""
    with path.open("xb") as image:
        image.truncate(size)
    command.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-I", "256", "-m", "0", "-E", "lazy_itable_init=0", str(path)])


def copy_disk(source: Path, target: Path) -> Path:
    """Another image with the same content; holes stay holes."""
    command.run(["cp", "--sparse=always", str(source), str(target)])
    return target


@contextmanager
def mounted(image: Path) -> Iterator[Path]:
    """The file system of an image, mounted at a path of its own while the body runs."""
    place = image.with_name(f"{image.name}.{next(_numbers)}.mnt")
    place.mkdir()
    command.run(["mount", "-o", "loop", str(image), str(place)])
    try:
        yield place
    finally:
        unmount(place)
        place.rmdir()


def unmount(place: Path) -> None:
    """Unmount, waiting for processes that were killed to be gone."""
    for _ in range(100):
        if command.run(["umount", str(place)], check=False).status == 0:
            return
        time.sleep(0.05)
    command.run(["umount", "--lazy", str(place)])
    raise AssertionError(f"{place} was in use for five seconds")


def argv_of(sysroot: Path, words: Sequence[str]) -> list[str]:
    """The command line of `layer`."""
    return [str(LAYER), words[0], f"--sysroot={sysroot}", *words[1:]]


def layer(sysroot: Path, *words: str, timeout: float = 120) -> Ended:
    """Run `layer` to its end, in a process of its own: libostree in this one would keep the file system in use."""
    return run(argv_of(sysroot, words), timeout=timeout)


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float = 120) -> Ended:
    """Run a program to its end."""
    started = time.monotonic()
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout, check=False, cwd=TOP, env={**os.environ, **(env or {})}
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Traced:
    """A run under the tracer: `moments` and `met` are call, path, step."""

    status: int
    moments: tuple[tuple[str, str, str], ...]
    met: tuple[str, str, str] | None
    #: From what was done to it to its end.
    seconds: float
    stderr: str


def trace(sysroot: Path, words: Sequence[str], *, at: int = 0, signum: int = 9, cut: bool = False) -> Traced:
    """Run `layer` and let it end at the moment `at` of those it has; 0 only counts them."""
    said: dict[str, Any] = {"at": at, "signal": signum, "cut": str(sysroot) if cut else None}
    # The bindings of libseccomp are the distribution's.
    argv = [sys.executable, "-m", "tests.faults.tracer", json.dumps(said), *argv_of(sysroot, words)]
    # What Python would write of modules that are new is no moment of ours, and would be there once.
    done = run(argv, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.status == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    moments = tuple((call, path, step) for call, path, step in answer["moments"])
    met = None if answer["met"] is None else tuple(answer["met"])
    return Traced(answer["status"], moments, met, answer["seconds"], done.stderr)


@contextmanager
def scratch(beside: Path, room: int = 4 << 30) -> Iterator[Path]:
    """A directory for images: in memory where there is room for them, else `beside`."""
    memory = Path("/dev/shm")
    found = os.statvfs(memory) if memory.is_dir() else None
    if found is None or found.f_bavail * found.f_frsize < room:
        yield beside
        return
    place = memory / f"strata-faults-{os.getpid()}-{next(_numbers)}"
    place.mkdir()
    try:
        yield place
    finally:
        command.run(["rm", "-rf", "--one-file-system", str(place)])
