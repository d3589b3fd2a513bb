# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees that can't be escaped, files that are old or new, locks that name their holder."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rpmtree import files
from rpmtree.errors import BusyError, StoreError
from rpmtree.files import Root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    (tmp_path / "outside").write_text("host")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("host")
    inside = tmp_path / "root"
    (inside / "usr" / "lib").mkdir(parents=True)
    (inside / "etc").mkdir()
    (inside / "etc" / "passwd").write_text("image")
    (inside / "lib").symlink_to("usr/lib")
    (inside / "up").symlink_to("../..")
    (inside / "host").symlink_to(tmp_path)  # absolute: leads nowhere inside
    (inside / "abs").symlink_to("/etc/passwd")
    (inside / "leak").symlink_to("../outside")
    with Root(inside) as opened:
        yield opened


class TestConfinement:
    @pytest.mark.parametrize("path", ["etc/passwd", "/etc/passwd", "abs", "up/etc/passwd", "../../etc/passwd"])
    def test_every_way_to_the_file_stays_inside(self, root: Root, path: str) -> None:
        assert root.read_text(path) == "image"

    @pytest.mark.parametrize("path", ["leak", "host/outside", "up/outside"])
    def test_links_do_not_lead_out(self, root: Root, path: str) -> None:
        assert not root.exists(path)
        with pytest.raises(FileNotFoundError):
            root.read(path)

    @pytest.mark.parametrize(
        "change",
        [
            lambda root: root.write("host/outside", "x"),
            lambda root: root.unlink("host/outside"),
            lambda root: root.mkdir("host/new"),
            lambda root: root.symlink("x", "host/new"),
            lambda root: root.link("etc/passwd", "host/new"),
            lambda root: root.rename("etc/passwd", "host/new"),
            lambda root: root.chmod("host/outside", 0o777),
            lambda root: root.chown("host/outside", 1, 1),
            lambda root: root.rename("host/outside", "taken"),
        ],
    )
    def test_no_change_reaches_the_host(self, root: Root, tmp_path: Path, change: Callable[[Root], None]) -> None:
        before = _listing(tmp_path, skip="root")
        with pytest.raises(OSError, match="No such file"):
            change(root)
        assert _listing(tmp_path, skip="root") == before

    def test_writing_replaces_a_link_not_its_target(self, root: Root, tmp_path: Path) -> None:
        root.write("abs", "new")
        assert not root.is_symlink("abs")
        assert root.read_text("etc/passwd") == "image"
        assert (tmp_path / "etc" / "passwd").read_text() == "host"

    def test_removing_a_link_leaves_what_it_leads_to(self, root: Root, tmp_path: Path) -> None:
        root.remove("host")
        root.remove("up")
        assert (tmp_path / "outside").exists()

    @pytest.mark.parametrize("path", ["", "/", ".", "..", "etc/.."])
    def test_the_root_itself_is_not_an_entry(self, root: Root, path: str) -> None:
        with pytest.raises(OSError, match="not a name") as caught:
            root.lstat(path)
        assert caught.value.errno == errno.EINVAL

    def test_chmod_refuses_links(self, root: Root) -> None:
        with pytest.raises(OSError, match="symbolic link") as caught:
            root.chmod("abs", 0o777)
        assert caught.value.errno == errno.ELOOP

    def test_open_does_not_create(self, root: Root) -> None:
        with pytest.raises(OSError, match="use write"):
            root.open("new", os.O_WRONLY | os.O_CREAT)
        assert not root.lexists("new")


class TestRoot:
    def test_parents_are_resolved_through_merged_usr(self, root: Root) -> None:
        root.write("lib/new", "x", 0o750)
        assert root.read("usr/lib/new") == b"x"
        assert stat.S_IMODE(root.lstat("usr/lib/new").st_mode) == 0o750

    def test_writing_keeps_the_mode_and_breaks_hard_links(self, root: Root) -> None:
        root.write("a", "old", 0o4711)
        root.link("a", "b")
        root.write("a", "new")
        assert (root.read("a"), root.read("b")) == (b"new", b"old")
        assert stat.S_IMODE(root.lstat("a").st_mode) == 0o4711

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(self, root: Root) -> None:
        root.write("a", "old")
        before = root.listdir("")
        with pytest.raises(ZeroDivisionError), root.replacing("a") as file:
            file.write(b"%d" % (1 // 0))
        assert root.read("a") == b"old"
        assert root.listdir("") == before

    def test_bytes_that_are_not_utf8_survive(self, root: Root) -> None:
        root.write("a", b"\xff\xfe\n")
        root.write("b", root.read_text("a"))
        assert root.read("b") == b"\xff\xfe\n"

    def test_modes_do_not_depend_on_the_umask(self, root: Root) -> None:
        before = os.umask(0o077)
        try:
            root.write("file", "", 0o644)
            root.mkdir("directory", 0o1777)
            root.makedirs("one/two", 0o755)
        finally:
            os.umask(before)
        modes = [stat.S_IMODE(root.lstat(path).st_mode) for path in ("file", "directory", "one", "one/two")]
        assert modes == [0o644, 0o1777, 0o755, 0o755]

    def test_makedirs_keeps_what_is_there(self, root: Root) -> None:
        root.mkdir("one", 0o700)
        root.makedirs("one/two")
        assert stat.S_IMODE(root.lstat("one").st_mode) == 0o700

    def test_questions_about_entries(self, root: Root) -> None:
        root.symlink("nowhere", "dangling")
        answers = [
            (root.lexists(path), root.exists(path), root.is_dir(path), root.is_symlink(path))
            for path in ("etc", "lib", "dangling", "missing", "etc/passwd/x")
        ]
        assert answers == [
            (True, True, True, False),
            (True, True, True, True),
            (True, False, False, True),
            (False, False, False, False),
            (False, False, False, False),
        ]
        assert root.readlink("lib") == "usr/lib"

    def test_links_replace_what_is_there(self, root: Root) -> None:
        root.write("a", "x")
        root.symlink("etc", "a")
        root.link("etc/passwd", "a")
        assert root.lstat("a").st_ino == root.lstat("etc/passwd").st_ino

    def test_walk_is_sorted_and_does_not_follow_links(self, root: Root) -> None:
        assert list(root.walk()) == ["abs", "etc", "etc/passwd", "host", "leak", "lib", "up", "usr", "usr/lib"]
        assert list(root.walk("usr")) == ["usr/lib"]
        assert list(root.walk("missing")) == []

    def test_remove_takes_all_below(self, root: Root) -> None:
        root.write("usr/lib/x", "")
        root.remove("usr")
        root.remove("usr")
        assert not root.lexists("usr")

    @pytest.mark.needs("root")
    def test_remove_stops_at_a_mount(self, root: Root) -> None:
        """In a mount namespace of its own, so that a failure leaves no mount behind."""
        root.mkdir("usr/mnt")
        script = (
            "import sys; from pathlib import Path; from rpmtree.files import Root\n"
            "root = Root(Path(sys.argv[1]))\n"
            "try: root.remove('usr')\n"
            "except OSError as error: print(error.errno, root.exists('usr/mnt/kept'))\n"
        )
        mount = f"mount -t tmpfs none {root.path}/usr/mnt; touch {root.path}/usr/mnt/kept"
        argv = ["unshare", "-m", "sh", "-c", f'{mount}; exec "$@"', "sh", sys.executable, "-c", script, str(root.path)]
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin", "PYTHONPATH": str(Path(files.__file__).parents[1])}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(errno.EBUSY), "True"]


class TestWholeFiles:
    def test_write_atomically_replaces(self, tmp_path: Path) -> None:
        for text in ("old", "new"):
            files.write_atomically(tmp_path / "file", text, 0o600)
        assert (tmp_path / "file").read_text() == "new"
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == ["file"]

    def test_what_a_killed_writer_left_is_not_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "other").write_text("other's")
        left = tmp_path / ".file.strata-new"
        for number in range(2):
            if number:
                left.symlink_to(tmp_path / "other")
            else:
                left.write_text("half")
            files.write_atomically(tmp_path / "file", "whole")
            assert (tmp_path / "file").read_text() == "whole"
        assert sorted(os.listdir(tmp_path)) == ["file", "other"]
        assert (tmp_path / "other").read_text() == "other's"

    def test_remove_tree(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        (tmp_path / "a" / "link").symlink_to(tmp_path)
        files.remove_tree(tmp_path / "a")
        files.remove_tree(tmp_path / "a")
        assert os.listdir(tmp_path) == []


class TestLock:
    def test_a_second_holder_is_told_of_the_first(self, tmp_path: Path) -> None:
        with files.locked(tmp_path / "lock"):
            with pytest.raises(BusyError) as caught, files.locked(tmp_path / "lock"):
                pass
            assert str(os.getpid()) in caught.value.message
        with files.locked(tmp_path / "lock"):
            pass

    def test_a_lock_that_cannot_be_made(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError), files.locked(tmp_path / "missing" / "lock"):
            pass


def _listing(top: Path, skip: str) -> list[tuple[str, int, int]]:
    entries = [path for path in sorted(top.rglob("*")) if path.relative_to(top).parts[0] != skip]
    return [(str(path), path.lstat().st_mode, path.lstat().st_size) for path in entries]


def test_remove_tree_of_a_tree_that_is_deeper_than_any_stack(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for number in range(1200):  # more than Python nests calls
        os.mkdir("d", dir_fd=here)
        if number % 500 == 0:
            os.close(os.open("file", os.O_CREAT, dir_fd=here))
            os.symlink("/", "link", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    files.remove_tree(top)
    assert os.listdir(tmp_path) == []
