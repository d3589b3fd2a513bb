# SPDX-License-Identifier: GPL-2.0-or-later
"""The same inputs give the same commit, whatever the directory, the cache, the time, the umask and the environment.

Granite 12 with kernel and initramfs is composed twice in `test_image`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.shale import NEWEST, REF, Bench, Shale, ostree
from tests.support.rpms import make_repo, repo_file, rpm


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, shale: Shale) -> str:
    """The commit of an ordinary compose."""
    bench = Bench(tmp_path_factory.mktemp("expected") / "bench", shale)
    bench.compose()
    return bench.commit()


def test_in_another_directory_without_a_cache(bench: Bench, expected: str) -> None:
    bench.compose(cached=False)
    assert bench.commit() == expected


def test_with_another_cache_that_was_used_before(bench: Bench, expected: str) -> None:
    bench.treefile["packages"] = ["kernel", "manual", "greeter"]
    bench.compose()
    assert bench.commit() != expected  # the control
    bench.init()
    bench.treefile["packages"] = ["kernel", "greeter"]  # in another order
    bench.compose()
    assert bench.commit() == expected


def test_with_packages_copied_elsewhere(bench: Bench, expected: str) -> None:
    """Other inodes, times and another place."""
    where = bench.top / "copied"
    shutil.copytree(bench.shale.repository, where, copy_function=shutil.copyfile)
    repo_file(bench.top / "shale.repo", "shale", where, gpgcheck=True, gpgkey=bench.shale.key)
    bench.compose()
    assert bench.commit() == expected


def test_source_date_epoch_decides_if_it_is_set(bench: Bench, expected: str) -> None:
    bench.compose(env={"SOURCE_DATE_EPOCH": str(NEWEST)})
    assert bench.commit() == expected
    bench.init()
    bench.compose(env={"SOURCE_DATE_EPOCH": str(NEWEST + 1)})
    assert bench.commit() != expected
    assert "2023-11-14 22:21:41" in ostree(bench.repo, "show", REF)
    bench.compose(status=2, env={"SOURCE_DATE_EPOCH": "yesterday"})


@pytest.mark.parametrize("umask", ["000", "077", "777"])
def test_with_another_umask(bench: Bench, expected: str, umask: str) -> None:
    bench.compose(through=["sh", "-c", f'umask {umask} && exec "$@"', "sh"])
    assert bench.commit() == expected


ENVIRONMENTS: dict[str, list[str]] = {
    "empty": ["env", "-i"],
    "no HOME": ["env", "-u", "HOME"],
    "another HOME": ["env", "HOME=/nonexistent"],
    "LANG=C": ["env", "LANG=C", "LC_ALL=C"],
    "German": ["env", "LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8", "LANGUAGE=de"],
    "time zone": ["env", "TZ=Pacific/Kiritimati"],
    "TMPDIR": ["env", "TMPDIR=/nonexistent"],
    "secrets": ["env", "LD_LIBRARY_PATH=/nonexistent", "http_proxy=http://proxy.invalid", "TOKEN=x", "SHELL=/no"],
    "closed stdin": ["sh", "-c", 'exec "$@" <&-', "sh"],
    "closed stderr": ["sh", "-c", 'exec "$@" 2>&-', "sh"],
    "priority": ["nice", "-n", "10"],
    "other hash seed": ["env", "PYTHONHASHSEED=7"],
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_in_another_environment(bench: Bench, expected: str, case: str) -> None:
    done = bench.compose(through=ENVIRONMENTS[case])
    assert done.stdout == f"{REF} => {expected}\n"


def test_in_a_directory_that_is_gone(bench: Bench, expected: str) -> None:
    gone = bench.top / "gone"
    gone.mkdir()
    bench.compose(through=["sh", "-c", f'cd {gone} && rmdir {gone} && exec "$@"', "sh"])
    assert bench.commit() == expected


def test_with_stdout_closed_it_is_an_error_that_loses_nothing(bench: Bench, expected: str) -> None:
    """The commit is made; that it can't be told is status 1. The next run has nothing to do."""
    bench.compose(status=1, through=["sh", "-c", 'exec "$@" >&-', "sh"])
    assert bench.commit() == expected
    bench.check()
    assert "No apparent changes" in bench.compose().stdout


def test_a_reader_that_leaves_is_no_traceback(bench: Bench, expected: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(bench.argv(), stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert ended.returncode == 128 + 13
    assert b"Traceback" not in ended.stderr
    assert bench.commit() == expected


def test_nothing_of_this_machine_is_seen_by_scripts(bench: Bench) -> None:
    """Reliability E8: names, secrets and the time of this machine do not get into the commit."""
    body = "export -p >/etc/env; cat /proc/sys/kernel/hostname >/etc/host; cat /etc/machine-id >/etc/id 2>&1 || :"
    bench.add_repo("curious", [rpm("curious", requires=["shell"], post=body)])
    bench.treefile["packages"] = ["greeter", "kernel", "curious"]
    bench.compose(env={"SECRET_TOKEN": "do-not-tell"})
    first = bench.commit()
    read = {name: bench.cat(f"/usr/etc/{name}") for name in ("env", "host", "id")}
    assert "do-not-tell" not in read["env"]
    assert f"SOURCE_DATE_EPOCH='{NEWEST}'" in read["env"]
    machine_id = Path("/etc/machine-id")
    assert not machine_id.exists() or machine_id.read_text().strip() not in ("", read["id"].strip())
    bench.init()
    bench.compose(env={"SECRET_TOKEN": "another"}, through=["unshare", "--uts", "sh", "-c",
        'hostname elsewhere && exec "$@"', "sh"])  # fmt: skip
    assert bench.commit() == first
    assert bench.cat("/usr/etc/host") == read["host"]


def test_repositories_in_another_order(bench: Bench, expected: str) -> None:
    empty = make_repo(bench.top / "empty", [rpm("unused")], key=bench.shale.key)
    repo_file(bench.top / "empty.repo", "empty", empty, gpgcheck=True, gpgkey=bench.shale.key)
    trees = set()
    for order in (["shale", "empty"], ["empty", "shale"]):
        bench.init()
        bench.treefile["repos"] = order
        bench.compose()
        bench_tree = {path: line for path, line in bench.paths().items() if not path.endswith("treefile.json")}
        trees.add(str(sorted(bench_tree.items())))
    assert len(trees) == 1
