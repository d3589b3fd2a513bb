# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects and branches on disk: the order in which they get their names, what is left behind, what is damaged."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rpmtree.errors import BusyError, StoreError
from rpmtree.files import sync_filesystem
from rpmtree.ostree import objects, refs, repo, tree
from rpmtree.ostree import store as stores
from rpmtree.ostree.objects import Commit, FileMeta, Kind
from rpmtree.ostree.prune_lock import shared_lock
from rpmtree.ostree.refs import read_ref, write_refs
from rpmtree.ostree.store import Staging, Store, remove_stale_staging
from rpmtree.ostree.transfer import Figures, link_commit, object_names
from rpmtree.ostree.tree import Directory, Written

pytestmark = pytest.mark.needs("root", "ostree", "gi:")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    repo.create(tmp_path / "repo", "bare")
    return Store(tmp_path / "repo")


def staged(staging: Staging, content: bytes = b"x") -> tuple[Directory, Written, bytes]:
    """A commit with a file, an empty file and a link; not published."""
    root = Directory()
    root.make("usr/lib").files["file"] = staging.add_file(FileMeta(0o100644), content)
    root.make("usr/lib").files["empty"] = staging.add_file(FileMeta(0o100644), b"")
    root.make("usr").files["link"] = staging.add_link(FileMeta(0o120777, target="lib"))
    written = tree.write(staging, root)
    commit = staging.add_metadata(Kind.COMMIT, objects.commit(Commit(written.tree, written.meta, 1)))
    return root, written, commit


def published(store: Store, content: bytes = b"x") -> tuple[Directory, Written, bytes]:
    with Staging(store) as staging:
        found = staged(staging, content)
        staging.publish()
    return found


def fsck(store: Store) -> int:
    return subprocess.run(
        ["ostree", "fsck", f"--repo={store.path}", "--quiet"], capture_output=True, check=False
    ).returncode


@pytest.fixture
def trace(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened that matters to durability, in order: `sync`, and the new name of what was renamed or linked."""
    events: list[str] = []

    def noting(real: Callable[..., None], what: Callable[..., str]) -> Callable[..., None]:
        def call(*args: object, **said: object) -> None:
            real(*args, **said)
            events.append(what(*args))

        return call

    for module in (stores, refs):
        monkeypatch.setattr(module, "sync_filesystem", noting(sync_filesystem, lambda fd: "sync"))
    monkeypatch.setattr(os, "rename", noting(os.rename, lambda source, target, **_: str(target)))
    monkeypatch.setattr(os, "link", noting(os.link, lambda source, target, **_: str(target)))
    return events


def order(events: list[str]) -> list[str]:
    """The kinds of things that happened, repetitions left out."""
    kinds = [event if event == "sync" else Path(event).suffix or "ref" for event in events]
    return [kind for at, kind in enumerate(kinds) if at == 0 or kind != kinds[at - 1]]


def test_objects_are_durable_before_they_have_names(store: Store, trace: list[str]) -> None:
    published(store)
    assert order(trace) == ["sync", ".file", ".dirmeta", ".dirtree", ".commit"]
    assert fsck(store) == 0


def test_nothing_staged_is_visible_before_it_is_published(store: Store) -> None:
    with Staging(store) as staging:
        _, _, commit = staged(staging)
        assert not object_names(store)
        assert (staging.directory / commit.hex()[:2] / f"{commit.hex()[2:]}.commit").is_file()
        assert not store.has(Kind.COMMIT, commit)
    assert not object_names(store)
    assert not list((store.path / "tmp").glob("strata*"))


def test_a_commit_is_linked_last_and_durable_before_its_branch(store: Store, tmp_path: Path, trace: list[str]) -> None:
    repo.create(tmp_path / "target", "bare")
    target = Store(tmp_path / "target")
    root, written, commit = published(store)
    trace.clear()
    figures = link_commit(store, target, commit, root, written)
    write_refs(target.path, {"a/b": commit})
    assert order(trace) == [".file", ".dirmeta", ".dirtree", ".commit", "sync", "ref", "sync"]
    assert figures == Figures(metadata_total=5, metadata_written=5, content_total=3, content_written=3)
    assert fsck(target) == 0
    assert link_commit(store, target, commit, root, written) == Figures(5, 0, 3, 0)


def test_objects_that_a_prune_took_are_linked_again(store: Store, tmp_path: Path) -> None:
    repo.create(tmp_path / "target", "bare")
    target = Store(tmp_path / "target")
    root, written, commit = published(store)
    link_commit(store, target, commit, root, written)
    write_refs(target.path, {"a": commit})
    os.unlink(target.object_path(Kind.FILE, root.dirs["usr"].files["link"]))
    assert fsck(target) != 0
    assert link_commit(store, target, commit, root, written).content_written == 1
    (target.path / "state" / f"{commit.hex()}.commitpartial").unlink()  # what fsck itself has noted
    assert fsck(target) == 0


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_a_damaged_file_is_not_passed_on(store: Store, tmp_path: Path, damage: str) -> None:
    repo.create(tmp_path / "target", "bare")
    target = Store(tmp_path / "target")
    root, written, commit = published(store, b"content")
    path = Path(store.object_path(Kind.FILE, root.dirs["usr"].dirs["lib"].files["file"]))
    if damage == "changed":
        os.truncate(path, 3)
    else:
        path.unlink()
    with pytest.raises(StoreError, match=path.name) as error:
        link_commit(store, target, commit, root, written)
    assert str(store.path) in (error.value.hint or "")
    assert not target.has(Kind.COMMIT, commit)
    assert f"{path.parent.name}{path.name}" not in object_names(target)


@pytest.mark.parametrize("kind", [Kind.COMMIT, Kind.DIRTREE, Kind.DIRMETA])
@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "gone"])
def test_damaged_metadata_is_named(store: Store, kind: Kind, damage: str) -> None:
    _, written, commit = published(store)
    checksum = {Kind.COMMIT: commit, Kind.DIRTREE: written.tree, Kind.DIRMETA: written.meta}[kind]
    path = Path(store.object_path(kind, checksum))
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        damaged = {"flipped": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-1], "emptied": b""}
        path.write_bytes(damaged[damage])
    with pytest.raises(StoreError, match=checksum.hex()):
        store.read(kind, checksum)
    if kind is Kind.COMMIT:
        with pytest.raises(StoreError, match=checksum.hex()):
            repo.Repository(store.path).commit(checksum)
    else:
        with pytest.raises(StoreError, match=checksum.hex()):
            tree.load(store, written.tree, written.meta)


def test_stale_staging_is_removed_and_nothing_else(store: Store) -> None:
    Staging(store)
    (store.path / "tmp/other").mkdir()
    remove_stale_staging(store)
    assert sorted(path.name for path in (store.path / "tmp").iterdir()) == ["cache", "other"]


def test_a_failed_stream_leaves_nothing(store: Store) -> None:
    def read(limit: int) -> bytes:
        raise StoreError("it broke")

    with pytest.raises(StoreError, match="it broke"), Staging(store) as staging:
        staging.add_stream(FileMeta(0o100644), read)
    assert not object_names(store)
    assert not list((store.path / "tmp").glob("strata*"))


def test_the_same_file_staged_in_every_way_is_one_object(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"data")
    source.chmod(0o644)
    pieces = iter([b"da", b"ta", b""])
    with Staging(store) as staging:
        meta = FileMeta(0o100644)
        one = staging.add_file(meta, b"data")
        assert one == staging.add_stream(meta, lambda limit: next(pieces)) == staging.adopt(meta, str(source))
        assert staging.publish() == 1


# Branches.


def test_branches(store: Store) -> None:
    _, _, commit = published(store)
    assert read_ref(store.path, "a/b") is None
    write_refs(store.path, {"a/b": commit, "a/c": commit})
    assert read_ref(store.path, "a/b") == commit
    listed = subprocess.run(["ostree", "refs", f"--repo={store.path}"], capture_output=True, check=True, text=True)
    assert sorted(listed.stdout.split()) == ["a/b", "a/c"]


def test_branches_are_durable_before_they_have_names_and_after(store: Store, trace: list[str]) -> None:
    write_refs(store.path, {"a": b"\1" * 32, "b": b"\2" * 32})
    assert order(trace) == ["sync", "ref", "sync"]
    trace.clear()
    write_refs(store.path, {})
    assert order(trace) == ["sync"], "a commit without a branch is durable too"


@pytest.mark.parametrize("content", [b"", b"\n", b"abcd\n", b"x" * 64, b"0" * 63 + b"\n", b"\xff" * 64])
def test_a_damaged_branch_is_named(store: Store, content: bytes) -> None:
    (store.path / "refs/heads/a").write_bytes(content)
    with pytest.raises(StoreError, match="branch a"):
        read_ref(store.path, "a")
    write_refs(store.path, {"a": b"\1" * 32})
    assert read_ref(store.path, "a") == b"\1" * 32


@pytest.mark.parametrize(("there", "wanted"), [("a", "a/b"), ("a/b", "a")])
def test_a_branch_above_or_below_another_is_refused(store: Store, there: str, wanted: str) -> None:
    write_refs(store.path, {there: b"\1" * 32})
    with pytest.raises(StoreError, match=wanted):
        write_refs(store.path, {wanted: b"\2" * 32})
    assert read_ref(store.path, there) == b"\1" * 32
    assert not list((store.path / "tmp").glob("strata*"))


# Against `ostree prune`.


def test_nothing_is_pruned_while_it_has_no_branch(store: Store) -> None:
    with shared_lock(store.path), shared_lock(store.path):  # several may hold it
        _, _, commit = published(store)
        prune = subprocess.Popen(["ostree", "prune", f"--repo={store.path}", "--refs-only"], stdout=subprocess.DEVNULL)
        timer = threading.Timer(30, prune.kill)
        timer.start()
        with pytest.raises(subprocess.TimeoutExpired):
            prune.wait(0.5)
        write_refs(store.path, {"a": commit})
    assert prune.wait() == 0
    timer.cancel()
    assert fsck(store) == 0
    assert store.has(Kind.COMMIT, commit)


def test_waits_for_a_prune_and_then_gives_up(store: Store) -> None:
    with open(store.path / ".lock", "wb") as file:
        exclusive = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, exclusive)
        with pytest.raises(BusyError, match="prune"), shared_lock(store.path, timeout=0.2):
            pass
    with shared_lock(store.path, timeout=0):
        pass
