# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests against small real repositories: what is chosen, and what is said where nothing can be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rpmtree.errors import ConfigError, FetchError, Place, SolveError
from rpmtree.progress import Reporter
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import PackageRequest, Solution
from rpmtree.rpm.solver import open_source
from tests.support.openpgp import Key
from tests.support.rpms import Advisory, make_repo, rpm

BASE = (
    rpm("app", requires=["lib >= 2", "/usr/bin/tool"], recommends=["nice"], files={"/usr/bin/app": "a"}),
    rpm("lib", version="1.0"),
    rpm("lib", version="2.0~rc1", epoch=1, provides=["virtual = 4.1"]),
    rpm("tool", files={"/usr/bin/tool": "t", "/opt/deep/tool": "t"}, source="toolbox-9-1.src.rpm"),
    rpm("nice"),
    rpm("needs-deep", requires=["/opt/deep/tool"]),
    rpm("broken", requires=["absent >= 3"]),
    rpm("enemy", conflicts=["app"]),
    rpm("old-name", version="5"),
    rpm("new-name", obsoletes=["old-name < 9"], provides=["old-name = 9"]),
)
EXTRA = (rpm("lib", version="3.0", epoch=1), rpm("nice", version="2"), rpm("only-extra"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    groups = {"things": ["nice", "lib", "not-there"]}
    advisories = [Advisory("STRATA-1", ("tool",), severity="Critical", cves=("CVE-2026-1",))]
    return make_repo(tmp_path_factory.mktemp("base"), BASE, groups=groups, advisories=advisories)


@pytest.fixture(scope="module")
def extra(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repo(tmp_path_factory.mktemp("extra"), EXTRA)


def local(repo_id: str, directory: Path, **said: Any) -> Repo:
    return Repo(repo_id, repo_id, Place("x.repo", 1), baseurl=(f"file://{directory}",), gpgcheck=False, **said)


def solve(
    cachedir: Path, repos: tuple[Repo, ...], *packages: str, reporter: Reporter | None = None, **said: Any
) -> Solution:
    request = PackageRequest(repos, packages, "x86_64", **said)
    with open_source(request, cachedir, reporter=reporter) as source:
        return source.solve()


def names(solution: Solution) -> list[str]:
    return [f"{package.nevra.name}-{package.nevra.evr}" for package in solution.packages]


LIB, TOOL, NICE = "lib-1:2.0~rc1-1", "tool-1.0-1", "nice-1.0-1"
ANSWERS: dict[str, tuple[list[str], dict[str, Any], list[str]]] = {
    "a name": (["tool"], {}, [TOOL]),
    "the newest": (["lib"], {}, [LIB]),
    "with what it needs": (["app"], {}, ["app-1.0-1", LIB, NICE, TOOL]),
    "without what it recommends": (["app"], {"recommends": False}, ["app-1.0-1", LIB, TOOL]),
    "name.arch": (["tool.noarch"], {}, [TOOL]),
    "name-version": (["lib-1.0"], {}, ["lib-1.0-1"]),
    "NEVRA": (["lib-1:2.0~rc1-1.noarch"], {}, [LIB]),
    "a version": (["lib = 1.0"], {}, ["lib-1.0-1"]),
    "something provided": (["virtual"], {}, [LIB]),
    "provided with a version": (["virtual >= 4"], {}, [LIB]),
    "a program": (["/usr/bin/tool"], {}, [TOOL]),
    "any file": (["/opt/deep/tool"], {}, [TOOL]),
    "a file that another package needs": (["needs-deep"], {}, ["needs-deep-1.0-1", TOOL]),
    "a pattern": (["to*", "ni?e"], {}, [NICE, TOOL]),
    "a group": (["@things"], {}, [LIB, NICE]),
    "twice": (["tool", "tool"], {}, [TOOL]),
    "what took its place": (["old-name"], {}, ["new-name-1.0-1"]),
    "a locked version": (["lib"], {"locked": {"lib": ("1.0-1.noarch", None)}}, ["lib-1.0-1"]),
    "a lock by name.arch": (["lib"], {"locked": {"lib.noarch": ("1.0-1", None)}}, ["lib-1.0-1"]),
    "locked, others free": (["tool", "lib"], {"locked": {"lib": ("1.0-1.noarch", None)}}, ["lib-1.0-1", TOOL]),
    "strictly locked": (
        ["tool"], {"locked": {"tool": ("1.0-1.noarch", None)}, "lock_strict": True}, [TOOL]),
    "an exclusion of what nobody needs": (["tool"], {"excludes": ("lib*", "broken")}, [TOOL]),
    "an exclusion of a recommendation": (["app"], {"excludes": ("nice",)}, ["app-1.0-1", LIB, TOOL]),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_it_is_solved(tmp_path: Path, base: Path, case: str) -> None:
    packages, said, expected = ANSWERS[case]
    assert names(solve(tmp_path, (local("base", base),), *packages, **said)) == expected


#: Request → words of each problem, in order.
BLOCKED: dict[str, tuple[list[str], dict[str, Any], list[list[str]]]] = {
    "missing ones together": (["nope", "tol", "tool"], {}, [["nope", "tol", "tool?"]]),
    "a missing group": (["@nope"], {}, [["@nope"]]),
    "unmet": (["broken"], {}, [["absent >= 3", "broken"]]),
    "conflict": (["app", "enemy"], {}, [["enemy", "app"]]),
    "all at once": (
        ["nope", "broken", "app", "enemy"], {"excludes": ("nice",)},
        [["nope"], ["absent"], ["enemy", "app"]]),
    "requested and excluded": (["lib", "tool"], {"excludes": ("lib",)}, [["lib", "exclude-packages"]]),
    "needed and excluded": (["app"], {"excludes": ("tool",)}, [["tool", "exclude-packages"]]),
    "no such version": (["lib = 7"], {}, [["lib = 7"]]),
    "locked too low": (["app"], {"locked": {"lib": ("1.0-1.noarch", None)}}, [["lib", "lockfile"]]),
    "locked by another digest": (
        ["lib"], {"locked": {"lib": ("1.0-1.noarch", f"sha256:{'0' * 64}")}}, [["lib", "lockfile"]]),
    "not in the strict lock": (
        ["app"], {"locked": {"app": ("1.0-1.noarch", None)}, "lock_strict": True}, [["app", "lockfile"]]),
}  # fmt: skip


@pytest.mark.parametrize("case", BLOCKED)
def test_it_is_said_what_is_in_the_way(tmp_path: Path, base: Path, case: str) -> None:
    packages, said, expected = BLOCKED[case]
    with pytest.raises(SolveError) as raised:
        solve(tmp_path, (local("base", base),), *packages, **said)
    problems = raised.value.problems
    assert len(problems) == len(expected)
    for problem, words in zip(problems, expected, strict=True):
        assert "\n" not in problem
        assert " → " in problem
        assert all(word in problem for word in words), problem


def test_a_solution_says_where_everything_is_from(tmp_path: Path, base: Path) -> None:
    import hashlib

    with open_source(PackageRequest((local("base", base),), ("tool",), "x86_64"), tmp_path) as source:
        solution = source.solve()
        (package,) = solution.packages
        path = source.fetch(solution.packages)[package.nevra]
    assert path == base / "tool-1.0-1.noarch.rpm"
    assert package.checksum == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert (package.repo_id, package.download_size) == ("base", path.stat().st_size)
    assert (package.location, package.source_rpm) == (path.name, "toolbox-9-1.src.rpm")
    assert [(repo.id, repo.revision, repo.timestamp) for repo in solution.repos] == [("base", "1700000000", 1700000000)]
    (advisory,) = solution.advisories
    assert (advisory.id, advisory.kind, advisory.severity) == ("STRATA-1", 1, 4)
    assert advisory.packages == ("tool-1.0-1.noarch",)
    assert [name for name, _ in advisory.cves] == ["CVE-2026-1"]


def test_the_order_of_repositories_and_requests_has_no_say(tmp_path: Path, base: Path, extra: Path) -> None:
    """The cache of one order doesn't serve the other, so that each is solved from the start."""
    repos = (local("base", base), local("same", base), local("extra", extra))
    requested = ("app", "nice", "only-extra")
    forward = solve(tmp_path / "a", repos, *requested)
    assert solve(tmp_path / "b", repos[::-1], *requested[::-1]) == forward
    assert names(forward) == ["app-1.0-1", "lib-1:3.0-1", "nice-2-1", "only-extra-1.0-1", TOOL]
    assert [package.repo_id for package in forward.packages] == ["base", "extra", "extra", "extra", "base"]


def test_the_better_priority_wins_over_the_newer_version(tmp_path: Path, base: Path, extra: Path) -> None:
    plain = (local("base", base), local("extra", extra))
    assert names(solve(tmp_path, plain, "nice")) == ["nice-2-1"]
    assert names(solve(tmp_path, (local("base", base, priority=10), plain[1]), "nice")) == [NICE]


def test_repo_packages_come_from_their_repository_alone(tmp_path: Path, base: Path, extra: Path) -> None:
    repos = (local("base", base), local("extra", extra))
    pinned = solve(tmp_path, repos, "app", repo_packages=(("base", ("lib", "nice")),))
    assert names(pinned) == ["app-1.0-1", LIB, NICE, TOOL]
    with pytest.raises(SolveError):
        solve(tmp_path, repos, repo_packages=(("base", ("only-extra",)),))
    with pytest.raises(ConfigError):
        solve(tmp_path, repos, repo_packages=(("elsewhere", ("lib",)),))


def test_a_repository_keeps_packages_out(tmp_path: Path, base: Path, extra: Path) -> None:
    repos = (local("base", base), local("extra", extra, excludepkgs=("nice",)))
    assert names(solve(tmp_path, repos, "nice")) == [NICE]
    repos = (local("base", base), local("extra", extra, includepkgs=("only-*",)))
    assert names(solve(tmp_path, repos, "nice", "only-extra")) == [NICE, "only-extra-1.0-1"]
    with pytest.raises(SolveError) as raised:
        solve(tmp_path, (local("extra", extra, excludepkgs=("only-extra",)),), "only-extra")
    assert "extra" in raised.value.problems[0]


def test_changed_metadata_is_seen_at_once(tmp_path: Path) -> None:
    where = make_repo(tmp_path / "repo", [rpm("a", version="1")])
    assert names(solve(tmp_path / "cache", (local("r", where),), "a")) == ["a-1-1"]
    make_repo(where, [rpm("a", version="2")])
    assert names(solve(tmp_path / "cache", (local("r", where),), "a")) == ["a-2-1"]


def test_metadata_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    where = make_repo(tmp_path / "repo", [rpm("a")])
    repos = (local("r", where),)
    assert solve(tmp_path / "cache", repos, "a")
    (primary,) = where.glob("repodata/*primary*")
    good = primary.read_bytes()
    primary.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(FetchError):
        solve(tmp_path / "cache", repos, "a")
    primary.write_bytes(good)
    (where / "a-1.0-1.noarch.rpm").write_bytes(b"short")
    with open_source(PackageRequest(repos, ("a",), "x86_64"), tmp_path / "cache") as source:
        solution = source.solve()
        with pytest.raises(FetchError):
            source.fetch(solution.packages)


def test_a_repository_that_is_not_there_has_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        solve(tmp_path, (local("r", tmp_path / "nowhere"),), "a")
    assert raised.value.place == Place("x.repo", 1)


def test_keys_are_those_of_the_repository(tmp_path: Path, base: Path, key: Key) -> None:
    (tmp_path / "key").write_text(key.public_key())
    for checked, url, expected in (
        (True, f"file://{tmp_path}/key", (key.public_key().encode(),)),
        (False, f"file://{tmp_path}/nowhere", ()),
    ):
        repo = Repo("r", "r", Place("x.repo", 1), (f"file://{base}",), gpgcheck=checked, gpgkey=(url,))
        with open_source(PackageRequest((repo,), ("lib",), "x86_64"), tmp_path) as source:
            assert source.keys("r") == expected
    repo = Repo("r", "r", Place("x.repo", 1), (f"file://{base}",), gpgkey=(f"file://{tmp_path}/nowhere",))
    with (
        open_source(PackageRequest((repo,), ("lib",), "x86_64"), tmp_path) as source,
        pytest.raises(ConfigError) as raised,
    ):
        source.keys("r")
    assert raised.value.place == Place("x.repo", 1)


def test_a_lock_that_no_repository_has_is_only_a_warning(tmp_path: Path, base: Path) -> None:
    class Warnings(Reporter):
        texts: list[str] = []  # noqa: RUF012

        def warning(self, text: str) -> None:
            self.texts.append(text)

    said = Warnings()
    repos = (local("base", base),)
    assert names(solve(tmp_path, repos, "tool", locked={"gone": ("1-1.noarch", None)}, reporter=said)) == [TOOL]
    assert [text for text in said.texts if "gone" in text]


@pytest.mark.parametrize("length", [0, 100, -1])
def test_what_a_crash_cut_short_is_made_anew(tmp_path: Path, base: Path, length: int) -> None:
    expected = solve(tmp_path, (local("base", base),), "app")
    kept = sorted((tmp_path / "solv").rglob("*.solv*"))
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[:length])
    assert solve(tmp_path, (local("base", base),), "app") == expected
