# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs on the system that runs: staging, holding back, going back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rpmtree.ostree.sysroot import Sysroot, init_fs
from rpmtree.ostree.variant import Variant
from tests.support.booted import run_verbs
from tests.support.schema import SCHEMA, faults
from tests.support.sysroots import commit_tree, make_mutable

pytestmark = pytest.mark.needs("root", "ostree", "gi:", "unshare", "pivot_root")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"


@pytest.fixture
def sysroot(tmp_path: Path) -> Iterator[Sysroot]:
    """Version 1 deployed, version 2 in front of it; what is booted is the test's choice."""
    path = tmp_path / "sysroot"
    made = init_fs(path)
    made.init_stateroot("granite")
    with made.lock("test"):
        for version in "12":
            rows = [
                ("bash", "0", version, "1", "x86_64"),
                *([("nano", "0", "1", "1", "noarch")] if version == "2" else []),
            ]
            checksum = commit_tree(
                made.repo_path,
                version=version,
                metadata={"rpmostree.rpmdb.pkglist": Variant("a(sssss)", rows)},
            )
            merge = made.merge_deployment("granite")
            made.deploy("granite", checksum, ORIGIN, merge=merge, kargs=["quiet"])
    yield made
    make_mutable(path)


def booted(sysroot: Sysroot, index: int, program: str) -> Any:
    return run_verbs(sysroot.path, sysroot.deployments()[index].path, program)


def test_kernel_arguments_are_staged_and_held_back(sysroot: Sysroot) -> None:
    seen = booted(
        sysroot,
        0,
        """
seen["made"] = layer("kargs", "--append=a=1", "--lock-finalization")
seen["status"] = layer("status")[1]
seen["pending"] = layer("status", "--pending-exit-77", "-b")[0]
seen["kargs"] = layer("kargs")[1]["kargs"]
staged = status()[0]
seen["wrong"] = layer("finalize-deployment", "0" * 64)
finalize()
seen["held"] = [found["staged"] for found in status()]
seen["more"] = layer("kargs", "--append=b", "--reboot")
seen["unlocked"] = [found["finalization-locked"] for found in status()]
seen["called"] = called()
seen["refused"] = layer("finalize-deployment", staged["checksum"])[0]
seen["finalize"] = layer("finalize-deployment", staged["checksum"], "--allow-unlocked")[0]
seen["again"] = layer("kargs", "--append=c", "--lock-finalization")[0]
seen["final"] = layer("finalize-deployment", "--allow-missing-checksum")[0]
seen["end"] = status()[0]["finalization-locked"]
finalize()
""",
    )
    assert seen["made"][0] == 0
    assert list(faults(seen["status"], SCHEMA)) == []
    flags = [(d["staged"], d["finalization-locked"], d["booted"]) for d in seen["status"]["deployments"]]
    assert flags == [(True, True, False), (False, False, True), (False, False, False)]
    assert seen["pending"] == 77
    assert seen["kargs"] == ["quiet", "a=1"]
    assert (seen["wrong"][0], seen["wrong"][1]["error"]["class"]) == (8, "StoreError")
    assert seen["held"] == [True, False, False]
    assert (seen["more"][0], seen["more"][1]["kargs"]) == (0, ["quiet", "a=1", "b"])
    assert seen["unlocked"] == [False, False, False]
    assert seen["called"] == ["reboot"]
    assert (seen["refused"], seen["finalize"], seen["again"], seen["final"], seen["end"]) == (8, 0, 0, 0, False)
    left = sysroot.deployments()
    assert [(found.version, found.kargs) for found in left] == [
        ("2", ("quiet", "a=1", "b", "c")),
        ("2", ("quiet",)),
    ]


def test_going_back(sysroot: Sysroot) -> None:
    seen = booted(
        sysroot,
        1,
        """
seen["before"] = [(d["version"], d["booted"]) for d in status()]
seen["diff"] = layer("db", "diff")[1]["pkgdiff"]
out = io.StringIO()
with contextlib.redirect_stdout(out):
    invoke("layer", build_parser, ["status"], {})
seen["text"] = out.getvalue()
seen["rollback"] = layer("rollback")[1]["version"]
seen["pending"] = layer("status", "--pending-exit-77")[0]
seen["undone"] = layer("rollback", "-r")[1]["version"]
seen["called"] = called()
seen["pin"] = layer("pin")[1]["id"] == status()[1]["id"]
layer("unpin")
seen["cleanup"] = layer("cleanup", "-p")
seen["after"] = [(d["version"], d["booted"]) for d in status()]
seen["nothing"] = layer("rollback")[0]
seen["verify"] = layer("verify")[0]
Path("/sysroot/ostree/deploy/granite/deploy", status()[0]["id"].partition("-")[2], "usr/etc/hosts").unlink()
seen["damaged"] = layer("verify")[0], layer("repair")[0], layer("verify")[0]
""",
    )
    assert seen["before"] == [["2", False], ["1", True]]
    assert [(name, kind) for name, kind, _ in seen["diff"]] == [("bash", 2), ("nano", 0)]
    assert "Diff: 1 upgraded, 1 added" in seen["text"]
    assert (seen["rollback"], seen["pending"], seen["undone"]) == ("1", 0, "2")
    assert seen["called"] == ["reboot"]
    assert seen["pin"]
    assert (seen["cleanup"][0], len(seen["cleanup"][1]["removed"])) == (0, 1)
    assert seen["after"] == [["1", True]]
    assert seen["nothing"] == 8
    assert (seen["verify"], seen["damaged"]) == (0, [8, 0, 0])


def test_what_ostree_holds_back_is_let_go(sysroot: Sysroot) -> None:
    seen = booted(
        sysroot,
        0,
        """
commit = status()[0]["checksum"]
deploy = ["ostree", "admin", "deploy", "--stage", "--lock-finalization", "--karg=a=1", commit]
subprocess.run(deploy, check=True, stdout=2)
seen["held"] = status()[0]["finalization-locked"]
finalize()
seen["staged"] = status()[0]["staged"]
seen["final"] = layer("finalize-deployment", commit)[0]
seen["free"] = status()[0]["finalization-locked"]
finalize()
""",
    )
    assert seen == {"held": True, "staged": True, "final": 0, "free": False}
    assert "a=1" in sysroot.deployments()[0].kargs


def test_a_staged_deployment_is_removed(sysroot: Sysroot) -> None:
    seen = booted(
        sysroot,
        0,
        """
layer("kargs", "--append=a", "--lock-finalization")
seen["rollback"] = layer("rollback")[1]["error"]["hint"]
seen["cleanup"] = layer("cleanup", "-p")[0]
seen["after"] = len(status())
seen["held"] = Path("/run/ostree/staged-deployment-locked").exists()
seen["rolled"] = layer("rollback")[0]
""",
    )
    assert "cleanup" in seen["rollback"]
    assert (seen["cleanup"], seen["after"], seen["held"], seen["rolled"]) == (0, 2, False, 0)


def test_failed_staging_holds_nothing_back(sysroot: Sysroot) -> None:
    seen = booted(
        sysroot,
        0,
        """
commit = status()[0]["checksum"]
path = Path("/ostree/repo/objects", commit[:2], commit[2:] + ".commit")
path.rename("/ostree/repo/commit")
seen["failed"] = layer("kargs", "--append=a", "--lock-finalization")[0]
seen["held"] = Path("/run/ostree/staged-deployment-locked").exists()
Path("/ostree/repo/commit").rename(path)
seen["done"] = layer("kargs", "--append=a", "--lock-finalization")[0]
seen["then"] = Path("/run/ostree/staged-deployment-locked").exists()
""",
    )
    assert seen == {"failed": 8, "held": False, "done": 0, "then": True}


def test_what_is_staged_outlives_a_cleanup(sysroot: Sysroot) -> None:
    base = commit_tree(sysroot.repo_path, version="3", files={"usr/bin/base": "base"})
    layered = commit_tree(
        sysroot.repo_path,
        version="3",
        files={"usr/bin/base": "base", "usr/bin/layered": "layered"},
        parent=bytes.fromhex(base),
        metadata={"rpmostree.clientlayer": Variant("b", True)},
    )
    seen = booted(
        sysroot,
        0,
        f"""
from rpmtree.ostree.sysroot import Sysroot
sysroot = Sysroot.open()
with sysroot.lock("test"):
    sysroot.deploy("granite", "{layered}", {ORIGIN!r}, merge=sysroot.merge_deployment("granite"), stage=True)
seen["cleanup"] = layer("cleanup", "-b")[0]
seen["base"] = status()[0]["base-checksum"]
seen["fsck"] = subprocess.run(["ostree", "fsck", "--quiet"], stdout=2).returncode
finalize()
""",
    )
    assert seen == {"cleanup": 0, "base": base, "fsck": 0}
    assert (sysroot.deployments()[0].path / "usr/bin/layered").read_text() == "layered"
    assert sysroot.repository.commit(bytes.fromhex(base)).timestamp


def test_anyone_may_look(sysroot: Sysroot) -> None:
    seen = booted(
        sysroot,
        0,
        """
layer("kargs", "--append=a", "--lock-finalization")
seen["status"] = nobody("status")[1] == layer("status")[1]
seen["kargs"] = nobody("kargs")[1]["kargs"]
seen["db"] = nobody("db", "list")[0]
seen["refused"] = nobody("kargs", "--append=b")
seen["kept"] = layer("kargs")[1]["kargs"]
""",
    )
    assert seen["status"]
    assert seen["kargs"] == seen["kept"] == ["quiet", "a"]
    assert seen["db"] == 0
    assert seen["refused"][0] == 8
    assert "sudo" in seen["refused"][1]["error"]["hint"]
