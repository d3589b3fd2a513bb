# SPDX-License-Identifier: GPL-2.0-or-later
"""Sysroots on disk: what is deployed, kept, refused and left alone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rpmtree.command import run
from rpmtree.errors import BusyError, StoreError, UsageError
from rpmtree.ostree import bases
from rpmtree.ostree.deployments import Deployment, check_kargs, kept, rollback_order, split_kargs
from rpmtree.ostree.library import interruptible
from rpmtree.ostree.refs import read_ref, write_refs
from rpmtree.ostree.space import space
from rpmtree.ostree.sysroot import Sysroot, init_fs
from rpmtree.ostree.variant import Variant
from tests.support.sysroots import commit_tree, make_mutable

pytestmark = pytest.mark.needs("root", "ostree", "gi:")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"


@pytest.fixture
def sysroot(tmp_path: Path) -> Iterator[Sysroot]:
    path = tmp_path / "sysroot"
    made = init_fs(path)
    made.init_stateroot("granite")
    yield made
    make_mutable(path)


def deploy(sysroot: Sysroot, checksum: str, **more: object) -> Deployment:
    with sysroot.lock("test"):
        merge = sysroot.merge_deployment("granite")
        return sysroot.deploy("granite", checksum, ORIGIN, **{"merge": merge, **more})  # type: ignore[arg-type]


def boot_entry(sysroot: Sysroot) -> str:
    """The only one; libostree 2022.7 calls it after the stateroot, 2025.2 does not."""
    (entry,) = (sysroot.path / "boot/loader/entries").iterdir()
    return entry.read_text()


def state(sysroot: Sysroot) -> list[str]:
    """Everything outside the repository, which a failure must leave as it is."""
    found = []
    for where, directories, files in os.walk(sysroot.path):
        if where == str(sysroot.repo_path):
            directories.clear()
            continue
        found += [f"{where}/{name}" for name in (*directories, *files) if name not in ("lock", "strata.lock")]
    return sorted(found)


def test_an_empty_sysroot(sysroot: Sysroot) -> None:
    assert sysroot.deployments() == ()
    assert sysroot.booted() is None
    assert sysroot.merge_deployment("granite") is None
    assert sysroot.stateroots() == ("granite",)
    assert (sysroot.path / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_a_directory_that_is_none_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        Sysroot.open(tmp_path)
    assert caught.value.hint is not None


def test_a_deployment_is_read_back(sysroot: Sysroot) -> None:
    checksum = commit_tree(sysroot.repo_path, version="12.0")
    made = deploy(sysroot, checksum, kargs=["root=LABEL=x", 'dyndbg="file a +p"'])
    assert Sysroot.open(sysroot.path).deployments() == (made,)
    assert made.id == f"granite-{checksum}.0"
    assert (made.index, made.booted, made.staged, made.pinned) == (0, False, False, False)
    assert (made.version, made.timestamp, made.origin_text) == ("12.0", 1_700_000_000, ORIGIN)
    assert made.kargs == ("root=LABEL=x", 'dyndbg="file a +p"')
    assert (made.path / "etc/hosts").read_text() == "127.0.0.1 localhost\n"
    assert made.boot_options in boot_entry(sysroot)


def test_the_next_one_merges_etc_and_kernel_arguments(sysroot: Sysroot) -> None:
    first = deploy(sysroot, commit_tree(sysroot.repo_path), kargs=["quiet"])
    (first.path / "etc/mine").write_text("edit")
    second = deploy(sysroot, commit_tree(sysroot.repo_path, version="2"))
    assert (second.path / "etc/mine").read_text() == "edit"
    assert second.kargs == ("quiet",)
    assert [found.version for found in sysroot.deployments()] == ["2", "1"]


def test_one_rollback_and_what_is_pinned_are_kept(sysroot: Sysroot) -> None:
    first = deploy(sysroot, commit_tree(sysroot.repo_path))
    with sysroot.lock("test"):
        assert sysroot.pin(first).pinned
    for version in "234":
        deploy(sysroot, commit_tree(sysroot.repo_path, version=version))
    assert [found.version for found in sysroot.deployments()] == ["4", "3", "1"]
    with sysroot.lock("test"):
        sysroot.discard_unlisted()
    assert len(list((sysroot.path / "ostree/deploy/granite/deploy").glob("*.0"))) == 3


def test_the_rollback_is_kept_also_where_nothing_is_merged(sysroot: Sysroot) -> None:
    deploy(sysroot, commit_tree(sysroot.repo_path))
    deploy(sysroot, commit_tree(sysroot.repo_path, version="2"), merge=None)
    assert [found.version for found in sysroot.deployments()] == ["2", "1"]


def test_another_stateroot_stays(sysroot: Sysroot) -> None:
    sysroot.init_stateroot("basalt")
    checksum = commit_tree(sysroot.repo_path)
    with sysroot.lock("test"):
        sysroot.deploy("basalt", checksum, ORIGIN)
    for version in "23":
        deploy(sysroot, commit_tree(sysroot.repo_path, version=version))
    assert [found.osname for found in sysroot.deployments()] == ["granite", "granite", "basalt"]


def test_a_failed_deployment_leaves_nothing(sysroot: Sysroot) -> None:
    deploy(sysroot, commit_tree(sysroot.repo_path))
    before = state(sysroot)
    # /etc beside /usr/etc is found only after the tree was checked out.
    both = commit_tree(sysroot.repo_path, version="2", files={"etc/stray": "x"})
    with pytest.raises(StoreError):
        deploy(sysroot, both)
    assert state(sysroot) == before
    with pytest.raises(StoreError):
        deploy(sysroot, "0" * 64)
    assert state(sysroot) == before
    deploy(sysroot, commit_tree(sysroot.repo_path, version="2"))
    assert state(sysroot) != before


def test_staging_needs_a_system_that_runs(sysroot: Sysroot) -> None:
    with pytest.raises(StoreError):
        deploy(sysroot, commit_tree(sysroot.repo_path), stage=True)
    assert sysroot.deployments() == ()


def test_rollback_twice_is_undone(sysroot: Sysroot) -> None:
    deploy(sysroot, commit_tree(sysroot.repo_path))
    with sysroot.lock("test"), pytest.raises(StoreError):
        sysroot.rollback()
    deploy(sysroot, commit_tree(sysroot.repo_path, version="2"))
    with sysroot.lock("test"):
        assert [found.version for found in sysroot.rollback()] == ["1", "2"]
        assert [found.version for found in sysroot.rollback()] == ["2", "1"]


def test_undeploy_and_cleanup(sysroot: Sysroot) -> None:
    deploy(sysroot, commit_tree(sysroot.repo_path))
    for version in "23":
        with sysroot.lock("test"):
            sysroot.pin(sysroot.deployments()[0])
        deploy(sysroot, commit_tree(sysroot.repo_path, version=version))
    with sysroot.lock("test"):
        with pytest.raises(StoreError):
            sysroot.undeploy(3)
        assert [found.version for found in sysroot.undeploy(1)] == ["3", "1"]
        assert [found.version for found in sysroot.cleanup("granite", rollback=True)] == ["3", "1"]
        sysroot.pin(sysroot.deployments()[1], False)
        assert [found.version for found in sysroot.cleanup("granite", rollback=True)] == ["3"]
    assert len(list((sysroot.path / "ostree/deploy/granite/deploy").glob("*.0"))) == 1


def test_an_origin_is_replaced_and_the_pin_stays(sysroot: Sysroot) -> None:
    made = deploy(sysroot, commit_tree(sysroot.repo_path))
    new = "[origin]\nbaserefspec=site:granite/12\n\n[packages]\nrequested=powerline;\n"
    with sysroot.lock("test"):
        written = sysroot.write_origin(sysroot.pin(made), new)
        assert written.pinned
        assert written.origin_text.startswith(new)
        with pytest.raises(StoreError):
            sysroot.write_origin(made, "no key file")
    assert Sysroot.open(sysroot.path).deployments() == (written,)
    # A new deployment of that origin is not pinned.
    with sysroot.lock("test"):
        again = sysroot.deploy("granite", made.checksum, written.origin_text, merge=written)
    assert not again.pinned
    assert again.serial == 1


def test_kernel_arguments_are_set_in_place(sysroot: Sysroot) -> None:
    made = deploy(sysroot, commit_tree(sysroot.repo_path), kargs=["quiet"])
    with sysroot.lock("test"):
        assert sysroot.set_kargs(made, ["debug", "root=/dev/sda1"]).kargs == ("debug", "root=/dev/sda1")
    assert "debug root=/dev/sda1" in boot_entry(sysroot)


@pytest.mark.parametrize("karg", ["foo=1\ninit=/bin/sh", "a b", 'a="b', "", "ostree=/x", "x\0y"])
def test_what_is_no_kernel_argument(sysroot: Sysroot, karg: str) -> None:
    checksum = commit_tree(sysroot.repo_path)
    with pytest.raises(UsageError):
        deploy(sysroot, checksum, kargs=[karg])
    assert check_kargs(['a="b c"', "quiet"]) == ('a="b c"', "quiet")


@pytest.mark.parametrize("name", ["../../evil", "a/b", "", ".", "a\nb", "-x"])
def test_what_is_no_stateroot(sysroot: Sysroot, name: str) -> None:
    before = state(sysroot)
    with pytest.raises(UsageError):
        sysroot.init_stateroot(name)
    assert state(sysroot) == before


def test_who_holds_the_lock_is_named(sysroot: Sysroot) -> None:
    with sysroot.lock("layer upgrade"):
        other = Sysroot.open(sysroot.path)
        with pytest.raises(BusyError) as caught, other.lock("layer install"):
            pass
    assert f"pid {os.getpid()}, `layer upgrade`, since " in caught.value.message
    with other.lock("layer install"):
        pass


def test_libostrees_own_lock_counts(sysroot: Sysroot) -> None:
    other = Sysroot.open(sysroot.path)
    assert other._try_lock()
    with pytest.raises(BusyError), sysroot.lock("layer install"):
        pass
    other._sysroot.unlock()
    with sysroot.lock("layer install"):
        pass


@pytest.mark.parametrize("wait", [5.0, None])
def test_a_second_writer_waits_and_sees_what_the_first_did(sysroot: Sysroot, wait: float | None) -> None:
    checksum = commit_tree(sysroot.repo_path)
    other = Sysroot.open(sysroot.path)
    seen = []

    def second() -> None:
        with other.lock("layer install", wait=wait):
            seen.append([found.checksum for found in other.deployments()])

    with sysroot.lock("layer upgrade"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.1)
        sysroot.deploy("granite", checksum, ORIGIN)
        assert seen == []
    thread.join()
    assert seen == [[checksum]]


def test_changing_without_the_lock_is_a_bug(sysroot: Sysroot) -> None:
    checksum = commit_tree(sysroot.repo_path)
    with pytest.raises(AssertionError):
        sysroot.deploy("granite", checksum, ORIGIN)


def test_prune_keeps_deployments_bases_and_packages_in_use(sysroot: Sysroot) -> None:
    repo = sysroot.repo_path
    base = commit_tree(repo, version="12", files={"usr/bin/base": "base"})
    layered = commit_tree(
        repo,
        version="12",
        files={"usr/bin/base": "base", "usr/bin/layered": "layered"},
        parent=bytes.fromhex(base),
        metadata={"rpmostree.clientlayer": Variant("b", True)},
    )
    kept_package = commit_tree(repo, "rpmostree/pkg/kept/1-1.noarch", files={"usr/bin/kept": "kept"})
    gone_package = commit_tree(repo, "rpmostree/pkg/gone/1-1.noarch", files={"usr/bin/gone": "gone" * 1000})
    stray = commit_tree(repo, files={"usr/bin/stray": "stray"})
    write_refs(repo, {"rpmostree/base/7": bytes.fromhex(stray)})
    deploy(sysroot, layered)
    with sysroot.lock("test"):
        assert bases.regenerate_bases(sysroot.repository, [layered]) == ("rpmostree/base/0",)
        assert bases.drop_packages(repo, lambda ref: "/kept/" in ref) == ("rpmostree/pkg/gone/1-1.noarch",)
        assert sysroot.prune() > 4000
    left = {checksum: present(repo, checksum) for checksum in (base, layered, kept_package, gone_package, stray)}
    assert left == {base: True, layered: True, kept_package: True, gone_package: False, stray: False}
    assert bases.branches(repo, "rpmostree") == ("rpmostree/base/0", "rpmostree/pkg/kept/1-1.noarch")
    assert not (repo / "refs/heads/rpmostree/pkg/gone").exists()
    assert read_ref(repo, "rpmostree/base/0") == bytes.fromhex(base)
    run(["ostree", f"--repo={repo}", "fsck", "--quiet"])
    assert bases.regenerate_bases(sysroot.repository, [base]) == ()
    assert bases.branches(repo, "rpmostree/base") == ()


def present(repo: Path, checksum: str) -> bool:
    return (repo / "objects" / checksum[:2] / f"{checksum[2:]}.commit").exists()


def test_the_room_that_a_deployment_needs(sysroot: Sysroot) -> None:
    first = commit_tree(sysroot.repo_path)
    same = commit_tree(sysroot.repo_path, version="2")
    other = commit_tree(sysroot.repo_path, kernel="6.12")
    needed = len("kernel 6.1") + len("initramfs 6.1")
    assert space(sysroot.path, first, []).boot_needed == needed
    assert space(sysroot.path, same, [first]).boot_needed == 0
    assert space(sysroot.path, other, [first]).boot_needed == needed + 2
    assert space(sysroot.path, other, []).repo_free > 0


def test_a_signal_ends_a_long_call() -> None:
    class Stop(BaseException):
        pass

    def stop(_number: int, _frame: object) -> None:
        raise Stop

    def work(cancellable: object) -> None:
        while not cancellable.is_cancelled():  # type: ignore[attr-defined]
            time.sleep(0.01)

    before = signal.signal(signal.SIGUSR1, stop)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        with pytest.raises(Stop):
            interruptible(work)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


# -- the rules, without a disk -------------------------------------------------------------------------------------

ONE = Deployment("granite", "a" * 64, 0, 0, False, False, False, False, "", Path("/"), None, 0, "")


def listed(text: str) -> list[Deployment]:
    """`g` is a deployment of granite, `b` of basalt; * booted, + pinned, ~ staged."""
    return [
        replace(
            ONE,
            osname={"g": "granite", "b": "basalt"}[word[0]],
            index=number,
            booted="*" in word,
            pinned="+" in word,
            staged="~" in word,
        )
        for number, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("before", "order"),
    [("g g", (1, 0)), ("g* g", (1, 0)), ("g g*", (1, 0)), ("g b g", (2, 0, 1)), ("g g* g", (1, 0, 2))],
)
def test_rollback_order(before: str, order: tuple[int, ...]) -> None:
    assert rollback_order(listed(before)) == order


@pytest.mark.parametrize("before", ["", "g", "g*", "g~ g* g", "g b"])
def test_nothing_to_roll_back_to(before: str) -> None:
    with pytest.raises(StoreError):
        rollback_order(listed(before))


@pytest.mark.parametrize(
    ("before", "pending", "rollback", "left"),
    [
        ("g g* g", True, False, (1, 2)),
        ("g g* g", False, True, (0, 1)),
        ("g~ g* g", True, True, (1,)),
        ("g g+ g* g+ g b", True, True, (1, 2, 3, 5)),
        ("g g", True, False, (0, 1)),
        ("g g", False, True, (0,)),
        ("b b", True, True, (0, 1)),
    ],
)
def test_what_a_cleanup_keeps(before: str, pending: bool, rollback: bool, left: tuple[int, ...]) -> None:
    assert kept(listed(before), "granite", pending=pending, rollback=rollback) == left


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ()),
        ("a b=c", ("a", "b=c")),
        ('a="b c" d', ('a="b c"', "d")),
        ('"a b"=c', ('"a b"=c',)),
        (" a  b ", ("a", "b")),
    ],
)
def test_kernel_command_lines(options: str, words: tuple[str, ...]) -> None:
    assert split_kargs(options) == words
