# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps that do what a treefile asks for: units, targets, os-release, files added and removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rpmtree.errors import ConfigError, StoreError, ToolError
from rpmtree.finish import (
    add_files,
    base_db,
    default_target,
    layout,
    os_release,
    remove_files,
    rpmdb_home,
    state_overlay,
    treefile_json,
    units,
)
from rpmtree.root.spec import AddFile, FinishSpec, OptUsrLocal
from tests.finish.golden import check, run
from tests.support.trees import canonical, plant

USR = "usr/bin/\nbin -> usr/bin\netc/\n"


@pytest.mark.parametrize(
    ("tree", "about"),
    [
        ("etc/", "no /usr"),
        ("usr/etc/x\netc/y", "/usr/etc"),
        ("usr/bin/\nusr/etc -> ../etc\netc/", "/usr/etc"),
        ("usr/bin/\netc -> usr/bin", "/etc"),
        ("usr/bin/\nlib/x", "/lib"),
    ],
)
def test_layout_refuses(tmp_path: Path, tree: str, about: str) -> None:
    with pytest.raises(ToolError, match=about):
        run(tmp_path, layout.apply, tree)


def test_layout_accepts_and_changes_nothing(tmp_path: Path) -> None:
    check(tmp_path, layout.apply, USR, USR)


MACROS = "usr/lib/rpm/macros.d/macros.rpm-ostree\n| %_dbpath /usr/share/rpm\n"


def test_rpmdb_home(tmp_path: Path) -> None:
    before = """
    usr/lib/sysimage/rpm/.rpm.lock
    usr/share/rpm/rpmdb.sqlite "packages"
    usr/share/rpm/.rpm.lock
    usr/share/rpm/__db.001 "x"
    usr/share/rpm/rpmdb.sqlite-shm "x"
    usr/share/rpm/rpmdb.sqlite-wal
    """
    after = f'{MACROS}\nusr/share/rpm/rpmdb.sqlite "packages"\nusr/lib/sysimage/rpm -> ../../share/rpm'
    check(tmp_path, rpmdb_home.apply, before, after)


def test_rpmdb_home_takes_a_database_from_where_the_distribution_has_it(tmp_path: Path) -> None:
    before = 'usr/lib/sysimage/rpm/rpmdb.sqlite "packages"'
    after = f'{MACROS}\nusr/share/rpm/rpmdb.sqlite "packages"\nusr/lib/sysimage/rpm -> ../../share/rpm'
    check(tmp_path, rpmdb_home.apply, before, after)


@pytest.mark.parametrize(("write_version", "refused"), [("\\u0001", False), ("\\u0002", True)])
def test_rpmdb_log_with_changes_is_not_thrown_away(tmp_path: Path, write_version: str, refused: bool) -> None:
    tree = f'usr/share/rpm/rpmdb.sqlite "SQLite format 3 10{write_version}rest"\nusr/share/rpm/rpmdb.sqlite-wal "log"'
    if refused:
        with pytest.raises(StoreError):
            run(tmp_path, rpmdb_home.apply, tree)
    else:
        assert "wal" not in run(tmp_path, rpmdb_home.apply, tree)[0]


def test_base_db(tmp_path: Path) -> None:
    before = """
    usr/lib/sysimage/rpm-ostree-base-db/old "x"
    usr/share/rpm/rpmdb.sqlite "packages"
    """
    after = """
    usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite "packages"
    usr/share/rpm/rpmdb.sqlite == usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite
    """
    check(tmp_path, base_db.apply, before, after)


def test_units(tmp_path: Path) -> None:
    before = """
    usr/lib/systemd/system/a.service
    usr/lib/systemd/system/b@.service
    usr/lib/systemd/system/c.service
    etc/systemd/system/multi-user.target.wants/c.service -> /dev/null
    """
    after = f"""{before}
    etc/systemd/system/multi-user.target.wants/a.service -> /usr/lib/systemd/system/a.service
    etc/systemd/system/multi-user.target.wants/b@x.y.service -> /usr/lib/systemd/system/b@.service
    """
    spec = FinishSpec(units=("a.service", "b@x.y.service", "c.service"))
    assert check(tmp_path, units.apply, before, after, spec).warnings == []


def test_units_that_are_missing_are_named(tmp_path: Path) -> None:
    _, said = run(tmp_path, units.apply, USR, FinishSpec(units=("gone.service",)))
    assert len(said.warnings) == 1
    assert "gone.service" in said.warnings[0]


def test_default_target(tmp_path: Path) -> None:
    before = """
    usr/lib/systemd/system/default.target -> graphical.target
    usr/lib/systemd/system/multi-user.target
    etc/systemd/system/default.target -> /usr/lib/systemd/system/rescue.target
    """
    after = """
    usr/lib/systemd/system/default.target -> multi-user.target
    usr/lib/systemd/system/multi-user.target
    etc/systemd/system/
    """
    assert not check(
        tmp_path, default_target.apply, before, after, FinishSpec(default_target="multi-user.target")
    ).warnings


def test_default_target_unset_or_missing(tmp_path: Path) -> None:
    before = "usr/lib/systemd/system/default.target -> graphical.target"
    check(tmp_path / "unset", default_target.apply, before, before)
    _, said = run(tmp_path / "missing", default_target.apply, before, FinishSpec(default_target="gone.target"))
    assert "gone.target" in said.warnings[0]


def test_state_overlay(tmp_path: Path) -> None:
    before = "usr/lib/systemd/system/ostree-state-overlay@.service"
    requires = "usr/lib/systemd/system/local-fs.target.requires"
    link = "-> ../ostree-state-overlay@.service"
    after = f"""{before}
    {requires}/ostree-state-overlay@usr-lib-opt.service {link}
    {requires}/ostree-state-overlay@usr-local.service {link}
    """
    spec = FinishSpec(opt_usrlocal=OptUsrLocal.STATE_OVERLAY)
    check(tmp_path / "on", state_overlay.apply, before, after, spec)
    check(tmp_path / "off", state_overlay.apply, before, before)
    with pytest.raises(ToolError, match="ostree-state-overlay"):
        run(tmp_path / "old", state_overlay.apply, USR, spec)


def test_treefile_json(tmp_path: Path) -> None:
    after = f'{USR}\nusr/share/rpm-ostree/treefile.json "{{}}"'
    check(tmp_path / "some", treefile_json.apply, USR, after, FinishSpec(treefile_json="{}"))
    check(tmp_path / "none", treefile_json.apply, USR, USR)


OS_RELEASE = """
etc/os-release -> ../usr/lib/os-release
usr/lib/os-release -> os.release.d/os-release-demo
usr/lib/os.release.d/os-release-demo
| NAME=Demo
| VERSION="12 (Stone)"
| VERSION_ID=12
| PRETTY_NAME="Demo 12"
"""


def test_os_release(tmp_path: Path) -> None:
    after = OS_RELEASE.replace('"12 (S', '"12.3 (S').replace("Demo 12", "Demo 12.3") + "| OSTREE_VERSION=12.3\n"
    check(tmp_path, os_release.apply, OS_RELEASE, after, FinishSpec(mutate_os_release="12", version="12.3"))


def test_os_release_without_reason_to_change(tmp_path: Path) -> None:
    check(tmp_path / "key", os_release.apply, OS_RELEASE, OS_RELEASE, FinishSpec(version="12.3"))
    check(tmp_path / "version", os_release.apply, OS_RELEASE, OS_RELEASE, FinishSpec(mutate_os_release="12"))


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("VERSION=12", "12 x", "VERSION=12 x\nOSTREE_VERSION='12 x'\n"),
        ("A=12\nOSTREE_VERSION=12.1\nB=12", "12.2", "A=12\nB=12\nOSTREE_VERSION=12.2\n"),
        ("VERSION=12.2\nOSTREE_VERSION=12.2\n", "12.2", "VERSION=12.2\nOSTREE_VERSION=12.2\n"),
    ],
)
def test_os_release_text(text: str, version: str, expected: str) -> None:
    assert os_release.mutate(text, "12", version) == expected


def test_remove_files(tmp_path: Path) -> None:
    before = "usr/share/doc/a/b\nusr/share/keep\netc/x\netc/y"
    spec = FinishSpec(remove_files=("usr/share/doc", "usr/etc/x", "etc/y", "usr/gone"))
    said = check(tmp_path, remove_files.apply, before, "usr/share/keep\netc/", spec)
    assert len(said.notes) == 1


def test_remove_files_takes_the_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    before = "usr/share/doc -> ../keep\nusr/keep/file"
    check(
        tmp_path, remove_files.apply, before, "usr/share/\nusr/keep/file", FinishSpec(remove_files=("usr/share/doc",))
    )


@pytest.mark.parametrize("path", ["/etc/x", "usr/../etc/x", "", ".", "usr//x", "usr/./x", "a\0b"])
def test_remove_files_refuses(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError):
        run(tmp_path, remove_files.apply, "etc/x", FinishSpec(remove_files=(path,)))


def test_add_files(tmp_path: Path) -> None:
    source = plant(
        tmp_path / "source", 'tool 4755 "new"\nconf 0640 "c"\nd/ 0750\nd/sub/x "x"\nd/link -> sub/x\nd/none/ 0700'
    )
    before = 'usr/bin/tool "old"\nbin -> usr/bin\netc/d/ 0711\netc/d/kept "k"'
    after = """
    bin -> usr/bin
    usr/bin/tool 4755 "new"
    etc/new/conf 0640 "c"
    etc/d/ 0711
    etc/d/kept "k"
    etc/d/sub/x "x"
    etc/d/link -> sub/x
    etc/d/none/ 0700
    usr/share/d/ 0750
    usr/share/d/sub/x "x"
    usr/share/d/link -> sub/x
    usr/share/d/none/ 0700
    """
    files = (("tool", "/bin/tool"), ("conf", "usr/etc/new/conf"), ("d", "etc/d"), ("d", "usr/share/d"))
    spec = FinishSpec(add_files=tuple(AddFile(source / name, place) for name, place in files))
    found, _ = run(tmp_path, add_files.apply, before, spec)
    assert found == canonical(after)


@pytest.mark.parametrize(
    "place",
    ["var/x", "usr/local/x", "x", "usr", "etc", "usr/../var/x", "usr//x", "boot/x", "", "/", "usr/a\0b", "usr/etc"],
)
def test_add_files_refuses_a_destination(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError):
        run(tmp_path, add_files.apply, USR, FinishSpec(add_files=(AddFile(tmp_path / "file", place),)))


def test_add_files_refuses_a_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "missing"):
        with pytest.raises(ConfigError, match=name):
            run(
                tmp_path / "tree" / name,
                add_files.apply,
                USR,
                FinishSpec(add_files=(AddFile(tmp_path / name, "usr/x"),)),
            )
