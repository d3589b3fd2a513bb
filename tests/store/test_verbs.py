# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that order, keep and drop deployments, on sysroots that are not booted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rpmtree.errors import BusyError, StoreError, UsageError
from rpmtree.ostree.sysroot import Sysroot, init_fs
from tests.support.layer import layer
from tests.support.sysroots import commit_tree, make_mutable

pytestmark = pytest.mark.needs("root", "gi:")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"


@pytest.fixture
def sysroot(tmp_path: Path) -> Iterator[Sysroot]:
    """Two deployments, the newer first: version 2, version 1."""
    path = tmp_path / "sysroot"
    made = init_fs(path)
    made.init_stateroot("granite")
    with made.lock("test"):
        for version in "12":
            merge = made.merge_deployment("granite")
            made.deploy("granite", commit_tree(made.repo_path, version=version), ORIGIN, merge=merge)
    yield made
    make_mutable(path)


def versions(sysroot: Sysroot) -> list[str | None]:
    return [found.version for found in Sysroot.open(sysroot.path).deployments()]


def test_rollback(sysroot: Sysroot) -> None:
    done = layer(sysroot.path, "rollback")
    assert (done.status, versions(sysroot)) == (0, ["1", "2"])
    assert sysroot.deployments()[0].id in done.stdout
    assert layer(sysroot.path, "rollback", "--json").json["version"] == "2"
    assert versions(sysroot) == ["2", "1"]


def test_a_system_that_does_not_run_is_not_rebooted(sysroot: Sysroot) -> None:
    assert layer(sysroot.path, "rollback", "--reboot").status == UsageError.exit_code
    assert versions(sysroot) == ["2", "1"]


def test_the_lock(sysroot: Sysroot) -> None:
    with sysroot.lock("layer upgrade"):
        done = layer(sysroot.path, "rollback")
    assert done.status == BusyError.exit_code
    assert "layer upgrade" in done.stderr
    assert layer(sysroot.path, "rollback").status == 0


def test_a_stateroot_is_to_be_named_where_there_are_several(sysroot: Sysroot) -> None:
    sysroot.init_stateroot("basalt")
    assert layer(sysroot.path, "rollback").status == UsageError.exit_code
    assert layer(sysroot.path, "rollback", "--stateroot=granite").status == 0
    assert layer(sysroot.path, "rollback", "--stateroot=shale").status == UsageError.exit_code


def test_no_sysroot(tmp_path: Path) -> None:
    assert layer(tmp_path, "rollback").status == StoreError.exit_code
