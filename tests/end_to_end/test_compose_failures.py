# SPDX-License-Identifier: GPL-2.0-or-later
"""Composes that must fail: with the status of their class, with names, and with nothing left behind."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rpmtree import command
from tests.end_to_end.shale import Bench, Done, greeter
from tests.support.openpgp import Key
from tests.support.repodata import write_repodata
from tests.support.rpms import (
    Package,
    Raw,
    directory,
    file,
    flip_header,
    flip_payload,
    lua,
    make_repo,
    rpm,
    script,
    symlink,
    trigger,
    truncate,
)


def fails(bench: Bench, status: int, *names: str, options: tuple[str, ...] = ()) -> Done:
    """A run that fails with `status` and says `names`; the repository stays, and a good treefile works afterwards."""
    before = bench.state()
    done = bench.compose(*options, status=status)
    assert done.stdout == ""
    for name in names:
        assert name in done.stderr
    assert bench.state() == before
    return done


def recovers(bench: Bench) -> None:
    """The first treefile composes, with the cache directory that the failures have left."""
    bench.treefile |= {"repos": ["shale"], "packages": ["greeter", "kernel"]}
    assert "=>" in bench.compose("--force-nocache").stdout
    bench.check()


@pytest.fixture
def composed(bench: Bench) -> Bench:
    """A bench whose branch has a commit already."""
    bench.compose()
    return bench


SAYS = "echo out; echo last words >&2; "
BAD_SCRIPTS: dict[str, tuple[str, dict[str, Any]]] = {
    "pretrans": ("pretrans", {"pretrans": f"{SAYS}exit 3"}),
    "pre": ("pre", {"pre": f"{SAYS}exit 3"}),
    "post": ("post", {"post": f"{SAYS}exit 3"}),
    "posttrans": ("posttrans", {"posttrans": f"{SAYS}exit 3"}),
    "after a partial write": ("post", {"post": f"echo half >/usr/lib/half; {SAYS} exit 1"}),
    "lua": ("post", {"post": lua("print('last words'); error('no luck')")}),
    "killed": ("post", {"post": f"{SAYS} kill -9 $$"}),
}


@pytest.mark.parametrize("case", BAD_SCRIPTS)
def test_a_failing_script_names_package_phase_and_log(composed: Bench, case: str) -> None:
    phase, scripts = BAD_SCRIPTS[case]
    composed.add_repo("bad", [rpm("faulty", requires=["shell"], **scripts)])
    composed.treefile["packages"] = ["greeter", "kernel", "faulty"]
    fails(composed, 6, f"%{phase} of faulty", "last words")
    recovers(composed)


@pytest.mark.parametrize("kind", ["triggerin", "filetriggerin", "transfiletriggerin"])
def test_a_failing_trigger_names_its_owner(composed: Bench, kind: str) -> None:
    on = "greeter" if kind == "triggerin" else "/usr/bin"
    composed.add_repo("bad", [rpm("faulty", requires=["shell"], triggers=[trigger(kind, on, f"{SAYS}exit 3")])])
    composed.treefile["packages"] = ["greeter", "kernel", "faulty"]
    fails(composed, 6, f"%{kind} of faulty", "last words")
    recovers(composed)


def test_a_missing_interpreter(composed: Bench) -> None:
    composed.add_repo("bad", [rpm("faulty", requires=["shell"], post=script("1", "/usr/bin/perl"))])
    composed.treefile["packages"] = ["greeter", "kernel", "faulty"]
    fails(composed, 6, "%post of faulty", "/usr/bin/perl")


def test_a_faulty_package_passes_once_it_is_mended(composed: Bench) -> None:
    composed.add_repo("bad", [rpm("faulty", requires=["shell"], post="exit 1")])
    composed.treefile["packages"] = ["greeter", "kernel", "faulty"]
    fails(composed, 6)
    composed.add_repo("bad", [rpm("faulty", requires=["shell"], post="echo fine >/etc/faulty")])
    composed.compose()
    assert composed.cat("/usr/etc/faulty") == "fine\n"


def _unsigned(where: Path) -> None:
    make_repo(where, [greeter("2.1")])


def _other_key(where: Path) -> None:
    make_repo(where, [greeter("2.1")], key=Key.generate("Somebody else <else@localhost>"))


def _damage(how: Callable[[Path], None]) -> Callable[[Path], None]:
    def damage(where: Path) -> None:
        how(next(where.glob("greeter*.rpm")))

    return damage


DAMAGES: dict[str, Callable[[Path], None]] = {
    "unsigned": _unsigned,
    "other key": _other_key,
    "payload": _damage(flip_payload),
    "header": _damage(flip_header),
    "truncated": _damage(lambda path: truncate(path, 100)),
    "gone": _damage(lambda path: path.unlink()),
}


#: Those that the repository's metadata may describe as they are now; of the others createrepo_c makes nothing.
DESCRIBED = ("unsigned", "other key", "payload")


@pytest.mark.parametrize(
    ("case", "described"), [*((case, False) for case in DAMAGES), *((case, True) for case in DESCRIBED)]
)
def test_a_package_that_is_not_as_signed_is_refused_by_name(composed: Bench, case: str, described: bool) -> None:
    """`described`: the repository's metadata has the altered file's checksum, so only signatures can tell."""
    where = composed.add_repo("updates", [greeter("2.1")])
    metadata = {path: path.read_bytes() for path in (where / "repodata").iterdir()}
    DAMAGES[case](where)
    if described:
        write_repodata(where, [(path, path.name) for path in where.glob("*.rpm")])
    else:
        for path in (where / "repodata").iterdir():
            path.unlink()
        for path, data in metadata.items():
            path.write_bytes(data)
    fails(composed, 5, "greeter")
    recovers(composed)
    make_repo(where, [greeter("2.1")], key=composed.shale.key)  # the control: the same package, whole and signed
    composed.treefile["repos"] = ["shale", "updates"]
    composed.compose()
    assert composed.cat("/usr/share/greeter/words") == "hello 2.1\n"


HOSTILE: dict[str, dict[str, Any]] = {
    "dots": {"files": {"/usr/share/x": "x"}, "raw": Raw(names={"/usr/share/x": b"./usr/../../../../../tmp/planted"})},
    "absolute": {"files": {"/usr/share/x": "x"}, "raw": Raw(names={"/usr/share/x": b"/tmp/planted"})},
    "nul": {"files": {"/usr/share/x": "x"}, "raw": Raw(names={"/usr/share/x": b"./usr/share/x\0y"})},
    "not in the header": {"files": {"/usr/share/x": "x"}, "raw": Raw(last=((b"./usr/share/y", 0o100644, b"y"),))},
    "other size": {"files": {"/usr/share/x": "x"}, "raw": Raw(contents={"/usr/share/x": b"longer"})},
    "other mode": {"files": {"/usr/share/x": "x"}, "raw": Raw(modes={"/usr/share/x": 0o104777})},
    "missing": {"files": {"/usr/share/x": "x", "/usr/share/y": "y"}, "raw": Raw(omit=frozenset({"/usr/share/y"}))},
    "below its link": {"files": {"/usr/share/l": symlink("/tmp"), "/usr/share/l/planted": "x"}},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_package_is_refused_by_name(composed: Bench, case: str) -> None:
    composed.add_repo("bad", [rpm("hostile", **HOSTILE[case])])  # signed: the signer is the attacker
    composed.treefile["packages"] = ["greeter", "kernel", "hostile"]
    fails(composed, 5, "hostile")
    assert not Path("/tmp/planted").exists()
    recovers(composed)


def test_links_of_another_package_stay_in_the_tree(composed: Bench) -> None:
    """One package's link /usr/share/l → /tmp, another's file below it: not written to the machine's /tmp."""
    composed.add_repo("bad", [
        rpm("linker", files={"/usr/share/l": symlink("/../../../../../../tmp")}),
        rpm("writer", files={"/usr/share/l/planted": "x"}, requires_pre=["linker"]),
    ])  # fmt: skip
    composed.treefile["packages"] = ["greeter", "kernel", "writer"]
    composed.compose(status=1)
    assert not Path("/tmp/planted").exists()
    recovers(composed)


CONFLICTS: dict[str, tuple[Package, str]] = {
    "content": (rpm("rival", files={"/usr/share/greeter/words": "mine\n"}), "/usr/share/greeter/words"),
    "link": (rpm("rival", files={"/usr/lib/libstone.so.3": symlink("elsewhere")}), "/usr/lib/libstone.so.3"),
    "link against file": (rpm("rival", files={"/usr/bin/greet": symlink("greet-root")}), "/usr/bin/greet"),
    "directory against file": (rpm("rival", files={"/usr/bin/greet": directory()}), "/usr/bin/greet"),
    "in /etc": (rpm("rival", files={"/etc/greeter.conf": file("polite = no\n", config=True)}), "/etc/greeter.conf"),
}


@pytest.mark.parametrize("case", CONFLICTS)
def test_a_file_conflict_names_path_and_both_packages(composed: Bench, case: str) -> None:
    rival, path = CONFLICTS[case]
    composed.add_repo("bad", [rival])
    composed.treefile["packages"] = ["greeter", "kernel", "rival"]
    fails(composed, 9, path, "rival")
    recovers(composed)


def test_the_same_file_in_two_packages_is_no_conflict(composed: Bench) -> None:
    composed.add_repo("more", [rpm("twin", files={"/etc/greeter.conf": file("polite = yes\n", config="noreplace")})])
    composed.treefile["packages"] = ["greeter", "kernel", "twin"]
    composed.compose()
    assert composed.cat("/usr/etc/greeter.conf") == "polite = yes\n"


def test_every_problem_of_the_solver_is_told(composed: Bench) -> None:
    composed.add_repo("bad", [
        rpm("lonely", requires=["nowhere >= 7"]),
        rpm("rude", conflicts=["greeter"]),
        rpm("needy", requires=["lonely"]),
    ])  # fmt: skip
    composed.treefile["packages"] = ["greeter", "kernel", "lonely", "rude", "absent", "missing*"]
    done = fails(composed, 4, "nowhere >= 7", "lonely", "rude", "absent", "missing*")
    assert len([line for line in done.stderr.splitlines() if line.startswith("  - ")]) >= 3
    recovers(composed)


TREEFILES = {
    "unknown key": ("ref: r\npackagess: [a]\n", 2, 1),
    "type": ("ref: r\npackages:\n  - a\n  - 7\n", 4, 5),
    "duplicate": ("ref: r\nref: s\n", 2, 1),
    "syntax": ("ref: r\npackages: [a\n", None, None),
    "variable": ("ref: x/${nowhere}\n", 1, 6),
    "path": ("ref: r\nremove-files: [../x]\n", 2, 16),
}


@pytest.mark.parametrize("case", TREEFILES)
def test_a_broken_treefile_is_placed(composed: Bench, case: str) -> None:
    text, line, column = TREEFILES[case]
    treefile = composed.top / "broken.yaml"
    treefile.write_text(text)
    before = composed.state()
    argv = composed.argv()
    argv[-1] = str(treefile)
    done = command.run(argv, check=False)
    assert done.status == 3
    found = re.search(re.escape(str(treefile)) + r":(\d+):(\d+): ", done.stderr.decode())
    assert found, done.stderr
    if line is not None:
        assert (int(found[1]), int(found[2])) == (line, column)
    assert composed.state() == before
    recovers(composed)


def test_a_locked_cachedir_is_busy(composed: Bench) -> None:
    with open(composed.cachedir / "lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fails(composed, 75, str(composed.cachedir))
    recovers(composed)


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=["compose", "dry run"])
def test_without_root_the_error_says_what_to_do(composed: Bench, options: tuple[str, ...]) -> None:
    before = composed.state()
    # Nobody, who may read everything: the checkout may lie in root's home.
    caps = "-all,+dac_read_search"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    nobody += [f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}"]
    done = composed.compose(*options, status=1, through=nobody)
    assert "root" in done.stderr
    assert done.stdout == ""
    assert composed.state() == before
    recovers(composed)


def test_a_missing_or_broken_repository(bench: Bench) -> None:
    missing = bench.top / "elsewhere"
    bench.compose(f"--repo={missing}", status=8)
    assert not missing.exists()
    missing.mkdir()
    bench.compose(f"--repo={missing}", status=8)
    (bench.repo / "config").write_text("[core]\nrepo_version=1\n")
    bench.compose(status=8)


def test_a_full_file_system(bench: Bench) -> None:
    """The repository on a small tmpfs: status 8, and afterwards all is as before."""
    bench.repo.rename(bench.top / "old")
    bench.repo.mkdir()
    script_text = (
        f"mount -t tmpfs -o size=3m none {bench.repo} && ostree init --repo={bench.repo} --mode=bare && "
        f"{' '.join(bench.argv())}; echo status $?; ostree refs --repo={bench.repo}; ls {bench.repo}/tmp; "
        f"ostree fsck --quiet --repo={bench.repo} >/dev/null && mount -o remount,size=100m {bench.repo} && "
        f"{' '.join(bench.argv())} && ostree fsck --quiet --repo={bench.repo} >/dev/null && echo whole"
    )
    done = command.run(["unshare", "-m", "sh", "-c", script_text], check=False)
    lines = done.stdout.decode().splitlines()
    assert lines[0] == "status 8", done.stderr.decode()
    assert [line for line in lines[1:-2] if line != "cache"] == []  # no branch, nothing staged
    assert lines[-1] == "whole"
    assert os.listdir(bench.repo) == []


ODD_PLACES: dict[str, dict[str, Any]] = {
    "a file for the rpm database's directory": {"/usr/share/rpm": "x"},
    "a directory for the rpm database": {"/usr/share/rpm/rpmdb.sqlite/x": "x"},
    "a file for rpm's macros": {"/usr/lib/rpm/macros.d": "x"},
    "a link to itself for rpm's macros": {"/usr/lib/rpm/macros.d": symlink("macros.d")},
    "a link out of the tree": {"/usr/lib/sysimage": symlink("/proc/1/root")},
    "a directory for the accounts": {"/usr/lib/passwd/x": "x"},
    "usr/etc": {"/usr/etc/x": "x"},
    "ostree's own": {"/ostree/repo/x": "x"},
    "sysroot": {"/sysroot/x": "x"},
}


@pytest.mark.parametrize("case", ODD_PLACES)
def test_packages_with_something_else_where_the_image_has_its_own(composed: Bench, case: str) -> None:
    composed.add_repo("bad", [rpm("odd", files=ODD_PLACES[case])])
    composed.treefile["packages"] = ["greeter", "kernel", "odd"]
    fails(composed, 1)
    recovers(composed)


@pytest.mark.parametrize("script", ["echo >/usr/$(printf '\\377')", "i=0; cd /usr; "
                         "while [ $i -lt 400 ]; do mkdir d; cd d || exit 1; i=$((i+1)); done"])  # fmt: skip
def test_scripts_that_make_what_ostree_can_not_hold(composed: Bench, script: str) -> None:
    composed.add_repo("bad", [rpm("odd", requires_post=["shell", "setup"], post=script)])
    composed.treefile["packages"] = ["greeter", "kernel", "odd"]
    fails(composed, 1)
    recovers(composed)
