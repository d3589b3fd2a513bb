# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree of hard links under an overlay: made, brought up to date, and never trusted after someone else was at it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from rpmtree.errors import StoreError
from rpmtree.ostree import objects, repo
from rpmtree.ostree.objects import FileMeta, Kind
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.tree import Directory
from rpmtree.root.checkout import Checkout
from tests.support.trees import describe

pytestmark = pytest.mark.needs("root", "gi:")

FIRST = {
    "usr/bin/tool": "tool",
    "usr/bin/sh": "-> tool",
    "usr/share/x/one": "1",
    "usr/share/x/y/two": "2",
    "etc/c": "c",
}
#: File → directory, directory → file, link → file, moved, changed, gone, new.
SECOND = {"usr/bin/tool/x": "x", "usr/bin/sh": "file", "usr/share/x": "-> y", "usr/share/y/two": "2", "new": "n"}


class Bench:
    def __init__(self, top: Path) -> None:
        repo.create(top / "repo", "bare")
        self.store, self.path = Store(top / "repo"), top / "lower"

    def tree(self, files: dict[str, str]) -> Directory:
        root = Directory()
        with Staging(self.store) as staging:
            for path, content in files.items():
                parent, _, name = path.rpartition("/")
                meta = FileMeta(0o100644, 1, 2)
                if content.startswith("-> "):
                    checksum = staging.add_link(FileMeta(0o120777, target=content[3:]))
                else:
                    checksum = staging.add_file(meta, content.encode())
                root.make(parent).files[name] = checksum
            root.make("usr").meta = objects.dirmeta(0o2711, 3, 4)
            staging.publish()
        return root

    def update(self, files: dict[str, str]) -> str:
        """Bring the checkout to these files; what a checkout anew would give must be there then."""
        wanted = self.tree(files)
        Checkout(self.store, self.path).update(wanted)
        shown = describe(self.path)
        anew = self.path.with_name("anew")
        shutil.rmtree(anew, ignore_errors=True)
        Checkout(self.store, anew).update(wanted)
        assert shown == describe(anew)
        return shown

    def inode(self, path: str) -> int:
        return os.lstat(self.path / path).st_ino


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_is_made_of_the_objects_themselves(bench: Bench) -> None:
    shown = bench.update(FIRST)
    assert 'usr/bin/tool 1:2 "tool"' in shown
    assert "usr/ 2711 3:4" in shown
    root = bench.tree(FIRST)
    checksum = root.directory("usr/bin").files["tool"]  # type: ignore[union-attr]
    assert bench.inode("usr/bin/tool") == os.stat(bench.store.object_path(Kind.FILE, checksum)).st_ino


@pytest.mark.parametrize(("before", "after"), [(FIRST, SECOND), (SECOND, FIRST), (FIRST, {}), ({}, FIRST)])
def test_is_brought_up_to_date(bench: Bench, before: dict[str, str], after: dict[str, str]) -> None:
    assert bench.update(before) != bench.update(after)


def test_what_stays_is_not_made_again(bench: Bench) -> None:
    bench.update(FIRST)
    before = bench.inode("usr/share/x")
    bench.update({**FIRST, "etc/c": "other"})
    assert bench.inode("usr/share/x") == before


def replace(path: Path) -> None:
    """A file in the place of what is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    path.write_text("note")


BEHIND_OUR_BACK: dict[str, Callable[[Path, Path], object]] = {
    "all removed": lambda lower, note: shutil.rmtree(lower),
    "a file removed": lambda lower, note: (lower / "usr/bin/tool").unlink(),
    "a file added": lambda lower, note: (lower / "usr/share/x/more").write_text("more"),
    "a file replaced": lambda lower, note: replace(lower / "etc/c"),
    "a directory renamed": lambda lower, note: (lower / "usr/share/x").rename(lower / "usr/share/z"),
    "the mode of a directory": lambda lower, note: (lower / "usr/share").chmod(0o700),
    "a file where the directory was": lambda lower, note: replace(lower),
    "the note removed": lambda lower, note: note.unlink(),
    "the note emptied": lambda lower, note: note.write_bytes(b""),
    "the note cut": lambda lower, note: note.write_bytes(note.read_bytes()[:-30]),
    "the note of noise": lambda lower, note: note.write_bytes(b"\xff\0 x y" * 30),
}


@pytest.mark.parametrize("case", BEHIND_OUR_BACK)
def test_is_made_anew_where_someone_else_was_at_it(bench: Bench, case: str) -> None:
    expected = bench.update(FIRST)
    BEHIND_OUR_BACK[case](bench.path, bench.path.with_name("lower.tree"))
    assert bench.update(FIRST) == expected


def test_an_interrupted_update_leaves_no_note(bench: Bench) -> None:
    bench.update(FIRST)
    wanted = bench.tree(SECOND)
    wanted.files["missing"] = b"\0" * 32
    with pytest.raises(StoreError, match=str(bench.path)):
        Checkout(bench.store, bench.path).update(wanted)
    assert not bench.path.with_name("lower.tree").exists()
    bench.update(FIRST)


def test_the_objects_of_before_may_be_pruned(bench: Bench) -> None:
    bench.update(FIRST)
    for path in (bench.store.path / "objects").glob("*/*"):
        path.unlink()
    bench.update(SECOND)


def test_a_file_with_more_names_than_the_file_system_allows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, names = os.link, 0

    def link(source: str, target: str, **options: bool) -> None:
        nonlocal names
        names += 1
        if names > 2:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        real(source, target, **options)

    monkeypatch.setattr(os, "link", link)
    meta = FileMeta(0o104755, 1, 2, xattrs=((b"security.capability", bytes.fromhex("01000002" + "20" + "00" * 15)),))
    root = Directory()
    with Staging(bench.store) as staging:
        root.files |= dict.fromkeys("abcde", staging.add_file(meta, b"content"))
        root.files["link"] = staging.add_link(FileMeta(0o120777, target="a"))
        staging.publish()
    Checkout(bench.store, bench.path).update(root)
    assert names > 2
    for name in "abcde":
        found = os.lstat(bench.path / name)
        assert (found.st_mode, found.st_uid, found.st_gid) == (0o104755, 1, 2)
        assert os.getxattr(bench.path / name, "security.capability") == meta.xattrs[0][1]
    assert os.readlink(bench.path / "link") == "a"
