# SPDX-License-Identifier: GPL-2.0-or-later
"""What is read beside libostree: names of commits, who holds the lock, what is held back in /run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rpmtree.errors import StoreError, UsageError
from rpmtree.ostree import finalization
from rpmtree.ostree.lock import Holder, at_work
from rpmtree.ostree.refs import resolve, write_refs
from rpmtree.ostree.repo import create
from rpmtree.ostree.sysroot import init_fs
from tests.conftest import TOP
from tests.support.sysroots import commit_tree

pytestmark = pytest.mark.needs("root", "gi:")


class TestResolve:
    def test_what_names_a_commit(self, tmp_path: Path) -> None:
        create(tmp_path, "bare")
        checksum = commit_tree(tmp_path, "granite/12")
        head = tmp_path / "refs/remotes/site/granite/12"
        head.parent.mkdir(parents=True)
        head.write_text(f"{checksum}\n")
        for rev in ("granite/12", "site:granite/12", checksum, checksum[:6], checksum[:63]):
            assert resolve(tmp_path, rev) == bytes.fromhex(checksum)
        assert resolve(tmp_path, "0" * 64) == bytes(32)

    @pytest.mark.parametrize(
        "rev",
        ["", "granite", "granite/13", "site:", ":granite/12", "lab:granite/12", "000000", "..", "../heads/x", "a:../x"],
    )
    def test_what_names_none(self, tmp_path: Path, rev: str) -> None:
        create(tmp_path, "bare")
        commit_tree(tmp_path, "granite/12")
        assert resolve(tmp_path, rev) is None

    def test_a_branch_that_looks_like_a_checksum_is_a_branch(self, tmp_path: Path) -> None:
        create(tmp_path, "bare")
        checksum, other = commit_tree(tmp_path), commit_tree(tmp_path, version="2")
        write_refs(tmp_path, {checksum[:8]: bytes.fromhex(other)})
        assert resolve(tmp_path, checksum[:8]) == bytes.fromhex(other)

    def test_several_commits(self, tmp_path: Path) -> None:
        create(tmp_path, "bare")
        checksum = commit_tree(tmp_path)
        twin = tmp_path / "objects" / checksum[:2] / f"{checksum[2:10]}{'0' * 54}.commit"
        twin.write_bytes(b"")
        with pytest.raises(StoreError):
            resolve(tmp_path, checksum[:8])
        assert resolve(tmp_path, checksum[:12] if checksum[10:12] != "00" else checksum) == bytes.fromhex(checksum)


class TestAtWork:
    def test_who_holds_the_lock(self, tmp_path: Path) -> None:
        sysroot = init_fs(tmp_path / "sysroot")
        directory = sysroot.path / "ostree"
        assert at_work(directory) is None
        with sysroot.lock("layer upgrade"):
            found = at_work(directory)
            assert found is not None
            assert (found.pid, found.command) == (os.getpid(), "layer upgrade")
        assert at_work(directory) is None

    def test_a_process_that_was_killed_holds_nothing(self, tmp_path: Path) -> None:
        sysroot = init_fs(tmp_path / "sysroot")
        code = (
            "import os\nfrom pathlib import Path\nfrom rpmtree.ostree.sysroot import Sysroot\n"
            f"with Sysroot.open(Path({str(sysroot.path)!r})).lock('layer upgrade'):\n os.kill(os.getpid(), 9)"
        )
        assert subprocess.run([sys.executable, "-c", code], cwd=TOP, check=False).returncode == -9
        assert (sysroot.path / "ostree/strata.lock").read_text()
        assert at_work(sysroot.path / "ostree") is None

    def test_who_waits_does_not_hold_it(self, tmp_path: Path) -> None:
        sysroot = init_fs(tmp_path / "sysroot")
        with sysroot.lock("layer upgrade"):
            held = at_work(sysroot.path / "ostree")
            code = (
                "from pathlib import Path\nfrom rpmtree.ostree.sysroot import Sysroot\nprint('up', flush=True)\n"
                f"with Sysroot.open(Path({str(sysroot.path)!r})).lock('layer install', wait=None): pass"
            )
            process = subprocess.Popen([sys.executable, "-c", code], cwd=TOP, stdout=subprocess.PIPE)
            assert process.stdout
            assert process.stdout.readline() == b"up\n"
            assert isinstance(held, Holder)
            assert at_work(sysroot.path / "ostree") == held
        assert process.wait(10) == 0
        process.stdout.close()


class TestFinalization:
    def test_staging_that_is_held_back_from_the_first_moment_on(self, tmp_path: Path) -> None:
        run = tmp_path / "run"
        with finalization.staging(True, run=run):
            assert finalization.held_back(run)
        assert finalization.held_back(run)
        with finalization.staging(False, run=run):
            assert finalization.held_back(run)  # what was staged before may be there still
        assert not finalization.held_back(run)

    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("held", [True, False])
    def test_staging_that_fails_changes_nothing(self, tmp_path: Path, before: bool, held: bool) -> None:
        finalization.hold_back(before, tmp_path)
        with pytest.raises(StoreError), finalization.staging(held, run=tmp_path):
            raise StoreError("no")
        assert finalization.held_back(tmp_path) is before

    def test_what_does_not_run_can_not_be_held_back(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError), finalization.staging(True, running=False, run=tmp_path):
            pass
        with finalization.staging(False, running=False, run=tmp_path):
            pass

    @pytest.mark.parametrize(
        ("files", "persistent", "kind"),
        [
            ([], None, "none"),
            (["unlocked-development"], None, "development"),
            (["unlocked-transient"], None, "transient"),
            ([], "hotfix", "hotfix"),
            ([], "nonsense", "none"),
        ],
    )
    def test_unlocked(self, tmp_path: Path, files: list[str], persistent: str | None, kind: str) -> None:
        state = tmp_path / "deployment-state" / f"{'a' * 64}.0"
        state.mkdir(parents=True)
        for name in files:
            (state / name).touch()
        assert finalization.unlocked("a" * 64, 0, persistent, tmp_path) == kind
        assert finalization.unlocked("b" * 64, 0, persistent, tmp_path) == (
            "hotfix" if persistent == "hotfix" else "none"
        )

    def test_a_failure_is_told(self, tmp_path: Path) -> None:
        assert finalization.failure(tmp_path) is None
        stamp = tmp_path / "boot/ostree/finalize-failure.stamp"
        stamp.parent.mkdir(parents=True)
        stamp.write_text("")
        assert finalization.failure(tmp_path) == "no reason was left"
