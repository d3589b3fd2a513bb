# SPDX-License-Identifier: GPL-2.0-or-later
"""No room: said with figures before anything is fetched where that can be told, and survived where it can't."""

from __future__ import annotations

import os
import random
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rpmtree import command
from tests.faults.machine import MEGABYTE, Ended, Site, argv_of, copy_disk, layer, make_disk, mounted, run, tools
from tests.support import webserver
from tests.support.oracle import check_left_nothing, entries, state_of
from tests.support.rpms import file, rpm

pytestmark = [pytest.mark.needs("root", "bwrap", "ostree", "mkfs.ext4", "fallocate"), pytest.mark.timeout(600)]
KERNEL = "shale/kernel/stable"
STEPS = int(os.environ.get("STRATA_FULL", "3"))
_FIGURES = re.compile(r"error: there is not enough space: .*: ([\d,]+) bytes are needed, ([\d,]+) are free")
#: `layer` that does not look how much room there is, as where another program takes it meanwhile.
_BLIND = "import layering.space as space; space.check_space = lambda *_: None; from layering.cli import main; main()"


@dataclass(frozen=True, slots=True)
class Served:
    """A site, and the server that machines get it from."""

    site: Site
    web: webserver.Site
    #: The first release with the big kernel, of two.
    kernel: str

    def fetched(self) -> list[str]:
        """What was fetched of packages and of commits' content."""
        return [path for path, _ in self.web.requests if path.endswith((".rpm", ".filez"))]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A site with one more branch, whose kernel takes six megabytes."""
    top = tmp_path_factory.mktemp("served")
    noise = random.Random(1).randbytes
    big = rpm("big", version="1", requires=["shell"], files={"/usr/share/big": "\0" * (24 * MEGABYTE)})
    solid = rpm("solid", version="1", requires=["shell"], post="echo >/usr/share/solid.made",
                files={f"/usr/share/solid/{number}": file(noise(MEGABYTE // 8)) for number in range(64)})  # fmt: skip
    boots = {"vmlinuz": file(noise(4 * MEGABYTE)), "initramfs.img": file(noise(2 * MEGABYTE))}
    kernel = rpm("kernel", version="7.0", arch="x86_64",
                 files={f"/usr/lib/modules/7.0/{name}": content for name, content in boots.items()})  # fmt: skip
    with webserver.serve(top) as web:
        site = Site.make(top, [*tools(1), big, solid], web.url)
        bench = site.bench
        bench.add_repo("kernels", [kernel])
        bench.treefile |= {"ref": KERNEL, "repos": ["shale", "repos", "kernels"]}
        bench.compose()
        first = bench.commit(KERNEL)
        bench.treefile["repos"] = ["shale", "newer", "kernels"]
        bench.compose()
        yield Served(site, web, first)


@pytest.fixture(scope="module")
def machine(served: Served, images: Path) -> Iterator[Path]:
    """A machine with the first release; not to be changed."""
    served.site.machine(images / "roomy")
    yield images / "roomy"
    (images / "roomy").unlink()


@pytest.fixture
def sysroot(machine: Path, images: Path) -> Iterator[Path]:
    image = copy_disk(machine, images / "full")
    with mounted(image) as sysroot:
        yield sysroot
    image.unlink()


@contextmanager
def left(where: Path, free: int) -> Iterator[None]:
    """Have so many bytes free where another program has taken the rest."""
    found = os.statvfs(where)
    filler = where / "filler"
    command.run(["fallocate", "-l", str(found.f_bavail * found.f_frsize - free), str(filler)])
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def left_inodes(where: Path, free: int) -> Iterator[None]:
    """Have so many inodes free."""
    filler = where / "fillers"
    filler.mkdir()
    for number in range(os.statvfs(where).f_favail - free):
        (filler / str(number)).touch()
    try:
        yield
    finally:
        command.run(["rm", "-r", str(filler)])


def figures(ended: Ended) -> tuple[int, int]:
    """The bytes that are needed and free, as an error says them."""
    found = _FIGURES.search(ended.stderr)
    assert found is not None, ended.stderr
    needed, free = (int(text.replace(",", "")) for text in found.groups())
    return needed, free


def blind(sysroot: Path, *words: str) -> Ended:
    """Run `layer` without its look at the room."""
    return run([sys.executable, "-c", _BLIND, *argv_of(sysroot, words)[1:]])


def test_packages_that_do_not_fit(served: Served, sysroot: Path) -> None:
    before = state_of(sysroot)
    served.web.requests.clear()
    with left(sysroot, 40 * MEGABYTE):
        ended = layer(sysroot, "install", "big")
        assert ended.status == 8
        needed, free = figures(ended)
        assert needed > 24 * MEGABYTE
        assert 39 * MEGABYTE < free <= 40 * MEGABYTE
        assert served.fetched() == []
        assert state_of(sysroot) == before
        assert layer(sysroot, "install", "tool-0").status == 0  # what fits is done
    assert layer(sysroot, "install", "big").status == 0
    assert len(served.fetched()) == 2
    check_left_nothing(sysroot)


def test_a_base_that_does_not_fit(served: Served, sysroot: Path) -> None:
    before = state_of(sysroot)
    served.web.requests.clear()
    with left(sysroot, 36 * MEGABYTE):
        ended = layer(sysroot, "rebase", f"site:{KERNEL}")
        assert ended.status == 8
        needed, free = figures(ended)
        assert needed > free
        # Of the content, just what a solve reads has come.
        assert len(served.fetched()) < 12
    check_left_nothing(sysroot)
    assert state_of(sysroot) == before
    assert layer(sysroot, "rebase", f"site:{KERNEL}").status == 0


def test_a_kernel_that_does_not_fit_into_boot(served: Served, sysroot: Path, images: Path) -> None:
    make_disk(images / "boot", 16 * MEGABYTE)
    with mounted(images / "boot") as small:
        command.run(["cp", "-a", f"{sysroot}/boot/.", str(small)])
        command.run(["mount", "--bind", str(small), f"{sysroot}/boot"])
        try:
            _fill_boot(served, sysroot)
        finally:
            command.run(["umount", f"{sysroot}/boot"])
    (images / "boot").unlink()


def _fill_boot(served: Served, sysroot: Path) -> None:
    words = ("rebase", f"site:{KERNEL}", served.kernel)
    before, boot = entries(sysroot), sysroot / "boot"
    served.web.requests.clear()
    with left(boot, 5 * MEGABYTE):
        ended = layer(sysroot, *words)
        assert ended.status == 8
        needed, free = figures(ended)
        assert 6 * MEGABYTE <= needed < 7 * MEGABYTE
        assert 4 * MEGABYTE < free <= 5 * MEGABYTE
        assert f"{boot}: " in ended.stderr
        assert len(served.fetched()) < 12
        assert entries(sysroot) == before
    assert (done := layer(sysroot, *words)).status == 0, done.stderr
    # A release with the kernel that is there needs no more room for it.
    with left(boot, 64 << 10):
        assert (done := layer(sysroot, "upgrade")).status == 0, done.stderr
        assert layer(sysroot, "install", "tool-0").status == 0


@pytest.mark.parametrize("words", [("install", "solid"), ("rebase", f"site:{KERNEL}")], ids=lambda words: words[0])
def test_the_disk_fills_up_meanwhile(words: Sequence[str], machine: Path, images: Path) -> None:
    failed = set()
    for index in range(STEPS):
        image = copy_disk(machine, images / "filling")
        with mounted(image) as sysroot:
            before = state_of(sysroot)
            free = index * 14 * MEGABYTE // STEPS
            with left(sysroot, free):
                ended = blind(sysroot, *words)
                assert ended.status in (0, 8), ended.stderr
                if ended.status == 8:
                    failed.add(re.sub(r"[0-9a-f]{16,}", "…", ended.stderr))
                    assert "Traceback" not in ended.stderr
                    assert "o space left" in ended.stderr or "min-free-space" in ended.stderr, ended.stderr
                    check_left_nothing(sysroot)
                    assert state_of(sysroot) == before, free
            assert (done := layer(sysroot, *words)).status == 0 or ended.status == 0, done.stderr
            check_left_nothing(sysroot)
        image.unlink()
    assert len(failed) > 1
    print(*failed, sep="\n")


def test_no_inodes_are_left(machine: Path, images: Path) -> None:
    failed = 0
    for index in range(STEPS):
        image = copy_disk(machine, images / "inodes")
        with mounted(image) as sysroot:
            before = state_of(sysroot)
            with left_inodes(sysroot, index * 30 // STEPS):
                ended = layer(sysroot, "install", "tool-0")
                assert ended.status in (0, 8), ended.stderr
                if ended.status == 8:
                    failed += 1
                    check_left_nothing(sysroot)
                    assert state_of(sysroot) == before
            assert layer(sysroot, "install", "tool-0").status == 0 or ended.status == 0
            check_left_nothing(sysroot)
        image.unlink()
    assert failed
