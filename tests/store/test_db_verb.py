# SPDX-License-Identifier: GPL-2.0-or-later
"""`layer db`: packages of commits, from metadata and from rpm databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rpmtree.errors import StoreError, UsageError
from rpmtree.ostree.detached import add_detached
from rpmtree.ostree.refs import read_ref, write_refs
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.sysroot import Sysroot, init_fs
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.database import write_database
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.signatures import Verifier
from tests.support.layer import layer
from tests.support.rpms import rpm, write_rpm
from tests.support.sysroots import commit_tree, make_mutable

pytestmark = pytest.mark.needs("root", "gi:", "rpm:")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"
OLD = "bash-5-1.x86_64 nano-7-1.noarch vim-2:9-1.x86_64"
NEW = "bash-6-1.x86_64 vim-2:9-1.x86_64 zsh-1-1.x86_64"


def pkglist(text: str) -> Variant:
    found = map(Nevra.parse, text.split())
    return Variant("a(sssss)", [(n.name, str(n.epoch), n.version, n.release, n.arch) for n in found])


ADVISORY = ("GRANITE-1", 1, 4, ["bash-6-1.x86_64"], {"cve_references": Variant("a(ss)", [("http://c", "CVE-1")])})
OTHER = ("GRANITE-2", 2, 0, ["vim-2:9-1.x86_64"], {})


@pytest.fixture
def sysroot(tmp_path: Path) -> Iterator[Sysroot]:
    """The old packages, then the new ones; the second deployment has one more, layered."""
    made = init_fs(tmp_path / "sysroot")
    made.init_stateroot("granite")
    repo = made.repo_path
    old = commit_tree(repo, "old", version="1", metadata={"rpmostree.rpmdb.pkglist": pkglist(OLD)})
    new = commit_tree(
        repo,
        "new",
        version="2",
        metadata={
            "rpmostree.rpmdb.pkglist": pkglist(NEW),
            "rpmostree.advisories": Variant("a(suuasa{sv})", [ADVISORY, OTHER]),
        },
    )
    layered = commit_tree(
        repo,
        version="2",
        parent=bytes.fromhex(new),
        metadata={
            "rpmostree.rpmdb.pkglist": pkglist(f"{NEW} extra-1-1.noarch"),
            "rpmostree.clientlayer": Variant("b", True),
        },
    )
    with made.lock("test"):
        for checksum in (old, layered):
            made.deploy("granite", checksum, ORIGIN, merge=made.merge_deployment("granite"))
    yield made
    make_mutable(made.path)


def test_list(sysroot: Sysroot) -> None:
    done = layer(sysroot.path, "db list", "old")
    checksum = read_ref(sysroot.repo_path, "old")
    assert checksum
    assert done.stdout.splitlines() == [
        f"ostree commit: old ({checksum.hex()})", " bash-5-1.x86_64", " nano-7-1.noarch", " vim-2:9-1.x86_64",
    ]  # fmt: skip
    patterns = layer(sysroot.path, "db list", "old", checksum.hex()[:10], "na", "*im", "--json").json
    assert [entry["packages"] for entry in patterns] == [["nano-7-1.noarch", "vim-2:9-1.x86_64"]] * 2
    assert "extra-1-1.noarch" in layer(sysroot.path, "db list").stdout
    told = layer(sysroot.path, "db list", "-a", "new", "bash", "--json").json[0]["advisories"]
    assert [(one["id"], one["cves"]) for one in told] == [("GRANITE-1", [{"name": "CVE-1", "url": "http://c"}])]


def test_advisories_beside_a_commit(sysroot: Sysroot) -> None:
    checksum = read_ref(sysroot.repo_path, "old")
    assert checksum
    row = ("GRANITE-0", 1, 4, ["bash-5-1.x86_64"], {})

    def told(signature: str, rows: list[object]) -> list[str]:
        values = {"rpmostree.advisories": Variant(signature, rows)}
        add_detached(Repository(sysroot.repo_path), checksum, values)
        return [one["id"] for one in layer(sysroot.path, "db list", "-a", "old", "--json").json[0]["advisories"]]

    assert layer(sysroot.path, "db list", "-a", "old", "--json").json[0]["advisories"] == []
    assert told("a(suuasa{sv})", [row]) == ["GRANITE-0"]
    assert told("as", ["GRANITE-0"]) == []


@pytest.mark.parametrize("words", [["missing"], ["old", "--repo=/nowhere"]])
def test_what_is_not_there(sysroot: Sysroot, words: list[str]) -> None:
    assert layer(sysroot.path, "db list", *words).status == StoreError.exit_code


def test_diff(sysroot: Sysroot) -> None:
    lines = ["Upgraded:", "  bash 5-1 -> 6-1", "Removed:", "  nano-7-1.noarch", "Added:"]
    done = layer(sysroot.path, "db diff")
    assert done.stdout.splitlines()[2:] == [*lines, "  extra-1-1.noarch", "  zsh-1-1.x86_64"]
    base = layer(sysroot.path, "db diff", "--base", "-a").stdout.splitlines()
    assert base[2:] == [*lines, "  zsh-1-1.x86_64", "Advisory: GRANITE-1 (security critical): CVE-1"]
    back = layer(sysroot.path, "db diff", "new", "old", "-F", "diff").stdout.splitlines()
    assert back[2:] == ["!bash-6-1.x86_64", "=bash-5-1.x86_64", "+nano-7-1.noarch", "-zsh-1-1.x86_64"]
    one = layer(sysroot.path, "db diff", "new", "-F", "json").json
    assert one["pkgdiff"] == [["extra", 1, {"PreviousPackage": ["extra", "1-1", "noarch"]}]]
    assert one["advisories"] == []
    assert layer(sysroot.path, "db diff", "old", "old").stdout.count("\n") == 2


def test_of_another_repository(sysroot: Sysroot, tmp_path: Path) -> None:
    repo = f"--repo={sysroot.repo_path}"
    assert layer(None, "db diff", repo, "old", "new").status == 0
    assert layer(None, "db diff", repo).status == UsageError.exit_code
    assert layer(None, "db list", repo).status == UsageError.exit_code
    assert layer(sysroot.path, "db diff", "a", "b", "c").status == UsageError.exit_code
    assert layer(sysroot.path, "db diff", "-c", "--json").status == UsageError.exit_code


def test_version(sysroot: Sysroot) -> None:
    names = [entry["version"] for entry in layer(sysroot.path, "db version", "old", "new", "old", "--json").json]
    assert names[0] == names[2] != names[1]
    assert layer(sysroot.path, "db version", "old").stdout == f"ostree commit: old ({names[0]})\n"
    assert names[0].startswith("3:")


def test_changelogs_come_from_the_databases(sysroot: Sysroot, tmp_path: Path) -> None:
    first = (1_600_000_000, "A <a@x> - 1-1", "- Start")
    second = (1_700_000_000, "B <b@x> - 2-1", "- Go on\n- And on")
    logs = {"1": (first,), "2": (second, first)}
    for version, log in logs.items():
        with open(write_rpm(tmp_path, rpm("tool", version=version, changelog=log)), "rb") as file:
            header = Verifier([]).read_header(file.fileno(), name="tool", gpgcheck=False).unload()
        write_database([header], tmp_path / version, source_date_epoch=0)
        data = (tmp_path / version / "rpmdb.sqlite").read_bytes()
        checksum = commit_tree(sysroot.repo_path, version=version, files={"usr/share/rpm/rpmdb.sqlite": data})
        write_refs(sysroot.repo_path, {f"tool{version}": bytes.fromhex(checksum)})
    done = layer(sysroot.path, "db diff", "tool1", "tool2", "--changelogs")
    assert done.stdout.splitlines()[2:] == [
        "Upgraded:",
        "  tool 1-1 -> 2-1",
        "tool 1-1 -> 2-1:",
        "  * Tue Nov 14 2023 B <b@x> - 2-1",
        "    - Go on",
        "    - And on",
    ]
    assert layer(sysroot.path, "db diff", "old", "new", "-c").status == StoreError.exit_code
