# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests on top of a base whose packages are installed: what comes, goes and stays, and what is in the way."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rpmtree.errors import ConfigError, FetchError, Place, SolveError, StoreError
from rpmtree.progress import Reporter
from rpmtree.rpm import headeronly, invariants
from rpmtree.rpm.database import write_database
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import FILES_REPO, FileRole, LocalFile, PackageRequest, Solution, SolvedPackage
from rpmtree.rpm.signatures import Verifier
from rpmtree.rpm.solver import PackageSource, open_source
from tests.support.rpms import Package, file, make_repo, rpm, write_rpm
from tests.support.webserver import Site, serve

pytestmark = pytest.mark.needs("root", "rpm")

INSTALLED = (
    rpm("lib", version="1", arch="x86_64", files={"/usr/lib64/lib.so": "l"}),
    rpm("tool", version="1", requires=["lib"], files={"/usr/bin/tool": "t", "/usr/share/deep": "d"}),
    rpm("old-name", version="5"),
    rpm("alone", version="2"),
    rpm("script", version="1"),
    rpm("dangling", requires=["nowhere"]),
)
REPO = (
    rpm("lib", version="1", arch="x86_64"),
    rpm("lib", version="1", arch="i686"),
    rpm("lib", version="2", arch="x86_64"),
    rpm("lib", version="2", arch="i686"),
    rpm("tool", version="2"),
    rpm("alone", version="1"),
    rpm("alone", version="2", arch="x86_64"),
    rpm("alone", version="3"),
    rpm("app", version="1", requires=["lib = 1"]),
    rpm("app", version="2", requires=["lib = 2"]),
    rpm("only-new", version="2", requires=["lib = 2"]),
    rpm("wants-multilib", requires=["multi"], arch="i686"),
    rpm("new-name", obsoletes=["old-name < 9"]),
    rpm("enemy", conflicts=["alone"]),
    rpm("extra", version="1"),
    rpm("extra", version="2"),
    rpm("with-extra", requires=["extra"]),
    rpm("needs-deep", requires=["/usr/share/deep"]),
    rpm("unmet", requires=["absent >= 3"]),
)
OTHER = (rpm("alone", version="0.5"), rpm("script", version="1"), rpm("lib", version="3", arch="x86_64"))


class Warnings(Reporter):
    """Keeps what was warned of."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


def headers_of(where: Path, packages: Sequence[Package]) -> list[bytes]:
    where.mkdir(parents=True, exist_ok=True)
    headers = []
    for package in packages:
        path = write_rpm(where, package)
        with open(path, "rb") as opened:
            headers.append(Verifier([]).read_header(opened.fileno(), name=path.name, gpgcheck=False).unload())
    return headers


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("base")
    write_database(headers_of(where / "rpms", INSTALLED), where / "db", source_date_epoch=1)
    return where / "db"


@pytest.fixture(scope="module")
def repos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repo, ...]:
    where = tmp_path_factory.mktemp("repos")
    make_repo(where / "main", REPO)
    make_repo(where / "other", OTHER)
    return local("main", where / "main"), local("other", where / "other")


def local(repo_id: str, directory: Path, **said: Any) -> Repo:
    return Repo(repo_id, repo_id, Place("x.repo", 1), baseurl=(f"file://{directory}",), gpgcheck=False, **said)


def given(where: Path, package: Package, role: FileRole, *, header_only: bool = False) -> LocalFile:
    (header,) = headers_of(where, [package])
    path = write_rpm(where, package)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if header_only:
        headeronly.write(header, path)
    nevra = Nevra(package.name, package.epoch or 0, package.version, package.release, package.arch)
    return LocalFile(path, nevra, digest, role)


def solve(
    cachedir: Path, base: Path, repos: tuple[Repo, ...], *packages: str, reporter: Reporter | None = None, **said: Any
) -> Solution:
    request = PackageRequest(repos, packages, "x86_64", base=base, **said)
    with open_source(request, cachedir, reporter=reporter) as source:
        return source.solve()


def came(solution: Solution) -> list[str]:
    return [str(package.nevra) for package in solution.packages]


def went(solution: Solution) -> list[str]:
    return [str(nevra) for nevra in solution.removed]


def swapped(solution: Solution) -> list[tuple[str, str]]:
    return [(str(new), str(old)) for new, old in solution.replaced]


def text(nevra: str) -> Nevra:
    return Nevra.parse(nevra)


#: Request → what comes, what goes, what is replaced.
ANSWERS: dict[str, tuple[list[str], dict[str, Any], list[str], list[str], list[tuple[str, str]]]] = {
    "nothing": ([], {}, [], [], []),
    "a name": (["extra"], {}, ["extra-2-1.noarch"], [], []),
    "what the base has": (["lib", "tool"], {}, [], [], []),
    "by what the base provides": (["/usr/bin/tool"], {}, [], [], []),
    "a file that the base has": (["needs-deep"], {}, ["needs-deep-1.0-1.noarch"], [], []),
    "a version that fits": (["app"], {}, ["app-1-1.noarch"], [], []),
    "the other architecture": (["lib.i686"], {}, ["lib-1-1.i686"], [], []),
    "a removal": ([], {"removals": ("alone",)}, [], ["alone-2-1.noarch"], []),
    "two removals": ([], {"removals": ("lib", "tool")}, [], ["lib-1-1.x86_64", "tool-1-1.noarch"], []),
    "a removal for an enemy": (
        ["enemy"], {"removals": ("alone",)}, ["enemy-1.0-1.noarch"], ["alone-2-1.noarch"], []),
    "a removal for what obsoletes": (
        ["new-name"], {"removals": ("old-name",)}, ["new-name-1.0-1.noarch"], ["old-name-5-1.noarch"], []),
    "an older one from a repository": (
        [], {"replacements": (("other", ("alone",)),)},
        ["alone-0.5-1.noarch"], [], [("alone-0.5-1.noarch", "alone-2-1.noarch")]),
    "the newest from a repository": (
        [], {"replacements": (("main", ("alone", "lib")),)},
        ["alone-3-1.noarch", "lib-2-1.x86_64"], [],
        [("alone-3-1.noarch", "alone-2-1.noarch"), ("lib-2-1.x86_64", "lib-1-1.x86_64")]),
    "what needs a replacement": (
        ["only-new"], {"replacements": (("main", ("lib",)),)},
        ["lib-2-1.x86_64", "only-new-2-1.noarch"], [], [("lib-2-1.x86_64", "lib-1-1.x86_64")]),
    "a replacement that is there": ([], {"replacements": (("other", ("script",)),)}, [], [], []),
    "a kept build": (["extra"], {"kept": (text("extra-1-1.noarch"),)}, ["extra-1-1.noarch"], [], []),
    "a kept dependency": (
        ["with-extra"], {"kept": (text("extra-1-1.noarch"),)}, ["extra-1-1.noarch", "with-extra-1.0-1.noarch"], [], []),
    "a kept build that nobody has": (["extra"], {"kept": (text("extra-7-1.noarch"),)}, ["extra-2-1.noarch"], [], []),
    "a kept build that doesn't fit": (["app"], {"kept": (text("app-2-1.noarch"),)}, ["app-1-1.noarch"], [], []),
    "a kept build that isn't asked for": (
        ["extra = 2"], {"kept": (text("extra-1-1.noarch"),)}, ["extra-2-1.noarch"], [], []),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_it_is_solved(tmp_path: Path, base: Path, repos: tuple[Repo, ...], case: str) -> None:
    packages, said, *expected = ANSWERS[case]
    solution = solve(tmp_path, base, repos, *packages, **said)
    assert [came(solution), went(solution), swapped(solution)] == expected


#: What is given as files, request → what comes, what is replaced.
FILES: dict[str, tuple[list[tuple[Package, FileRole]], list[str], list[str], list[tuple[str, str]]]] = {
    "install": ([(rpm("mine"), FileRole.INSTALL)], [], ["mine-1.0-1.noarch"], []),
    "install what needs a repository": (
        [(rpm("mine", requires=["extra"]), FileRole.INSTALL)], [], ["extra-2-1.noarch", "mine-1.0-1.noarch"], []),
    "install rather than a newer one": ([(rpm("extra", version="0"), FileRole.INSTALL)], [], ["extra-0-1.noarch"], []),
    "replace by a newer one": (
        [(rpm("alone", version="9"), FileRole.REPLACE)], [],
        ["alone-9-1.noarch"], [("alone-9-1.noarch", "alone-2-1.noarch")]),
    "replace by an older one": (
        [(rpm("alone", version="0"), FileRole.REPLACE)], [],
        ["alone-0-1.noarch"], [("alone-0-1.noarch", "alone-2-1.noarch")]),
    "replace, and what needs it": (
        [(rpm("lib", version="2", arch="x86_64"), FileRole.REPLACE)], ["only-new"],
        ["lib-2-1.x86_64", "only-new-2-1.noarch"], [("lib-2-1.x86_64", "lib-1-1.x86_64")]),
    "an offer that nobody wants": ([(rpm("mine"), FileRole.OFFER)], [], [], []),
    "an offer": ([(rpm("mine"), FileRole.OFFER)], ["mine"], ["mine-1.0-1.noarch"], []),
    "an offer that is needed": (
        [(rpm("mine"), FileRole.OFFER), (rpm("needs", requires=["mine"]), FileRole.INSTALL)], [],
        ["mine-1.0-1.noarch", "needs-1.0-1.noarch"], []),
    "an offer doesn't change the base": ([(rpm("lib", version="9", arch="x86_64"), FileRole.OFFER)], ["lib"], [], []),
    "follow nothing": ([(rpm("mine"), FileRole.FOLLOW)], [], ["mine-1.0-1.noarch"], []),
    "follow a newer one": ([(rpm("extra", version="1.5"), FileRole.FOLLOW)], [], ["extra-2-1.noarch"], []),
    "don't follow an older one": ([(rpm("extra", version="3"), FileRole.FOLLOW)], [], ["extra-3-1.noarch"], []),
    "don't follow what doesn't fit": ([(rpm("only-new", version="1"), FileRole.FOLLOW)], [], ["only-new-1-1.noarch"], []),
}  # fmt: skip


@pytest.mark.parametrize("header_only", [False, True])
@pytest.mark.parametrize("case", FILES)
def test_files_have_roles(tmp_path: Path, base: Path, repos: tuple[Repo, ...], case: str, header_only: bool) -> None:
    packages, specs, *expected = FILES[case]
    files = tuple(given(tmp_path / "files", one, role, header_only=header_only) for one, role in packages)
    request = PackageRequest(repos, tuple(specs), "x86_64", base=base, files=files)
    with open_source(request, tmp_path / "cache") as source:
        solution = source.solve()
        assert [came(solution), swapped(solution)] == expected
        places = source.fetch(solution.packages)
        assert source.keys(FILES_REPO) == ()
    for package in solution.packages:
        for file in files:
            if file.nevra == package.nevra and package.repo_id == FILES_REPO:
                assert (package.checksum, package.location) == (f"sha256:{file.sha256}", str(file.path))
                assert places[file.nevra] == file.path


#: Files, request → names in the problems, one list for each.
BLOCKED: dict[str, tuple[list[tuple[Package, FileRole]], list[str], dict[str, Any], list[list[str]]]] = {
    "a newer version of the base's": (
        [], ["only-new"], {}, [["only-new-2-1.noarch", "lib = 2", "lib-1-1.x86_64", "override replace lib"]]),
    "an older version fits": (
        [], ["app = 2"], {}, [["app-2-1.noarch", "lib = 2", "lib-1-1.x86_64", "app-1-1.noarch of main"]]),
    "a file of which an older version fits": (
        [(rpm("app", version="3", requires=["lib = 3"]), FileRole.INSTALL)], [], {},
        [["app-3-1.noarch", "lib = 3", "lib-1-1.x86_64", "app-1-1.noarch of main"]]),
    "another version of a base package": ([], ["lib-2"], {}, [["lib-2", "lib-1-1.x86_64", "override replace lib"]]),
    "an architecture of another version": ([], ["lib-2-1.i686"], {}, [["lib-2-1.i686", "lib-1-1.x86_64"]]),
    "noarch in the place of the base's": ([], ["alone-2-1.x86_64"], {}, [["alone-2-1.x86_64", "alone-2-1.noarch"]]),
    "needed by the base": ([], [], {"removals": ("lib",)}, [["tool-1-1.noarch", "lib", "override remove tool"]]),
    "obsoletes": ([], ["new-name"], {}, [["new-name", "old-name-5-1.noarch", "override remove old-name"]]),
    "conflicts": ([], ["enemy"], {}, [["enemy-1.0-1.noarch", "alone-2-1.noarch", "override remove alone"]]),
    "missing together": ([], ["nope", "extr", "extra"], {}, [["nope", "extr (", "extra?"]]),
    "all at once": (
        [], ["enemy", "only-new", "nope", "unmet", "new-name"], {"removals": ("gone",)},
        [["nope"], ["gone"], ["new-name", "old-name"], ["enemy", "alone"], ["only-new", "lib"], ["unmet", "absent"]]),
    "a removal of what isn't there": ([], [], {"removals": ("gone",)}, [["gone"]]),
    "a replacement of what isn't there": ([], [], {"replacements": (("main", ("extra",)),)}, [["extra"]]),
    "a replacement that the repository hasn't": (
        [], [], {"replacements": (("other", ("tool",)),)}, [["tool-1-1.noarch", "other"]]),
    "a removed package that something needs": (
        [(rpm("mine", requires=["alone"]), FileRole.INSTALL)], [], {"removals": ("alone",)}, [["mine", "alone"]]),
    "a file to replace nothing": ([(rpm("mine"), FileRole.REPLACE)], [], {}, [["mine"]]),
    "a file just as in the base": ([(rpm("script", version="1"), FileRole.REPLACE)], [], {}, [["script-1-1.noarch"]]),
    "a file in the place of the base's": (
        [(rpm("alone", version="9"), FileRole.INSTALL)], [], {}, [["alone-9-1.noarch", "alone-2-1.noarch"]]),
    "a file that obsoletes": (
        [(rpm("mine", obsoletes=["alone"]), FileRole.INSTALL)], [], {}, [["mine", "alone-2-1.noarch"]]),
    "a replacement that obsoletes": (
        [(rpm("script", version="2", obsoletes=["alone"]), FileRole.REPLACE)], [], {}, [["script", "alone-2-1.noarch"]]),
    "a replacement that the base doesn't fit": (
        [(rpm("lib", version="2", arch="x86_64"), FileRole.REPLACE), (rpm("mine", requires=["lib = 1"]), FileRole.INSTALL)],
        [], {}, [["mine", "lib = 1"]]),
}  # fmt: skip


@pytest.mark.parametrize("case", BLOCKED)
def test_all_that_is_in_the_way_is_said(tmp_path: Path, base: Path, repos: tuple[Repo, ...], case: str) -> None:
    packages, specs, said, expected = BLOCKED[case]
    files = tuple(given(tmp_path / "files", one, role) for one, role in packages)
    with pytest.raises(SolveError) as raised:
        solve(tmp_path / "cache", base, repos, *specs, files=files, **said)
    problems = raised.value.problems
    for line in problems:
        assert "\n" not in line
        assert " → " in line
        assert "filtering" not in line
    assert len(problems) == len(expected), problems
    for words in expected:
        assert any(all(word in line for word in words) for line in problems), (words, problems)
