# SPDX-License-Identifier: GPL-2.0-or-later
"""Verbs that order, keep and drop deployments, on sysroots that are not booted."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from layering.tidy import Freed, tidy
from rpmtree.command import run
from rpmtree.errors import BusyError, CommandFailed, StoreError, UsageError
from rpmtree.ostree import bases
from rpmtree.ostree.deployments import Deployment, split_kargs
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.refs import read_ref, write_refs
from rpmtree.ostree.store import Store
from rpmtree.ostree.sysroot import Sysroot, init_fs
from rpmtree.ostree.variant import Variant
from rpmtree.progress import Reporter
from rpmtree.rpm.nevra import Nevra
from tests.conftest import TOP
from tests.support.layer import layer
from tests.support.schema import SCHEMA, faults
from tests.support.sysroots import commit_tree, make_mutable

pytestmark = pytest.mark.needs("root", "gi:", "ostree", "setpriv")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"
LAYER = "from layering.cli import main; main()"
HOLD = """
import sys, time
from pathlib import Path
from rpmtree.app import Parser, run
from rpmtree.ostree.sysroot import Sysroot

def hold(args, app):
    with Sysroot.open(Path(args.path)).lock("layer upgrade"):
        app.print("held")
        time.sleep(60)

def parser():
    made = Parser("layer")
    made.add_argument("path")
    made.set_defaults(action=hold)
    return made

run("layer", parser)
"""


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


def test_others_are_told_who_may(sysroot: Sysroot) -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", LAYER]
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others, and so may the project be
        Path(directory).chmod(0o755)
        for package in ("layering", "rpmtree"):
            shutil.copytree(TOP / package, f"{directory}/{package}")
        path = sysroot.path.rename(f"{directory}/sysroot")
        try:
            path.chmod(0o755)
            refused = run([*as_nobody, "rollback", f"--sysroot={path}"], cwd=directory, check=False)
            assert refused.status == StoreError.exit_code
            assert refused.stderr.count(b"\n") == 2
            assert (
                run([*as_nobody, "verify", f"--sysroot={path}"], cwd=directory, check=False).status
                == StoreError.exit_code
            )
            for verb in ("status", "kargs"):
                assert run([*as_nobody, verb, f"--sysroot={path}"], cwd=directory, check=False).status == 0
            path.chmod(0o700)
            assert (
                run([*as_nobody, "status", f"--sysroot={path}"], cwd=directory, check=False).status
                == StoreError.exit_code
            )
        finally:
            path.rename(sysroot.path)


class TestPin:
    def test_pin_and_unpin(self, sysroot: Sysroot) -> None:
        assert layer(sysroot.path, "pin").status == 0
        assert layer(sysroot.path, "pin", "1", "--json").json["changed"] is True
        assert [found.pinned for found in Sysroot.open(sysroot.path).deployments()] == [True, True]
        assert layer(sysroot.path, "pin", "--json").json["changed"] is False
        assert layer(sysroot.path, "unpin", "0").status == 0
        assert [found.pinned for found in Sysroot.open(sysroot.path).deployments()] == [False, True]

    @pytest.mark.parametrize("index", ["2", "-1", "x"])
    def test_what_is_not_there(self, sysroot: Sysroot, index: str) -> None:
        assert layer(sysroot.path, "pin", index).status == UsageError.exit_code


class TestCleanup:
    def test_something_has_to_be_named(self, sysroot: Sysroot) -> None:
        assert layer(sysroot.path, "cleanup").status == UsageError.exit_code

    def test_the_rollback_goes_with_its_objects(self, sysroot: Sysroot) -> None:
        one = sysroot.deployments()[1]
        done = layer(sysroot.path, "cleanup", "-r")
        assert one.id in done.stdout
        assert "Freed: " in done.stdout
        assert versions(sysroot) == ["2"]
        assert not Store(sysroot.repo_path).has(Kind.COMMIT, bytes.fromhex(one.checksum))
        assert layer(sysroot.path, "cleanup", "-r", "-p").stdout == "Deployments unchanged.\n"

    def test_what_is_pinned_stays(self, sysroot: Sysroot) -> None:
        layer(sysroot.path, "pin", "1")
        assert layer(sysroot.path, "cleanup", "-r", "--json").json == {"removed": [], "freed": None}
        assert versions(sysroot) == ["2", "1"]

    def test_metadata_of_repositories(self, sysroot: Sysroot) -> None:
        cache = sysroot.path / "ostree/deploy/granite/var/cache/strata/repomd"
        (cache / "updates").mkdir(parents=True)
        assert layer(sysroot.path, "cleanup", "-m").status == 0
        assert not cache.exists()
        assert layer(sysroot.path, "cleanup", "-m").status == 0


def layered(sysroot: Sysroot, origin: str, *packages: str) -> Deployment:
    """Deploy a layered commit with these packages on a base that nothing else names."""
    base = commit_tree(sysroot.repo_path, version="3")
    rows = [(n.name, str(n.epoch), n.version, n.release, n.arch) for n in map(Nevra.parse, packages)]
    metadata = {"rpmostree.clientlayer": Variant("b", True), "rpmostree.rpmdb.pkglist": Variant("a(sssss)", rows)}
    checksum = commit_tree(sysroot.repo_path, version="3", parent=bytes.fromhex(base), metadata=metadata)
    with sysroot.lock("test"):
        return sysroot.deploy("granite", checksum, origin, merge=sysroot.merge_deployment("granite"))


#: What a deployment with the package vim, and a file whose digest is in the origin, needs.
_NEEDED = (f"rpmostree/local/{'a' * 64}", "rpmostree/pkg/vim/2_3A9-1.x86__64")
_PACKAGES = ("rpmostree/pkg/gone/1-1.noarch", *_NEEDED)


class TestTidy:
    ORIGIN = f"[origin]\nbaserefspec=site:granite/12\n[packages]\nrequested-local={'a' * 64}:local-1-1.noarch;\n"

    @pytest.fixture
    def branches(self, sysroot: Sysroot) -> list[str]:
        names = [*_PACKAGES]
        for name in names:
            commit_tree(sysroot.repo_path, name, files={"usr/bin/x": name * 100})
        return names

    def test_packages_in_use_and_bases_stay(self, sysroot: Sysroot, branches: list[str]) -> None:
        made = layered(sysroot, self.ORIGIN, "vim-2:9-1.x86_64")
        with sysroot.lock("test"):
            freed = tidy(sysroot, Reporter())
            assert freed.packages == ("rpmostree/pkg/gone/1-1.noarch",)
            assert freed.bytes > 1000
            assert tidy(sysroot, Reporter()) == Freed(0, ())
        parent = sysroot.repository.commit(bytes.fromhex(made.checksum)).parent
        assert bases.branches(sysroot.repo_path, "rpmostree") == ("rpmostree/base/0", *_NEEDED)
        assert read_ref(sysroot.repo_path, "rpmostree/base/0") == parent
        run(["ostree", f"--repo={sysroot.repo_path}", "fsck", "--quiet"])

    def test_an_origin_that_can_not_be_read_keeps_all_packages(self, sysroot: Sysroot, branches: list[str]) -> None:
        layered(sysroot, "[origin]\nrefspec=../evil\n")
        with sysroot.lock("test"):
            assert tidy(sysroot, Reporter()).packages == ()
        assert set(branches) <= set(bases.branches(sysroot.repo_path, "rpmostree"))

    @pytest.mark.parametrize("point", ["layering.tidy.drop_packages", "rpmtree.ostree.sysroot.Sysroot.prune"])
    def test_what_is_needed_outlives_a_crash(
        self, sysroot: Sysroot, branches: list[str], monkeypatch: pytest.MonkeyPatch, point: str
    ) -> None:
        made = layered(sysroot, self.ORIGIN, "vim-2:9-1.x86_64")

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, sysroot.lock("test"):
            patched.setattr(point, crash)
            with pytest.raises(KeyboardInterrupt):
                tidy(sysroot, Reporter())
        # Whoever prunes now, with libostree's own means, takes nothing that is needed.
        run(["ostree", f"--repo={sysroot.repo_path}", "prune", "--refs-only"])
        parent = sysroot.repository.commit(bytes.fromhex(made.checksum)).parent
        assert Store(sysroot.repo_path).has(Kind.COMMIT, parent)
        run(["ostree", f"--repo={sysroot.repo_path}", "fsck", "--quiet"])
        with sysroot.lock("test"):
            tidy(sysroot, Reporter())
        assert bases.branches(sysroot.repo_path, "rpmostree") == ("rpmostree/base/0", *_NEEDED)

    def test_cleanup_of_the_base(self, sysroot: Sysroot, branches: list[str]) -> None:
        assert layer(sysroot.path, "cleanup", "-b", "--json").json["freed"]["packages"] == sorted(
            branches, key=lambda ref: ref.startswith("rpmostree/local")
        )


class TestKargs:
    def test_a_new_deployment(self, sysroot: Sysroot) -> None:
        before = sysroot.deployments()[0]
        done = layer(sysroot.path, "kargs", "--append=a=1", "--append", "quiet", "--json")
        after = Sysroot.open(sysroot.path).deployments()
        assert done.json == {"changed": True, "id": after[0].id, "kargs": ["a=1", "quiet"]}
        assert (after[0].checksum, after[0].origin_text) == (before.checksum, before.origin_text)
        assert after[1] == replace(before, index=1, boot_options=after[1].boot_options)
        assert layer(sysroot.path, "kargs").stdout == "a=1 quiet\n"
        assert layer(sysroot.path, "kargs", "--deploy-index=1", "--json").json == {"id": before.id, "kargs": []}

    def test_of_another_stateroot(self, sysroot: Sysroot) -> None:
        sysroot.init_stateroot("basalt")
        with sysroot.lock("test"):
            sysroot.deploy("basalt", sysroot.deployments()[0].checksum, ORIGIN, kargs=["quiet"])
        assert [found.osname for found in sysroot.deployments()] == ["basalt", "granite", "granite"]
        assert layer(sysroot.path, "kargs", "--stateroot=granite", "--append=a").status == 0
        assert [(found.osname, found.kargs) for found in Sysroot.open(sysroot.path).deployments()] == [
            ("granite", ("a",)), ("basalt", ("quiet",)), ("granite", ()),
        ]  # fmt: skip
        done = layer(sysroot.path, "kargs", "--stateroot=granite", "--deploy-index=1", "--append=b", "--json")
        assert done.json["kargs"] == ["quiet", "b"]
        assert Sysroot.open(sysroot.path).deployments()[0].osname == "basalt"

    def test_nothing_to_do(self, sysroot: Sysroot) -> None:
        before = sysroot.deployments()
        assert layer(sysroot.path, "kargs", "--delete-if-present=a").status == 0
        done = layer(sysroot.path, "kargs", "--delete-if-present=a", "--unchanged-exit-77", "--json")
        assert (done.status, done.json["changed"]) == (77, False)
        assert Sysroot.open(sysroot.path).deployments() == before

    @pytest.mark.parametrize(
        "words",
        [
            ["--delete=a"],
            ["--editor", "--append=a"],
            ["--append=a", "--lock-finalization"],
            ["--append=a", "--deploy-index=7"],
            ["--append=a", "--deploy-index=0", "--import-proc-cmdline"],
        ],
    )
    def test_refused(self, sysroot: Sysroot, words: list[str]) -> None:
        before = sysroot.deployments()
        assert layer(sysroot.path, "kargs", *words).status == UsageError.exit_code
        assert Sysroot.open(sysroot.path).deployments() == before

    def test_the_editor(self, sysroot: Sysroot) -> None:
        layer(sysroot.path, "kargs", "--append=quiet", "--append=a=1")
        done = layer(sysroot.path, "kargs", "--editor", environ={"EDITOR": "sed -i s/quiet/loud/"})
        assert (done.status, layer(sysroot.path, "kargs").stdout) == (0, "loud a=1\n")
        failed = layer(sysroot.path, "kargs", "--editor", environ={"EDITOR": "false"})
        assert failed.status == CommandFailed.exit_code
        assert layer(sysroot.path, "kargs").stdout == "loud a=1\n"

    def test_what_no_deployment_needs_goes(self, sysroot: Sysroot) -> None:
        one = sysroot.deployments()[1]
        layer(sysroot.path, "kargs", "--append=a")
        layer(sysroot.path, "kargs", "--append=b")
        assert versions(sysroot) == ["2", "2"]
        assert not Store(sysroot.repo_path).has(Kind.COMMIT, bytes.fromhex(one.checksum))

    def test_of_the_kernel_that_runs(self, sysroot: Sysroot) -> None:
        done = layer(sysroot.path, "kargs", "--import-proc-cmdline", "--append=one.more", "--json")
        words = set(split_kargs(Path("/proc/cmdline").read_text()))
        assert done.status == 0
        assert set(done.json["kargs"]) - {"one.more"} <= words


class TestCancel:
    def test_nothing_is_under_way(self, sysroot: Sysroot) -> None:
        done = layer(sysroot.path, "cancel")
        assert (done.status, done.stdout) == (0, "No active transaction.\n")

    def test_a_command_that_waits_is_stopped(self, sysroot: Sysroot) -> None:
        argv = [sys.executable, "-c", HOLD, str(sysroot.path)]
        process = subprocess.Popen(argv, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert process.stdout
            assert process.stdout.readline() == b"held\n"
            status = layer(sysroot.path, "status", "--json").json["transaction"]
            assert (status["title"], status["pid"]) == ("layer upgrade", process.pid)
            done = layer(sysroot.path, "cancel", "--json")
            assert done.json["cancelled"] == status
            assert process.wait(10) == 128 + signal.SIGINT
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        assert layer(sysroot.path, "rollback").status == 0

    def test_what_a_killed_command_left_is_no_command(self, sysroot: Sysroot) -> None:
        (sysroot.path / "ostree/strata.lock").write_text(f'{{"pid": {os.getpid()}, "command": "layer x", "since": 1}}')
        assert layer(sysroot.path, "cancel", "--json").json == {"cancelled": None}


def test_finalize_deployment_without_anything_staged(sysroot: Sysroot) -> None:
    assert layer(sysroot.path, "finalize-deployment").status == UsageError.exit_code
    assert layer(sysroot.path, "finalize-deployment", "--allow-missing-checksum").status == StoreError.exit_code


class TestStatus:
    def test_is_as_the_schema_says(self, sysroot: Sysroot) -> None:
        layered(sysroot, ORIGIN.replace("refspec", "baserefspec"), "vim-2:9-1.x86_64")
        layer(sysroot.path, "pin", "1")
        layer(sysroot.path, "remote add", "site", "http://127.0.0.1:1/", "--no-gpg-verify")
        write_refs(
            sysroot.repo_path,
            {"next": bytes.fromhex(commit_tree(sysroot.repo_path, version="4", timestamp=1_800_000_000))},
        )
        found = layer(sysroot.path, "status", "--json").json
        assert list(faults(found, SCHEMA)) == []
        first, second = found["deployments"]
        assert (first["base-version"], first["base-commit-meta"]) == ("3", {"version": "3"})
        assert (second["pinned"], second["origin"], second["gpg-enabled"]) == (True, "site:granite/12", False)

    def test_a_newer_base_is_seen(self, sysroot: Sysroot) -> None:
        newer = commit_tree(sysroot.repo_path, version="4", timestamp=1_800_000_000)
        older = commit_tree(sysroot.repo_path, version="0", timestamp=1_600_000_000)
        for checksum, seen in ((newer, "4"), (older, None)):
            head = sysroot.repo_path / "refs/remotes/site/granite/12"
            head.parent.mkdir(parents=True, exist_ok=True)
            head.write_text(f"{checksum}\n")
            first = layer(sysroot.path, "status", "--json").json["deployments"][0]
            assert first.get("pending-base-version") == seen

    def test_of_one_stateroot(self, sysroot: Sysroot) -> None:
        sysroot.init_stateroot("basalt")
        assert len(layer(sysroot.path, "status", "--stateroot=granite", "--json").json["deployments"]) == 2
        assert layer(sysroot.path, "status", "--stateroot=basalt", "--json").json["deployments"] == []
        assert layer(sysroot.path, "status", "--stateroot=shale").status == UsageError.exit_code
        assert len(layer(sysroot.path, "status", "--json").json["deployments"]) == 2

    def test_parts_of_it(self, sysroot: Sysroot) -> None:
        assert layer(sysroot.path, "status", "-J", "$.deployments[*].version").json == ["2", "1"]
        assert layer(sysroot.path, "status", "--jsonpath=$[").status == UsageError.exit_code
        assert layer(sysroot.path, "status", "-b", "--json").json["deployments"] == []
        assert layer(sysroot.path, "status", "--pending-exit-77", "-a").status == 0

    def test_a_commit_that_is_gone_and_an_origin_that_is_damaged(self, sysroot: Sysroot) -> None:
        first, second = sysroot.deployments()
        os.unlink(Store(sysroot.repo_path).object_path(Kind.COMMIT, bytes.fromhex(first.checksum)))
        second.path.with_name(f"{second.path.name}.origin").write_text("[origin]\nrefspec=../evil\n")
        done = layer(sysroot.path, "status", "--json")
        assert (done.status, list(faults(done.json, SCHEMA))) == (0, [])
        assert done.json["deployments"][0]["checksum"] == first.checksum
        assert done.json["deployments"][1]["strata"]["origin-error"]

    def test_a_shutdown_that_failed(self, sysroot: Sysroot) -> None:
        assert "failed to finalize" not in layer(sysroot.path, "status").stdout
        (sysroot.path / "boot/ostree/finalize-failure.stamp").write_text("disk full")
        assert "failed to finalize previous deployment: disk full" in layer(sysroot.path, "status").stdout
