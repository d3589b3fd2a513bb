# SPDX-License-Identifier: GPL-2.0-or-later
"""What only a running system can do: stage a deployment, finish it at shutdown, keep what runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpmtree.ostree.sysroot import Sysroot, init_fs
from tests.support.booted import run_booted
from tests.support.sysroots import commit_tree, make_mutable

pytestmark = pytest.mark.needs("root", "ostree", "gi:", "unshare", "pivot_root")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"

STAGE = """
import json, subprocess
from pathlib import Path
from rpmtree.errors import StoreError
from rpmtree.ostree.sysroot import Sysroot

def shown(sysroot):
    return [(d.version, d.booted, d.staged, d.kargs) for d in sysroot.deployments()]

def refused(call, *arguments):
    try:
        call(*arguments)
    except StoreError:
        return True

sysroot = Sysroot.open()
seen = {"before": shown(sysroot), "path": str(sysroot.booted().path)}
Path("/etc/mine").write_text("before")
with sysroot.lock("test"):
    merge = sysroot.merge_deployment("granite")
    staged = sysroot.deploy("granite", CHECKSUM, ORIGIN, merge=merge, stage=True)
    seen["staged"] = shown(sysroot)
    seen["refused"] = [refused(sysroot.rollback), refused(sysroot.pin, staged), refused(sysroot.undeploy, 1),
                       refused(sysroot.write_origin, staged, ORIGIN)]
    sysroot.cleanup("granite", pending=True)
    seen["cleaned"] = shown(sysroot)
    staged = sysroot.deploy("granite", CHECKSUM, ORIGIN, merge=merge, kargs=["quiet", "new"], stage=True)
    seen["again"] = [found.id for found in Sysroot.open().deployments()] == [staged.id, merge.id]
Path("/etc/mine").write_text("after staging")
FINALIZE
print(json.dumps(seen))
"""


@pytest.fixture
def sysroot(tmp_path: Path) -> Iterator[Sysroot]:
    path = tmp_path / "sysroot"
    made = init_fs(path)
    made.init_stateroot("granite")
    with made.lock("test"):
        made.deploy("granite", commit_tree(made.repo_path), ORIGIN, kargs=["quiet"])
    yield made
    make_mutable(path)


def program(checksum: str, *, finalize: bool) -> str:
    finish = 'subprocess.run(["ostree", "admin", "finalize-staged"], check=True, stdout=2)' if finalize else ""
    text = STAGE.replace("FINALIZE", finish)
    return text.replace("CHECKSUM", json.dumps(checksum)).replace("ORIGIN", json.dumps(ORIGIN))


@pytest.mark.parametrize("finalize", [True, False])
def test_a_staged_deployment(sysroot: Sysroot, finalize: bool) -> None:
    running = sysroot.deployments()[0]
    checksum = commit_tree(sysroot.repo_path, version="2")
    seen = run_booted(sysroot.path, running.path, program(checksum, finalize=finalize))
    one, two = ["1", True, False, ["quiet"]], ["2", False, True, ["quiet"]]
    assert seen["before"] == seen["cleaned"] == [one]
    assert seen["staged"] == [two, one]
    assert seen["refused"] == [True, True, True, True]
    assert seen["again"]
    left = Sysroot.open(sysroot.path).deployments()
    assert not any(found.booted or found.staged for found in left)
    if finalize:
        assert [(found.version, found.kargs) for found in left] == [("2", ("quiet", "new")), ("1", ("quiet",))]
        assert (left[0].path / "etc/mine").read_text() == "after staging"
    else:  # the machine lost power: /run is gone, and with it what was staged
        assert [found.version for found in left] == ["1"]
    with sysroot.lock("test"):
        sysroot.discard_unlisted()
    trees = [path for path in (sysroot.path / "ostree/deploy/granite/deploy").iterdir() if path.is_dir()]
    assert len(trees) == len(left)
