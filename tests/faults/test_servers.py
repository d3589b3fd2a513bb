# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers that break off, lie, lead in circles or say nothing: nothing is changed, and once they are well all works."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.machine import Ended, Site, argv_of, copy_disk, layer, mounted, run, tools
from tests.support import webserver
from tests.support.oracle import check_bootable, check_left_nothing, entries, state_of
from tests.support.rpms import make_repo, rpm

pytestmark = [pytest.mark.needs("root", "bwrap", "ostree", "mkfs.ext4"), pytest.mark.timeout(600)]
RPM = "tools/tool-0-1-1.noarch.rpm"
REPOMD = "tools/repodata/repomd.xml"
_IMPATIENT = (
    "import rpmtree.rpm.fetch as fetch; fetch.TIMEOUT, fetch.PAUSE = 0.5, 0.01; from layering.cli import main; main()"
)
#: One answer: status, headers, body.
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Served:
    """A site, and the server that machines get it from."""

    site: Site
    web: webserver.Site

    def content(self, path: str) -> bytes:
        return (self.web.root / path).read_bytes()

    def asked(self, end: str) -> int:
        """How often a path was asked for."""
        return sum(path.endswith(end) for path, _ in self.web.requests)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    top = tmp_path_factory.mktemp("served")
    with webserver.serve(top) as web:
        site = Site.make(top, tools(2), web.url)
        make_repo(top / "extra", [rpm("extra", version="1", requires=["shell"], files={"/usr/share/extra": "e"})])
        yield Served(site, web)


@pytest.fixture
def served(everything: Served) -> Iterator[Served]:
    """The site, well again afterwards."""
    everything.web.requests.clear()
    yield everything
    everything.web.answers.clear()
    everything.web.cut.clear()
    everything.web.hold(None)


@pytest.fixture(scope="module")
def machine(everything: Served, images: Path) -> Iterator[Path]:
    """A machine with the first release; not to be changed."""
    everything.site.machine(images / "served")
    yield images / "served"
    (images / "served").unlink()


@pytest.fixture
def sysroot(machine: Path, images: Path) -> Iterator[Path]:
    image = copy_disk(machine, images / "client")
    with mounted(image) as sysroot:
        yield sysroot
    image.unlink()


def impatient(sysroot: Path, *words: str) -> Ended:
    """Run `layer`, which waits for servers half a second at most."""
    return run([sys.executable, "-c", _IMPATIENT, *argv_of(sysroot, words)[1:]])


def refused(sysroot: Path, fault: str, ended: Ended) -> str:
    """See that a command came to a FetchError, and nothing else; gives what it said."""
    assert ended.status == 5, f"{fault}: {ended.stderr}"
    assert "Traceback" not in ended.stderr, fault
    check_left_nothing(sysroot)
    assert not entries(sysroot)[1:], fault
    return ended.stderr


def works(sysroot: Path, *words: str) -> None:
    assert (done := layer(sysroot, *words)).status == 0, done.stderr
    check_left_nothing(sysroot)


def add_repo(sysroot: Path, name: str, url: str, more: str = "") -> None:
    place = entries(sysroot)[0][1] / f"etc/yum.repos.d/{name}.repo"
    place.write_text(f"[{name}]\nname={name}\nbaseurl={url}\nenabled=1\ngpgcheck=0\nmetadata_expire=0\n{more}")


def flipped(data: bytes) -> bytes:
    """The data with one bit of its middle changed."""
    half = len(data) // 2
    return data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]


def test_a_download_is_gone_on_with(served: Served, sysroot: Path) -> None:
    half = len(served.content(RPM)) // 2
    served.web.cut[RPM] = half
    works(sysroot, "install", "tool-0")
    assert [wanted for path, wanted in served.web.requests if path == RPM] == ["", f"bytes={half}-"]


def _answers(served: Served) -> dict[str, dict[str, Answer]]:
    """Fault → path → what is answered there."""
    rpm_file = served.content(RPM)
    short: Answer = (200, {"Content-Length": str(len(rpm_file)), "Connection": "close"}, rpm_file[: len(rpm_file) // 2])
    circle: Answer = (302, {"Location": f"{served.web.url}{RPM}"}, b"")
    primary = next(path.name for path in (served.web.root / "tools/repodata").glob("*primary.xml*"))
    return {
        # First, while there is no metadata that is kept and would do.
        "no repository": {REPOMD: (404, {}, b"")},
        "a broken repository": {REPOMD: (503, {}, b"")},
        "no XML": {REPOMD: (200, {}, b"<html>log in")},
        "other metadata": {
            f"tools/repodata/{primary}": (200, {}, flipped(served.content(f"tools/repodata/{primary}")))
        },
        "always cut": {RPM: short},
        "other bytes": {RPM: (200, {}, random.Random(0).randbytes(len(rpm_file)))},
        "one bit": {RPM: (200, {}, flipped(rpm_file))},
        "another package": {RPM: (200, {}, served.content("tools/tool-1-1-1.noarch.rpm"))},
        "too long": {RPM: (200, {}, rpm_file + b"more")},
        "a page": {RPM: (200, {"Content-Type": "text/html"}, b"<html>log in</html>")},
        "missing": {RPM: (404, {}, b"")},
        "broken": {RPM: (500, {}, b"")},
        "in circles": {RPM: circle},
        "to a file": {RPM: (302, {"Location": f"file://{served.web.root / RPM}"}, b"")},
    }


def test_a_repository_fails(served: Served, sysroot: Path) -> None:
    for fault, answers in _answers(served).items():
        served.web.requests.clear()
        served.web.answers = {path: [answer] for path, answer in answers.items()}
        said = refused(sysroot, fault, impatient(sysroot, "install", "tool-0"))
        assert "tools" in said, fault
        assert served.asked(RPM) <= 18, fault  # three attempts, of six hops at most
    served.web.answers.clear()
    works(sysroot, "install", "tool-0")


@pytest.mark.parametrize("status", [404, 500])
def test_a_repository_that_is_not_needed_fails(status: int, served: Served, sysroot: Path) -> None:
    add_repo(sysroot, "extra", f"{served.web.url}extra")
    served.web.answers["extra/repodata/repomd.xml"] = [(status, {}, b"")]
    done = impatient(sysroot, "install", "tool-0")
    assert done.status == 0, done.stderr
    assert "extra" in done.stderr
    ended = impatient(sysroot, "install", "extra")
    assert ended.status in (4, 5)
    assert "extra" in ended.stderr
    served.web.answers.clear()
    works(sysroot, "install", "extra")


def test_a_server_that_says_nothing(served: Served, sysroot: Path) -> None:
    served.web.hold(RPM)
    before = state_of(sysroot)
    assert "timed out" in refused(sysroot, "silence", impatient(sysroot, "install", "tool-0"))
    assert state_of(sysroot) == before
    served.web.hold(None)
    works(sysroot, "install", "tool-0")


def test_through_a_proxy(served: Served, sysroot: Path) -> None:
    add_repo(sysroot, "tools", "http://nowhere.invalid/tools", f"proxy={served.web.url}\n")
    works(sysroot, "install", "tool-0")
    assert served.asked(RPM) == 1


def objects(served: Served, kind: str) -> Sequence[str]:
    """The objects of a kind that an upgrade fetches, as the server sees them."""
    found = sorted({path for path, _ in served.web.requests if path.endswith(f".{kind}") and "/objects/" in path})
    assert found
    return found


FAULTS: dict[str, Callable[[bytes], Answer]] = {
    "truncated": lambda data: (200, {}, data[: len(data) // 2]),
    "flipped": lambda data: (200, {}, flipped(data)),
    "empty": lambda data: (200, {}, b""),
    "missing": lambda data: (404, {}, b""),
}


@pytest.fixture(scope="module")
def fetched(everything: Served, machine: Path, images: Path) -> dict[str, Sequence[str]]:
    """The objects that an upgrade fetches, by kind."""
    image = copy_disk(machine, images / "counted")
    with mounted(image) as sysroot:
        everything.web.requests.clear()
        assert layer(sysroot, "upgrade").status == 0
        found = {kind: objects(everything, kind) for kind in ("commit", "dirtree", "filez")}
    image.unlink()
    return found


@pytest.mark.parametrize("kind", ["commit", "dirtree", "filez"])
def test_an_object_is_not_what_it_should_be(
    kind: str, fetched: dict[str, Sequence[str]], served: Served, sysroot: Path
) -> None:
    before = state_of(sysroot)
    path = fetched[kind][-1]
    for fault, answer in FAULTS.items():
        served.web.answers[path] = [answer(served.content(path))]
        ended = layer(sysroot, "upgrade")
        assert ended.status in (5, 8), f"{fault}: {ended.stderr}"
        assert "Traceback" not in ended.stderr, fault
        check_bootable(sysroot)
        assert state_of(sysroot) == before, fault
    served.web.answers.clear()
    works(sysroot, "upgrade")
    assert entries(sysroot)[0][0].checksum == served.site.newest
