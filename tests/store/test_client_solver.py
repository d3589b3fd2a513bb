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
from rpmtree.rpm import headeronly
from rpmtree.rpm.database import write_database
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import FILES_REPO, FileRole, LocalFile, PackageRequest, Solution
from rpmtree.rpm.signatures import Verifier
from rpmtree.rpm.solver import PackageSource, open_source
from tests.support.rpms import Package, make_repo, rpm, write_rpm
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
    "excluded, and in the base": (["app"], {"excludes": ("lib",)}, ["app-1-1.noarch"], [], []),
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
    "don't follow what doesn't fit": (
        [(rpm("only-new", version="1"), FileRole.FOLLOW)], [], ["only-new-1-1.noarch"], []),
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
        [(rpm("script", version="2", obsoletes=["alone"]), FileRole.REPLACE)], [], {},
        [["script", "alone-2-1.noarch"]]),
    "a replacement that the base doesn't fit": (
        [(rpm("lib", version="2", arch="x86_64"), FileRole.REPLACE),
         (rpm("mine", requires=["lib = 1"]), FileRole.INSTALL)], [], {}, [["mine", "lib = 1"]]),
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


def test_what_would_let_the_rest_go_on(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    def droppable(*specs: str, **said: Any) -> tuple[str, ...]:
        with pytest.raises(SolveError) as raised:
            solve(tmp_path / "cache", base, repos, *specs, **said)
        return raised.value.droppable

    mine = given(tmp_path / "files", rpm("mine", requires=["lib = 3"]), FileRole.INSTALL)
    assert droppable("extra", "only-new", "enemy", "needs-deep", files=(mine,)) == ("enemy", "only-new", "mine")
    assert droppable("extra", "nope", "with-extra") == ("nope",)
    # Not for what alone would be in the way.
    assert droppable("extra", "nope", removals=("lib",)) == ()


def test_what_is_given_comes_before_what_was_kept(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    kept = (text("extra-1-1.noarch"), text("app-1-1.noarch"))
    mine = given(tmp_path / "files", rpm("extra", version="5"), FileRole.INSTALL)
    solution = solve(tmp_path / "cache", base, repos, "app", files=(mine,), kept=kept)
    assert came(solution) == ["app-1-1.noarch", "extra-5-1.noarch"]


@pytest.mark.parametrize(("build", "taken"), [("1", "1"), ("1.5", "1.5"), ("2", "2"), ("9", "2")])
def test_what_follows_stays_at_a_kept_build(
    tmp_path: Path, base: Path, repos: tuple[Repo, ...], build: str, taken: str
) -> None:
    kept = (text(f"extra-{build}-1.noarch"),)
    mine = given(tmp_path / "files", rpm("extra", version="1" if build == "1" else "1.5"), FileRole.FOLLOW)
    assert came(solve(tmp_path / "cache", base, repos, files=(mine,), kept=kept)) == [f"extra-{taken}-1.noarch"]


def test_an_older_build_that_fits_is_warned_of(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    said = Warnings()
    assert came(solve(tmp_path, base, repos, "app", reporter=said)) == ["app-1-1.noarch"]
    assert [line for line in said.texts if "app-1-1.noarch" in line and "app-2-1.noarch" in line]
    said = Warnings()
    assert came(solve(tmp_path, base, repos, "extra", reporter=said)) == ["extra-2-1.noarch"]
    assert not said.texts


def test_a_replacement_without_effect_is_warned_of(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    said = Warnings()
    assert not solve(tmp_path, base, repos, reporter=said, replacements=(("other", ("script",)),)).replaced
    assert [line for line in said.texts if "script-1-1.noarch" in line]


def test_a_request_and_its_wishes_may_be_solved_again(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    kept = (text("app-2-1.noarch"), text("extra-1-1.noarch"))
    request = PackageRequest(repos, ("app", "extra"), "x86_64", base=base, kept=kept, excludes=("extra-1",))
    with open_source(request, tmp_path) as source:
        first = source.solve()
        assert came(first) == ["app-1-1.noarch", "extra-2-1.noarch"]
        assert source.solve() == first


def test_file_lists_are_read_where_a_file_is_needed(tmp_path: Path, base: Path) -> None:
    where = make_repo(
        tmp_path / "r", [rpm("a", requires=["/opt/deep/tool"]), rpm("b", files={"/opt/deep/tool": "t"}), rpm("c")]
    )
    repos = (local("r", where),)
    assert came(solve(tmp_path / "cache", base, repos, "c")) == ["c-1.0-1.noarch"]
    assert not (tmp_path / "cache/solv/with-files").exists()
    assert came(solve(tmp_path / "cache", base, repos, "a")) == ["a-1.0-1.noarch", "b-1.0-1.noarch"]
    assert (tmp_path / "cache/solv/with-files").exists()


def test_a_base_that_cannot_be_read_is_refused(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/rpmdb.sqlite").write_bytes((base / "rpmdb.sqlite").read_bytes()[:5000])
    for name in ("none", "bad"):
        with pytest.raises(StoreError):
            solve(tmp_path / "cache", tmp_path / name, repos, "extra")
    (tmp_path / "good").mkdir()
    (tmp_path / "good/rpmdb.sqlite").write_bytes((base / "rpmdb.sqlite").read_bytes())
    assert solve(tmp_path / "cache", tmp_path / "good", repos, "extra")
    assert not [path for path in (tmp_path / "good").iterdir() if not path.name.startswith("rpmdb.sqlite")]


def test_one_process_reads_several_bases(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    write_database(headers_of(tmp_path / "rpms", [rpm("lib", version="2", arch="x86_64")]), tmp_path / "db",
                   source_date_epoch=1)  # fmt: skip
    assert came(solve(tmp_path / "cache", tmp_path / "db", repos, "app")) == ["app-2-1.noarch"]
    assert came(solve(tmp_path / "cache", base, repos, "app")) == ["app-1-1.noarch"]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    good = given(tmp_path / "files", rpm("mine"), FileRole.INSTALL)
    assert solve(tmp_path / "cache", base, repos, files=(good,))
    (tmp_path / "text.rpm").write_text("no package")
    for bad in (
        replace(good, nevra=text("yours-1-1.noarch")),
        replace(good, path=tmp_path / "text.rpm"),
        replace(good, path=tmp_path / "nowhere.rpm"),
    ):
        with pytest.raises(FetchError):
            solve(tmp_path / "cache", base, repos, files=(bad,))


def test_repositories_of_overrides_must_be_there(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    with pytest.raises(ConfigError):
        solve(tmp_path, base, repos, replacements=(("elsewhere", ("alone",)),))


# What the solver says is looked at once more: see tests/unit/test_invariants.py for all of it.


def test_a_wrong_answer_is_refused(
    tmp_path: Path, base: Path, repos: tuple[Repo, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without what keeps versions as they are, libsolv takes the newer one along."""
    request = PackageRequest(repos, ("only-new",), "x86_64", base=base)
    monkeypatch.setattr("rpmtree.rpm.baselock.BaseLock.keep_out", lambda self: None)
    with open_source(request, tmp_path) as source, pytest.raises(SolveError) as raised:
        source.solve()
    assert "lib-2-1.x86_64" in raised.value.problems[0]
    monkeypatch.undo()
    assert came(solve(tmp_path, base, repos, "app")) == ["app-1-1.noarch"]


# Questions without a solution.


@pytest.fixture
def source(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> Iterator[PackageSource]:
    request = PackageRequest((replace(repos[0], excludepkgs=("lib-2*",)), repos[1]), (), "x86_64", base=base)
    with open_source(request, tmp_path) as source:
        yield source


def test_search(tmp_path: Path, base: Path) -> None:
    where = make_repo(tmp_path / "r", [
        rpm("vim", version="1", summary="An editor"), rpm("vim", version="2", summary="A text Editor"),
        rpm("editor-themes", summary="Colours"), rpm("editor", summary="The EDITOR", arch="x86_64"),
        rpm("script", version="7", summary="Editing"), rpm("nano", summary="small"),
    ])  # fmt: skip
    with open_source(PackageRequest((local("r", where),), (), "x86_64", base=base), tmp_path / "cache") as source:
        found = source.search(["EDITOR"])
        assert [(one.name, one.arch, one.matched) for one in found] == [
            ("editor", "x86_64", "both"),
            ("editor-themes", "noarch", "name"),
            ("vim", "noarch", "summary"),
        ]
        vim = found[2]
        assert (vim.evr, vim.repo, vim.summary, vim.installed) == ("2-1", "r", "A text Editor", False)
        assert [one.name for one in source.search(["editor", "themes"])] == ["editor-themes"]
        assert [one.name for one in source.search(["ed*mes"])] == ["editor-themes"]
        assert [one.name for one in source.search(["tex? edit"])] == ["vim"]
        assert [(one.evr, one.installed) for one in source.search(["scrip"])] == [("7-1", True)]
        assert [(one.repo, one.evr) for one in source.search(["old-n"])] == [("@System", "5-1")]
        assert source.search(["nothing-like-it"]) == ()
        assert source.search([]) == ()


def test_what_a_repository_offers(source: PackageSource) -> None:
    assert source.offered("main", "alone") == text("alone-3-1.noarch")
    assert source.offered("other", "alone") == text("alone-0.5-1.noarch")
    assert source.offered("main", "lib") in (text("lib-1-1.x86_64"), text("lib-1-1.i686"))
    assert source.offered("other", "extra") is None
    assert source.offered("nowhere", "extra") is None


@pytest.mark.parametrize(
    ("specs", "builds"),
    [
        (["lib"], ["lib-3-1.x86_64"]), (["alone"], ["alone-3-1.noarch"]), (["lib-1*"], ["lib-1-1.x86_64"]),
        (["lib.i686"], ["lib-1-1.i686"]), (["lib", "lib = 1"], ["lib-1-1.x86_64", "lib-3-1.x86_64"]),
        (["alone < 3"], ["alone-2-1.x86_64"]), (["/usr/lib64/lib.so"], []), (["none", "lib", "nor"], []), ([], []),
    ],
)  # fmt: skip
def test_packages_alone(source: PackageSource, specs: list[str], builds: list[str]) -> None:
    """Whatever the base has; lib-2 is kept out by its repository."""
    if not builds and specs:
        with pytest.raises(SolveError) as caught:
            source.alone(specs)
        assert [spec for spec in specs if f"has {spec}" in "".join(caught.value.problems)] == [
            spec for spec in specs if spec != "lib"
        ]
        return
    assert [str(found.nevra) for found in source.alone(specs)] == builds


def test_what_is_newer(source: PackageSource) -> None:
    present = [text(name) for name in ("lib-1-1.x86_64", "alone-3-1.noarch", "extra-1-1.noarch", "gone-1-1.noarch")]
    assert [(str(new), str(old)) for new, old in source.newer(present)] == [
        ("extra-2-1.noarch", "extra-1-1.noarch"), ("lib-3-1.x86_64", "lib-1-1.x86_64")]  # fmt: skip
    assert source.newer([]) == ()


# Repositories that can't be reached.


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("rpmtree.rpm.fetch.PAUSE", 0.0)
    make_repo(tmp_path / "www/remote", [rpm("far"), rpm("broken", requires=["absent"])])
    with serve(tmp_path / "www") as site:
        yield site


def remote(site: Site, **said: Any) -> Repo:
    return Repo("remote", "remote", Place("x.repo", 1), baseurl=(f"{site.url}remote",), gpgcheck=False, **said)


def die(site: Site) -> None:
    for path in ("remote/repodata/repomd.xml", "remote/far-1.0-1.noarch.rpm"):
        site.answers[path] = [(503, {}, b"")]


def test_a_dead_repository_is_left_out(tmp_path: Path, base: Path, repos: tuple[Repo, ...], site: Site) -> None:
    all_repos = (*repos, remote(site))
    assert not solve(tmp_path / "live", base, all_repos, "extra", tolerant=True).dead
    die(site)
    with pytest.raises(FetchError):
        solve(tmp_path / "cache", base, all_repos, "extra")
    said = Warnings()
    solution = solve(tmp_path / "cache", base, all_repos, "extra", tolerant=True, reporter=said)
    assert came(solution) == ["extra-2-1.noarch"]
    ((name, reason),) = solution.dead
    assert name == "remote"
    assert reason
    assert [line for line in said.texts if "remote" in line]
    assert [repo.id for repo in solution.repos] == ["main", "other"]


def test_a_local_repository_may_be_missing_too(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    all_repos = (*repos, local("gone", tmp_path / "nowhere"))
    assert [name for name, _ in solve(tmp_path, base, all_repos, "extra", tolerant=True).dead] == ["gone"]
    with pytest.raises(ConfigError):
        solve(tmp_path, base, all_repos, "extra")


def test_what_can_be_had_from_nowhere_else(tmp_path: Path, base: Path, repos: tuple[Repo, ...], site: Site) -> None:
    all_repos = (*repos, remote(site))
    die(site)
    requests: tuple[dict[str, Any], ...] = (
        {},
        {"repo_packages": (("remote", ("far",)),)},
        {"replacements": (("remote", ("alone",)),)},
    )
    for said in requests:
        packages = [] if said else ["far"]
        with pytest.raises(FetchError) as raised:
            solve(tmp_path / "cache", base, all_repos, *packages, tolerant=True, **said)
        assert "remote" in raised.value.message
    with pytest.raises(SolveError) as refused:
        solve(tmp_path / "cache", base, all_repos, "far", "enemy", tolerant=True)
    assert len(refused.value.problems) == 2
    assert "remote" in (refused.value.hint or "")
    with pytest.raises(SolveError) as without:
        solve(tmp_path / "cache", base, repos, "far", tolerant=True)
    assert without.value.hint is None
    with pytest.raises(SolveError):
        solve(tmp_path / "cache", base, all_repos, tolerant=True, repo_packages=(("main", ("nope",)),))


@pytest.mark.parametrize(("days", "used"), [(0, True), (13, True), (15, False), (-2, False)])
def test_metadata_of_a_dead_repository_is_used_for_a_while(
    tmp_path: Path, base: Path, repos: tuple[Repo, ...], site: Site, days: int, used: bool
) -> None:
    all_repos = (*repos, remote(site))
    assert came(solve(tmp_path / "cache", base, all_repos, "far", tolerant=True)) == ["far-1.0-1.noarch"]
    (state,) = (tmp_path / "cache").rglob("state.json")
    known = json.loads(state.read_text())
    state.write_text(json.dumps({**known, "fetched": int(time.time()) - days * 24 * 3600}))
    die(site)
    request = PackageRequest(all_repos, ("far",), "x86_64", base=base, tolerant=True)
    with open_source(request, tmp_path / "cache") as source:
        if not used:
            with pytest.raises(FetchError):
                source.solve()
            return
        solution = source.solve()
        assert [name for name, _ in solution.dead] == ["remote"]
        with pytest.raises(FetchError) as raised:
            source.fetch(solution.packages)
        assert "remote" in str(raised.value)
    with pytest.raises(SolveError) as refused:
        solve(tmp_path / "cache", base, all_repos, "broken", tolerant=True)
    assert "remote" in (refused.value.hint or "")


def test_a_refresh_asks_at_once(tmp_path: Path, base: Path, site: Site) -> None:
    repo = remote(site, metadata_expire=3600)

    def asked(*, refresh: bool, offline: bool = False) -> int:
        before = len(site.requests)
        with open_source(
            PackageRequest((repo,), (), "x86_64", base=base), tmp_path / "cache", refresh=refresh, offline=offline
        ):
            return len(site.requests) - before

    assert asked(refresh=False) > 0
    assert asked(refresh=False) == 0
    assert asked(refresh=True) == 1
    assert asked(refresh=True, offline=True) == 0


def test_what_libsolv_keeps_is_used_again(tmp_path: Path, base: Path, repos: tuple[Repo, ...]) -> None:
    """Libsolv writes its cache twice; what is noted of it has to be the second."""

    def kept() -> list[tuple[str, int]]:
        return sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "solv").rglob("*.solv*"))

    expected = solve(tmp_path, base, repos, "app", "needs-deep")
    first = kept()
    assert first
    assert solve(tmp_path, base, repos, "app", "needs-deep") == expected
    assert kept() == first
