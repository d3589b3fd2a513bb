# SPDX-License-Identifier: GPL-2.0-or-later
"""Remotes: what is configured, pulled, refused, and which branch moves when."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree.errors import FetchError, StoreError, UsageError
from rpmtree.ostree.remotes import Remotes
from rpmtree.ostree.variant import Variant, serialise
from rpmtree.progress import Reporter
from tests.support.openpgp import Key
from tests.support.remotelab import Lab
from tests.support.sysroots import commit_tree

pytestmark = pytest.mark.needs("root", "ostree", "gi:")


def test_a_remote_is_added_shown_and_deleted(lab: Lab) -> None:
    added = lab.client.add(
        "other", "https://localhost/repo", {"contenturl": "https://localhost/objects", "proxy": "http://localhost:1"}
    )
    assert (added.url, added.gpg_verify, added.contenturl) == (
        "https://localhost/repo",
        True,
        "https://localhost/objects",
    )
    assert added.options == {"proxy": "http://localhost:1"}
    again = Remotes.open(lab.client.path)
    assert again.names() == ("other", "site")
    assert again.list()[0] == added
    with pytest.raises(StoreError):
        lab.client.add("other", "https://localhost/")
    assert lab.client.add("other", "https://localhost/", replace=True).contenturl is None
    lab.client.delete("other")
    assert Remotes.open(lab.client.path).names() == ("site",)
    for call in (lab.client.show, lab.client.delete, lambda name: lab.client.pull(name, "x")):
        with pytest.raises(StoreError):
            call("other")


@pytest.mark.parametrize(
    ("name", "url", "options"),
    [
        ("../x", "http://localhost/", {}),
        ('x"]\n[core', "http://localhost/", {}),
        ("x", "http://localhost/\ngpg-verify=false", {}),
        ("x", "", {}),
        ("x", "http://localhost/", {"proxy": "a\nb=c"}),
        ("x", "http://localhost/", {"a=b": "c"}),
    ],
)
def test_what_would_be_more_than_one_line_is_refused(lab: Lab, name: str, url: str, options: dict[str, str]) -> None:
    before = (lab.client.path / "config").read_bytes()
    with pytest.raises(UsageError):
        lab.client.add(name, url, options)
    assert (lab.client.path / "config").read_bytes() == before


def test_a_branch_is_pulled(lab: Lab) -> None:
    class Seen(Reporter):
        def __init__(self) -> None:
            self.last = (0, 0)

        def advanced(self, done: int, total: int) -> None:
            self.last = (done, total)

    reporter = Seen()
    checksum = lab.release("12.0", 1000)
    pulled = lab.client.pull("site", "granite/12", reporter=reporter)
    assert (pulled.checksum, pulled.commit.timestamp) == (checksum, 1000)
    assert reporter.last[0] == reporter.last[1] > 20
    assert (lab.client.path / "refs/remotes/site/granite/12").read_text().strip() == checksum
    lab.fsck()


def test_a_commit_is_pulled_by_checksum_and_no_branch_is_made(lab: Lab) -> None:
    checksum = lab.release("12.0", 1000)
    assert lab.client.pull("site", checksum).checksum == checksum
    assert not (lab.client.path / "refs/remotes/site").exists()
    lab.fsck()


def test_commits_alone_move_no_branch(lab: Lab) -> None:
    first = lab.release("12.0", 1000)
    ref = lab.client.path / "refs/remotes/site/granite/12"
    assert lab.client.pull("site", "granite/12", commit_only=True).checksum == first
    assert not ref.exists()
    lab.client.pull("site", "granite/12")
    second = lab.release("12.1", 2000, first)
    lab.site.requests.clear()
    found = lab.client.pull("site", "granite/12", commit_only=True)
    assert (found.checksum, found.commit.metadata["version"].value) == (second, "12.1")
    assert not [path for path, _ in lab.site.requests if path.endswith((".filez", ".dirtree"))]
    assert ref.read_text().strip() == first
    assert lab.client.pull("site", "granite/12").checksum == second
    assert ref.read_text().strip() == second
    lab.fsck()


@pytest.mark.parametrize(("depth", "there"), [(0, False), (1, True), (-1, True)])
def test_history_comes_as_deep_as_asked(lab: Lab, depth: int, there: bool) -> None:
    first = lab.release("12.0", 1000)
    lab.release("12.1", 2000, first)
    lab.client.pull("site", "granite/12", depth=depth)
    assert (lab.client.path / "objects" / first[:2] / f"{first[2:]}.commit").exists() is there


def test_an_older_commit_is_refused_before_its_content_comes(lab: Lab) -> None:
    newer = lab.release("12.1", 2000)
    lab.client.pull("site", "granite/12")
    older = lab.release("12.0", 1000)
    for rev in ("granite/12", older):
        lab.site.requests.clear()
        with pytest.raises(StoreError) as caught:
            lab.client.pull("site", rev, newer_than=newer)
        assert "--allow-downgrade" in (caught.value.hint or "")
        assert not [path for path, _ in lab.site.requests if path.endswith((".filez", ".dirtree"))]
    assert (lab.client.path / "refs/remotes/site/granite/12").read_text().strip() == newer
    assert lab.client.pull("site", "granite/12").checksum == older
    newest = lab.release("12.2", 3000)
    assert lab.client.pull("site", "granite/12", newer_than=newer).checksum == newest


def test_what_is_missing_or_damaged_is_refused_and_no_branch_moves(lab: Lab) -> None:
    with pytest.raises(FetchError):
        lab.client.pull("site", "no/such")
    checksum = lab.release("12.0", 1000)
    victim = next(iter(sorted((lab.archive / "objects").rglob("*.filez"))))
    whole = victim.read_bytes()
    for bad in (b"", whole[:-3], whole[:-10] + b"0123456789"):
        victim.write_bytes(bad)
        with pytest.raises(FetchError):
            lab.client.pull("site", "granite/12")
        assert not (lab.client.path / "refs/remotes/site/granite/12").exists()
    victim.write_bytes(whole)
    assert lab.client.pull("site", "granite/12").checksum == checksum
    lab.fsck()


def test_signatures_are_asked_for_unless_switched_off(lab: Lab, key: Key, other_key: Key) -> None:
    checksum = lab.release("12.0", 1000)
    lab.client.add("strict", lab.site.url)
    assert lab.client.show("strict").gpg_verify
    assert lab.client.import_keys("strict", key.public_key().encode()) == 1
    assert lab.client.import_keys("strict", key.public_key().encode()) == 0
    commit = lab.archive / "objects" / checksum[:2] / f"{checksum[2:]}.commit"
    for signer in (None, other_key):
        if signer is not None:
            sign(commit, signer)
        for commit_only in (True, False):
            with pytest.raises(FetchError):
                lab.client.pull("strict", "granite/12", commit_only=commit_only)
        assert not (lab.client.path / "refs/remotes/strict").exists()
    sign(commit, key)
    assert lab.client.pull("strict", "granite/12").checksum == checksum


def test_unsigned_commits_come_where_that_is_switched_off(lab: Lab) -> None:
    checksum = lab.release("12.0", 1000)
    assert not lab.client.show("site").gpg_verify
    assert lab.client.pull("site", "granite/12").checksum == checksum


def sign(commit: Path, key: Key) -> None:
    """Lay OSTree's detached metadata beside a commit (ostree.gpgsigs)."""
    detached = serialise("a{sv}", {"ostree.gpgsigs": Variant("aay", [key.sign(commit.read_bytes())])})
    commit.with_suffix(".commitmeta").write_bytes(detached)


def test_a_local_repository(lab: Lab) -> None:
    checksum = lab.release("12.0", 2000)
    for source, rev in ((lab.archive, "granite/12"), (lab.build, checksum)):
        assert lab.client.pull_local(source, rev).checksum == checksum
    lab.fsck()
    older = commit_tree(lab.build, "old", timestamp=1000)
    with pytest.raises(StoreError):
        lab.client.pull_local(lab.build, "old", newer_than=checksum)
    assert lab.client.pull_local(lab.build, "old").checksum == older
    with pytest.raises(StoreError):
        lab.client.pull_local(lab.build, "none")


def test_objects_of_the_same_file_system_are_linked(lab: Lab) -> None:
    checksum = commit_tree(lab.build, files={"usr/bin/big": "x" * 100_000})
    lab.client.pull_local(lab.build, checksum)
    mine = next(path for path in (lab.client.path / "objects").rglob("*.file") if path.lstat().st_size == 100_000)
    assert mine.stat().st_nlink == 2
