# SPDX-License-Identifier: GPL-2.0-or-later
"""Other bases under the same requests: upgrade, deploy, rebase, and what is in their way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import Lab, Machine, machine_of, open_lab, tool
from tests.end_to_end.shale import REF, Shale, ostree
from tests.support.rpms import Package, rpm

NEXT = "shale/2/stable"
TOOLS = [tool("hammer"), tool("saw"), tool("wedge", requires=["libstone = 3.1"]), tool("chock", conflicts=["news = 3"])]


def _news(version: str) -> Package:
    return rpm("news", version=version, files={"/usr/share/news": f"{version}\n"})


def _libstone(version: str) -> Package:
    files = {f"/usr/lib/libstone.so.{version}": "newer\n"}
    return rpm("libstone", version=version, requires=["shell"], files=files)


@pytest.fixture(scope="module")
def lab(shale: Shale, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), shale) as made:
        made.release("1")
        made.release("2", [_news("2")])
        made.release("3", [_news("3"), _libstone("3.2")])  # in the way of some tools
        made.release("next", [rpm("next", files={"/usr/share/next": "next\n"})], ref=NEXT)
        made.release("old-age", [_news("9")], "--add-metadata-string=ostree.endoflife=move to shale/2", ref="shale/0")
        yield made


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[Machine]:
    lab.publish("1")
    lab.publish("next", NEXT)
    lab.stock(TOOLS)
    lab.stock([rpm("of-extra")], "extra")
    with machine_of(lab, tmp_path / "sysroot") as made:
        yield made


class TestUpgrade:
    def test_base_and_packages(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer", "saw")
        assert "No upgrade available" in machine.refuse(77, "upgrade", "--check")
        lab.publish("2")
        lab.stock([*TOOLS, tool("hammer", "2")])
        before = machine.state
        told = machine.refuse(0, "upgrade", "--preview", fetched=True)
        assert "news-2-1.noarch" in told
        assert "hammer" in told
        said = machine.layer("upgrade", "--preview", "--json").json["packages"]
        machine.layer("upgrade", "--check")
        assert machine.state.deployed == before.deployed
        assert machine.change("upgrade", "--json").json["packages"] == said
        assert machine.has("news-2", "hammer-2", "saw-1")
        assert machine.first["version"] == "2"
        assert machine.first["base-checksum"] == lab.commits["2"]
        machine.unchanged("upgrade")
        machine.refuse(77, "update", "--preview")

    def test_packages_alone(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        lab.stock([*TOOLS, tool("hammer", "2")])
        machine.change("upgrade")
        assert machine.has("hammer-2")
        assert machine.first["base-checksum"] == lab.commits["1"]

    def test_an_installation_changes_nothing_else(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        lab.publish("2")
        lab.stock([*TOOLS, tool("hammer", "2")])
        machine.change("install", "saw")
        assert machine.has("hammer-1", "saw")
        assert machine.first["base-checksum"] == lab.commits["1"]

    def test_with_other_requests_at_once(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        lab.publish("2")
        drill = lab.file(tool("drill"))
        machine.change("upgrade", "--install", "saw", "--install", drill, "--uninstall", "hammer")
        assert machine.has("news-2", "saw", "drill")
        assert not machine.has("hammer")
        machine.change("deploy", "version=1", "--uninstall", "drill", "--install", "hammer")
        assert machine.has("saw", "hammer")
        assert not machine.has("news", "drill")
        machine.change("rebase", f"site:{NEXT}", "--uninstall", "saw", "--install", drill)
        assert machine.has("next", "hammer", "drill")

    def test_an_older_base(self, machine: Machine, lab: Lab) -> None:
        lab.publish("2")
        machine.change("upgrade")
        lab.publish("1")
        assert "--allow-downgrade" in machine.refuse(8, "upgrade")
        machine.change("upgrade", "--allow-downgrade")
        assert machine.first["checksum"] == lab.commits["1"]

    def test_a_state_that_is_not_to_be_upgraded(self, machine: Machine) -> None:
        origin = next((machine.path / "ostree/deploy/shale/deploy").glob("*.origin"))
        origin.write_text(origin.read_text() + "unconfigured-state=register this machine first\n")
        assert "register this machine first" in machine.refuse(1, "upgrade")
        assert "register this machine first" in machine.text
        machine.change("rebase", f"site:{NEXT}")
        assert "register" not in machine.text


class TestDeploy:
    @pytest.mark.parametrize("kind", ["version=", "", "revision=", "checksum"])
    def test_a_commit_of_the_branch(self, machine: Machine, lab: Lab, kind: str) -> None:
        lab.publish("3")
        word = {"version=": "version=2", "": "2", "revision=": f"revision={lab.commits['2']}"}.get(kind)
        machine.change("install", "hammer")
        machine.change("deploy", word or lab.commits["2"])
        assert machine.first["version"] == "2"
        assert machine.has("hammer", "news-2")
        assert machine.first["strata"]["override-commit"] == lab.commits["2"]
        assert f"KeptAtCommit: {lab.commits['2']}" in machine.text

    def test_it_stays_there_until_it_is_told(self, machine: Machine, lab: Lab) -> None:
        """As with rpm-ostree an install stays; an upgrade follows the branch again."""
        lab.publish("3")
        machine.change("deploy", "2", fetched=True)
        machine.change("install", "hammer")
        assert machine.first["version"] == "2"
        machine.change("upgrade")
        assert machine.first["version"] == "3"

    def test_what_is_not_there(self, machine: Machine, lab: Lab) -> None:
        lab.publish("2")
        machine.refuse(2, "deploy", "version=9", fetched=True)
        machine.refuse(2, "deploy", "colour=red", fetched=True)
        said = machine.refuse(2, "deploy", lab.commits["next"], fetched=True)
        assert "--skip-branch-check" in said
        machine.change("deploy", lab.commits["next"], "--skip-branch-check", fetched=True)
        assert machine.has("next")

    def test_older(self, machine: Machine, lab: Lab) -> None:
        lab.publish("2")
        machine.change("upgrade")
        machine.refuse(8, "deploy", "1", "--disallow-downgrade")
        assert "news" in machine.refuse(0, "deploy", "1", "--preview")
        machine.change("deploy", "1")
        assert not machine.has("news")


class TestRebase:
    def test_remote_and_branch(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        machine.change("rebase", f"site:{NEXT}")
        assert machine.has("next", "hammer")
        assert machine.first["origin"] == f"site:{NEXT}"
        assert f"site:{REF}" not in ostree(machine.sysroot.repo_path, "refs").split()
        assert "equal" in machine.refuse(1, "rebase", f"site:{NEXT}")

    def test_the_branch_that_is_left_may_stay(self, machine: Machine) -> None:
        machine.change("rebase", f"site:{NEXT}", "--skip-purge")
        assert f"site:{REF}" in ostree(machine.sysroot.repo_path, "refs").split()

    @pytest.mark.parametrize("words", [[NEXT], ["--branch", NEXT]], ids=["bare", "option"])
    def test_the_branch_alone(self, machine: Machine, words: list[str]) -> None:
        machine.change("rebase", *words)
        assert machine.first["origin"] == f"site:{NEXT}"

    @pytest.mark.parametrize("words", [["mirror:"], ["--remote", "mirror"]], ids=["colon", "option"])
    def test_the_remote_alone(self, machine: Machine, lab: Lab, words: list[str]) -> None:
        ostree(machine.sysroot.repo_path, "remote", "add", "--no-gpg-verify", "mirror", lab.bench.repo.as_uri())
        machine.change("rebase", *words)
        assert machine.first["origin"] == f"mirror:{REF}"

    def test_a_local_branch(self, machine: Machine, lab: Lab) -> None:
        ostree(machine.sysroot.repo_path, "pull-local", str(lab.bench.repo), lab.commits["2"])
        ostree(machine.sysroot.repo_path, "refs", "--create=mine/stable", lab.commits["2"])
        machine.change("install", "hammer")
        machine.change("rebase", ":mine/stable")
        assert machine.first["origin"] == "mine/stable"
        assert machine.has("news-2", "hammer")
        machine.unchanged("upgrade")

    def test_a_commit_that_somebody_else_manages(self, machine: Machine, lab: Lab) -> None:
        commit = lab.commits["2"]
        words = ["--custom-origin-description", "Managed by the fleet", "--custom-origin-url", "fleet://2"]
        machine.refuse(2, "rebase", commit, words[0], words[1])  # one without the other
        machine.change("install", "hammer")
        machine.change("rebase", commit, *words)
        assert machine.first["origin"] == commit
        assert machine.first["custom-origin"] == ["fleet://2", "Managed by the fleet"]
        assert machine.text.splitlines()[2].strip() == "Managed by the fleet"
        assert "CustomOrigin: fleet://2" in machine.text
        assert machine.has("news-2", "hammer")
        lab.publish("3")
        machine.unchanged("upgrade")
        machine.change("install", "saw")
        assert machine.first["custom-origin"] == ["fleet://2", "Managed by the fleet"]

    def test_a_repository_on_this_machine(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        machine.change("rebase", f"{lab.bench.repo}:{NEXT}")
        assert machine.first["origin"] == lab.commits["next"]
        assert machine.has("next", "hammer")
        machine.unchanged("upgrade")  # a commit is not left

    def test_a_branch_at_a_commit(self, machine: Machine, lab: Lab) -> None:
        lab.publish("3")
        machine.change("rebase", f"site:{REF}", lab.commits["2"])
        assert machine.first["version"] == "2"
        machine.change("upgrade")
        assert machine.first["version"] == "3"

    def test_what_is_not_there(self, machine: Machine) -> None:
        assert "nowhere" in machine.refuse(8, "rebase", f"nowhere:{NEXT}")
        assert "no/branch" in machine.refuse(5, "rebase", "site:no/branch")
        machine.refuse(2, "rebase")
        machine.refuse(2, "rebase", "ostree-unverified-registry:quay.io/fedora/fedora-coreos:stable")

    def test_requests_of_all_kinds_come_along(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer", lab.file(tool("drill")))
        newer = rpm("shale-release", version="7", files={"/usr/lib/os-release": "ID=mine\nVERSION_ID=7\n"})
        machine.change("override replace", lab.file(newer))
        machine.layer("kargs", "--append=quiet")
        machine.change("rebase", f"site:{NEXT}")
        assert machine.has("next", "hammer", "drill", "shale-release-7")
        assert "quiet" in machine.layer("kargs").stdout
        machine.layer("rollback")
        assert machine.first["origin"] == f"site:{REF}"
        assert machine.has("hammer", "drill", "shale-release-7")

    def test_the_end_of_life(self, machine: Machine) -> None:
        machine.change("rebase", "site:shale/0")
        assert "EndOfLife: move to shale/2" in machine.text
        assert machine.first["endoflife"] == "move to shale/2"
        machine.change("install", "hammer")
        assert machine.first["endoflife"] == "move to shale/2"


class TestOffline:
    def test_fetched_before(self, machine: Machine, lab: Lab, tmp_path: Path) -> None:
        machine.change("install", "hammer")
        drill = lab.file(tool("drill"))
        words = (f"site:{NEXT}", "--install", "saw", "--install", str(drill))
        before = machine.state.deployed
        machine.layer("rebase", *words, "--download-only")
        assert machine.state.deployed == before
        for repo in lab.repos:
            lab.kill(repo)
        away = lab.bench.repo.rename(lab.bench.repo.with_name("away"))
        try:
            machine.refuse(5, "upgrade", fetched=True)
            lab.site.requests.clear()
            machine.change("rebase", *words, "--cache-only")
        finally:
            away.rename(lab.bench.repo)
        assert lab.site.requests == []
        assert machine.has("next", "hammer", "saw", "drill")

    def test_an_upgrade_that_was_fetched(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "hammer")
        lab.publish("2")
        machine.layer("upgrade", "--download-only")
        assert machine.first["version"] == "1"
        lab.publish("3")
        assert "PendingBase: 2 " in machine.text
        machine.change("install", "saw")
        machine.change("upgrade", "--cache-only")
        assert machine.first["version"] == "2"
        assert machine.has("hammer", "saw")

    def test_only_what_is_here(self, machine: Machine) -> None:
        machine.refuse(5, "install", "hammer", "-C")
        machine.change("install", "hammer")
        machine.refuse(2, "upgrade", "-C", "--download-only")
        machine.unchanged("upgrade", "-C")

    def test_a_dead_repository_stops_only_what_needs_it(self, machine: Machine, lab: Lab) -> None:
        lab.stock([tool("only-extra")], "extra")
        lab.kill("extra")
        assert "extra" in machine.change("install", "hammer").stderr
        assert "extra" in machine.refuse(5, "install", "only-extra")
        lab.stock([tool("only-extra")], "extra")
        machine.change("install", "only-extra")
        lab.kill("extra")
        lab.publish("2")
        assert "extra is used as it was" in machine.change("upgrade").stderr
        assert machine.has("only-extra", "news-2")
        machine.layer("cleanup", "-m")
        assert "extra" in machine.refuse(5, "upgrade")
        machine.change("install", "saw")  # what is layered is kept, and in the cache


class TestBlocked:
    def test_all_that_is_in_the_way_is_named(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "wedge", "chock", "hammer")
        lab.publish("3")
        said = machine.refuse(4, "upgrade", fetched=True)
        for name in ("wedge", "chock", "libstone", "news"):
            assert name in said
        assert "all else can be met with `--drop chock` `--drop wedge`" in said
        assert "--best-base" in said
        assert machine.refuse(4, "upgrade", "--preview", fetched=True)
        machine.refuse(4, "upgrade", "--drop", "wedge", fetched=True)

    def test_the_newest_base_that_works(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "wedge", "hammer")
        lab.publish("3")
        machine.change("upgrade", "--best-base")
        assert machine.first["version"] == "2"
        assert machine.has("wedge", "hammer", "news-2")
        machine.unchanged("upgrade", "--best-base", fetched=True)
        lab.stock([*TOOLS, tool("wedge", "2")])
        machine.change("upgrade", "--best-base")
        assert machine.first["version"] == "3"

    def test_requests_are_dropped(self, machine: Machine, lab: Lab) -> None:
        machine.change("install", "wedge", "chock", "hammer")
        lab.publish("3")
        machine.change("upgrade", "--drop", "wedge", "--drop", "chock")
        assert machine.first["version"] == "3"
        assert machine.first["packages"] == ["hammer"]


class TestFailing:
    """What fails on the new base alone: the old one stays, and goes on being what is changed."""

    def test_a_script(self, machine: Machine, lab: Lab) -> None:
        lab.stock([*TOOLS, tool("picky", post="test ! -e /usr/share/news")])
        machine.change("install", "hammer", "picky")
        lab.publish("2")
        assert "%post of picky" in machine.refuse(6, "upgrade", fetched=True)
        machine.change("install", "saw")  # which clears up after it
        machine.refuse(6, "upgrade", fetched=True)
        machine.change("upgrade", "--drop", "picky")
        assert machine.has("news-2", "hammer", "saw")

    def test_a_file(self, machine: Machine, lab: Lab) -> None:
        lab.stock([*TOOLS, rpm("gossip", files={"/usr/share/news": "heard\n"})])
        machine.change("install", "gossip")
        lab.publish("2")
        assert "/usr/share/news" in machine.refuse(9, "upgrade", fetched=True)
        machine.change("uninstall", "gossip")
        machine.change("upgrade")


def test_a_remote_that_is_dead(machine: Machine, lab: Lab) -> None:
    ostree(machine.sysroot.repo_path, "remote", "delete", "site")
    ostree(machine.sysroot.repo_path, "remote", "add", "--no-gpg-verify", "site", f"{lab.site.url}nothing")
    machine.refuse(5, "upgrade")
    machine.change("install", "hammer")  # needs none
