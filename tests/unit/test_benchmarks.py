# SPDX-License-Identifier: GPL-2.0-or-later
"""The pure parts of the benchmarks: how costs are read, how figures are judged, how a newer build is made."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmarks import rpmfile
from benchmarks.bigrepo import make_big, packages
from benchmarks.compose import TARGETS, summary, table, verdict
from benchmarks.measure import BenchmarkError, accounting, parse_peak, parse_usage
from benchmarks.subject import Rpm, choose
from rpmtree.errors import Place
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import PackageRequest
from rpmtree.rpm.solver import open_source
from tests.support.openpgp import Key
from tests.support.rpms import file, rpm
from tests.support.rpmvalues import Package
from tests.support.rpmwriter import rpm_bytes, write_rpm

TMPFS = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
SECOND = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
CPU = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
CPUACCT = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"


@pytest.mark.parametrize(
    ("mounts", "where", "name"),
    [
        (TMPFS + CPUACCT, "/sys/fs/cgroup/cpu,cpuacct", "cpuacct.usage"),
        (TMPFS + SECOND, "/sys/fs/cgroup/unified", "cpu.stat"),
        (SECOND + CPU + CPUACCT, "/sys/fs/cgroup/cpu,cpuacct", "cpuacct.usage"),
        (CPU + SECOND, "/sys/fs/cgroup/unified", "cpu.stat"),
    ],
)
def test_the_control_group_that_counts_cpu_time(mounts: str, where: str, name: str) -> None:
    assert accounting(mounts)[:2] == (Path(where), name)


def test_without_accounting_there_is_no_measurement() -> None:
    with pytest.raises(BenchmarkError):
        accounting(TMPFS + CPU)


@pytest.mark.parametrize(
    ("text", "usage"), [("1500000000\n", 1_500_000_000), ("usage_usec 42\nuser_usec 40\nsystem_usec 2\n", 42)]
)
def test_usage_in_both_versions(text: str, usage: int) -> None:
    assert parse_usage(text) == usage


def test_peak_memory_of_a_process_and_of_a_zombie() -> None:
    assert parse_peak("Name:\tx\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t 99 kB\n") == 123
    assert parse_peak("Name:\tx\nState:\tZ (zombie)\n") == 0


def test_the_output_has_median_and_runs_of_each_figure() -> None:
    assert summary({"cold": [3.0, 1.0, 2.0]}) == {"cold": {"median": 2.0, "runs": [3.0, 1.0, 2.0]}}


@pytest.mark.parametrize(
    ("median", "limit", "said"), [(0.5, 0.5, "ok"), (0.51, 0.5, "MISSED"), (0.1, 0.5, "ok"), (9.0, None, "")]
)
def test_verdict(median: float, limit: float | None, said: str) -> None:
    assert verdict(median, limit) == said


def test_the_table_judges_by_the_median_and_names_what_is_missing() -> None:
    name, other = list(TARGETS)[:2]
    lines = table({name: [0.0, 0.0, 99.0], "other_load": [0.1]})
    judged = next(line for line in lines if line.startswith(f"{name} "))
    assert judged.endswith("ok")
    assert f"{other:<28}not measured" in lines
    assert not lines[-1].startswith("The machine")
    assert table({"other_load": [0.1, 1.2]})[-1].startswith("The machine")


@pytest.mark.parametrize(("old", "new"), [("1", "2"), ("9.el9", "10.el9"), ("b+deb12u3", "b+deb13u3"), ("x", "x1")])
def test_newer_release(old: str, new: str) -> None:
    assert rpmfile.newer_release(old) == new


#: Small ones are made in milliseconds.
OLD, NEW = Key.generate(), Key.generate()
TEXT = b"a line of text\n" * 10


def example(name: str = "example", **said: object) -> Package:
    files = {"/usr/share/x/a": file(TEXT), "/usr/share/x/b": file(b"b" * 99), "/usr/share/x/doc": file(TEXT, doc=True)}
    return rpm(name, **{"version": "2", "release": "7", "epoch": 1, "files": files, **said})  # type: ignore[arg-type]


def test_a_bumped_package_is_newer_in_release_and_in_one_file() -> None:
    changed = "/usr/share/x/b"
    old = rpm_bytes(example(), key=OLD)
    new = rpmfile.bump(old, changed, NEW)
    before, after = (rpmfile.read_tags(rpmfile.split(data)[0]) for data in (old, new))
    assert (rpmfile.evr(before), rpmfile.evr(after)) == ("1:2-7", "1:2-8")
    assert rpmfile.paths(before) == rpmfile.paths(after)
    changes = {number for number in before | after if before.get(number) != after.get(number)}
    assert changes <= {1002, 1113, 1035, 5092, 5097}
    assert after[1113][1] == ["1:2-8"]
    digests = dict(zip(rpmfile.paths(after), after[1035][1], strict=True))
    assert digests[changed] == hashlib.sha256(b"b" * 98 + b"\n").hexdigest()
    payload = rpmfile.split(new)[1]
    assert after[5092][1] == [hashlib.sha256(payload).hexdigest()]
    assert b"b" * 98 + b"\n" in rpmfile.decompress(payload)


@pytest.mark.needs("rpm:", "root")
def test_a_bumped_package_passes_our_own_checks(tmp_path: Path) -> None:
    from rpmtree.errors import FetchError
    from rpmtree.rpm.signatures import Verifier

    path = tmp_path / "new.rpm"
    path.write_bytes(rpmfile.bump(rpm_bytes(example(), key=OLD), "/usr/share/x/b", NEW))
    with path.open("rb") as data:
        assert Verifier([NEW.public_key().encode()]).read_header(data.fileno(), name="x", gpgcheck=True)
    with path.open("rb") as data, pytest.raises(FetchError):
        Verifier([OLD.public_key().encode()]).read_header(data.fileno(), name="x", gpgcheck=True)


def test_a_file_whose_content_is_there_twice_can_not_be_changed_alone() -> None:
    data = rpm_bytes(example())
    with pytest.raises(BenchmarkError):
        rpmfile.bump(data, "/usr/share/x/a", NEW)


def test_the_changed_package_is_small_and_not_required_by_its_build(tmp_path: Path) -> None:
    plain = {"/usr/share/y": file("y" * 200)}
    made = [
        example("pinned", files=plain),
        example("needs-it", requires=["pinned = 1:2-7"], files={"/usr/bin/z": file("z" * 200)}),
        example("loose", files=plain),
        example("large", files={"/usr/share/large": file(bytes(range(256)) * 4096)}, compression="none"),
        example("docs", files={"/usr/share/docs": file("d" * 200, doc=True)}),
    ]
    written = [write_rpm(tmp_path, package) for package in made]
    rpms = [Rpm(path, rpmfile.read_tags(rpmfile.split(path.read_bytes())[0])) for path in written]
    chosen, changed = choose(rpms)
    assert (chosen.name, changed) == ("loose", "/usr/share/y")
    with pytest.raises(BenchmarkError):
        choose([found for found in rpms if found.name in ("pinned", "needs-it", "docs")])


def test_a_big_repository_is_the_same_each_time(tmp_path: Path) -> None:
    def content(name: str, count: int) -> dict[str, bytes]:
        repodata = make_big(tmp_path / name, count) / "repodata"
        return {path.name: path.read_bytes() for path in repodata.iterdir()}

    first = content("a", 400)
    assert sorted(first) == ["filelists.xml.gz", "primary.xml.gz", "repomd.xml"]
    assert content("b", 400) == first
    assert content("c", 401) != first


def test_a_big_repository_can_be_solved(tmp_path: Path) -> None:
    where = make_big(tmp_path / "r", 400)
    repo = Repo("r", "r", Place("x.repo", 1), baseurl=(f"file://{where}",), gpgcheck=False)
    last = packages(400)[-1]
    with open_source(PackageRequest((repo,), (last.name,), "x86_64"), tmp_path / "cache") as source:
        assert last.name in {package.nevra.name for package in source.solve().packages}
        assert source.search([last.name])
