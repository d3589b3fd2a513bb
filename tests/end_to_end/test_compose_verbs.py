# SPDX-License-Identifier: GPL-2.0-or-later
"""The verbs of `compose` beside `tree`: its steps one by one, plain roots, lockfiles."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.end_to_end.shale import COMPOSE, REF, Bench, greeter, ostree, run_verb
from tests.support.rpms import file, hardlink, rpm
from tests.support.webserver import serve

TREEFILE_JSON = "/usr/share/rpm-ostree/treefile.json"
#: In the place of dracut: an initramfs that nobody boots.
DRACUT = '#!/bin/sh\nfor last in "$@"; do :; done\necho image >"$last"\n'


def content(bench: Bench, rev: str = REF) -> str:
    """What a commit's tree is, whatever its metadata."""
    found = re.search(r"ContentChecksum:\s+(\w+)", ostree(bench.repo, "show", rev))
    assert found
    return found[1]


def install(bench: Bench, *options: str) -> Path:
    """The directory that `compose install` makes."""
    run_verb(bench, "install", f"--cachedir={bench.cachedir}", *options, bench.treefile_path, bench.top / "dest")
    return bench.top / "dest/rootfs"


def commit(bench: Bench, root: Path, *options: str, status: int = 0) -> str:
    """What `compose commit` says of a root."""
    words = (f"--repo={bench.repo}", f"--cachedir={bench.cachedir}", *options, bench.treefile_path, root)
    done = run_verb(bench, "commit", *words, status=status)
    return done.stderr if status else done.stdout


def entries(root: Path) -> dict[str, object]:
    """Path → all of an entry that is in a tree, content included; no times but those of files."""
    found: dict[str, object] = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory, name)
            info = path.lstat()
            xattrs = {key: os.getxattr(path, key, follow_symlinks=False)
                      for key in os.listxattr(path, follow_symlinks=False)}  # fmt: skip
            told = (os.readlink(path) if path.is_symlink() else path.read_bytes()) if name in files else None
            found[str(path.relative_to(root))] = (info.st_mode, info.st_uid, info.st_gid, xattrs, told)
    return found


def test_three_steps_make_the_tree_of_one(bench: Bench) -> None:
    bench.treefile |= {"postprocess": ["#!/bin/sh\necho so >>/etc/done"], "default-target": "x.target"}
    bench.compose()
    expected = content(bench)
    bench.init()
    root = install(bench)
    assert (root / "etc/greeter.made").exists()
    assert not (root / "etc/done").exists()
    assert run_verb(bench, "postprocess", root, bench.treefile_path).stdout == f"{root} is ready\n"
    again = run_verb(bench, "postprocess", "--json", root, bench.treefile_path)
    assert json.loads(again.stdout) == {"rootfs": str(root), "changed": False}
    link = bench.top / "link"
    link.symlink_to(root)
    assert commit(bench, link) == f"{REF} => {bench.commit()}\n"
    assert content(bench) == expected
    assert bench.packages() == ["filesystem", "greeter", "kernel", "libstone", "setup", "shale-release", "shell"]
    bench.check()
    written, before = bench.top / "commit-id", bench.commit()
    said = commit(bench, root, "--add-metadata-string=who=me", "--no-parent", f"--write-commitid-to={written}")
    assert said == f"Wrote commit: {written.read_text()}\n"
    assert ostree(bench.repo, "show", "--print-metadata-key=who", written.read_text()) == "'me'\n"
    assert bench.commit() == before


def test_the_steps_know_the_compose_before(bench: Bench) -> None:
    bench.treefile |= {"automatic-version-prefix": "1", "mutate-os-release": "1", "postprocess": ["#!/bin/sh\n:"]}
    bench.compose("--add-metadata-string=version=1.6")
    old = bench.commit()
    lines = "greeter:x:401:401::/:/bin/sh", "greeter:x:401:"
    pre = f"echo {lines[0]} >>/etc/passwd; echo {lines[1]} >>/etc/group"
    bench.add_repo("newer", [greeter("9", pre=pre)])
    bench.treefile["preserve-passwd"] = False
    repo = f"--repo={bench.repo}"
    assert "No apparent changes" not in run_verb(bench, "install", repo, bench.treefile_path, bench.top / "dest").stdout
    root = bench.top / "dest/rootfs"
    told = run_verb(bench, "postprocess", repo, root, bench.treefile_path, status=1).stderr
    assert "greeter: uid was 400 and is 401" in told
    bench.treefile["check-passwd"] = bench.treefile["check-groups"] = {"type": "none"}
    run_verb(bench, "postprocess", repo, root, bench.treefile_path)
    commit(bench, root)
    assert ostree(bench.repo, "rev-parse", f"{REF}^").strip() == old
    assert "OSTREE_VERSION=1.7\n" in bench.cat("/usr/lib/os-release")
    assert ostree(bench.repo, "show", "--print-metadata-key=version", REF) == "'1.7'\n"


def test_what_is_added_by_hand_is_in_the_commit(bench: Bench) -> None:
    root = install(bench)
    (root / "etc/early").write_text("early\n")
    os.mknod(root / "usr/share/greeter/gone", 0o600 | stat.S_IFCHR, os.makedev(0, 0))
    os.mknod(root / "usr/share/greeter/tty", 0o600 | stat.S_IFCHR, os.makedev(4, 1))
    told = run_verb(bench, "postprocess", root, bench.treefile_path).stderr
    assert "/usr/share/greeter/tty" in told
    assert "gone" not in told
    assert (root / "usr/share/greeter/.ostree-wh.gone").read_bytes() == b""
    (root / "usr/bin/late").write_text("late\n")
    os.chown(root / "usr/bin/late", 7, 8)
    (root / "usr/bin/late").chmod(0o4711)
    os.link(root / "usr/bin/late", root / "usr/bin/later")
    os.mknod(root / "usr/share/whiteout", 0o640 | stat.S_IFCHR, os.makedev(0, 0))
    os.mkfifo(root / "usr/share/pipe")
    before = sorted((str(path), path.lstat().st_ino, path.lstat().st_ctime_ns) for path in root.rglob("*"))
    commit(bench, root)
    assert sorted((str(path), path.lstat().st_ino, path.lstat().st_ctime_ns) for path in root.rglob("*")) == before
    lines = bench.paths()
    assert lines["/usr/bin/late"].split()[:4] == ["-04711", "7", "8", "5"]
    assert lines["/usr/bin/later"].split()[:4] == ["-04711", "7", "8", "5"]
    assert lines["/usr/etc/early"].split()[:3] == ["-00644", "0", "0"]
    assert lines["/usr/share/greeter/.ostree-wh.gone"].split()[:4] == ["-00600", "0", "0", "0"]
    assert lines["/usr/share/.ostree-wh.whiteout"].split()[:4] == ["-00640", "0", "0", "0"]
    assert not {"/usr/share/greeter/tty", "/usr/share/greeter/gone", "/usr/share/whiteout", "/usr/share/pipe"} & set(
        lines
    )
    bench.check()


def test_a_root_is_made_ready_without_a_treefile(bench: Bench) -> None:
    module = "/usr/lib/dracut/modules.d/98ostree/module-setup.sh"
    bench.add_repo("tools", [rpm("dracut", files={"/usr/bin/dracut": file(DRACUT, mode=0o755), module: ""})])
    defaults = ("no-initramfs", "boot-location")
    bench.treefile = {key: value for key, value in bench.treefile.items() if key not in defaults}
    bench.treefile["packages"] = ["greeter", "kernel", "dracut"]
    bench.compose()
    first = bench.commit()
    root = install(bench)
    assert run_verb(bench, "postprocess", root).stdout == f"{root} is ready\n"
    assert "ready already" in run_verb(bench, "postprocess", root).stdout
    commit(bench, root)
    changed = {line.split()[1] for line in ostree(bench.repo, "diff", first, REF).splitlines()}
    # The one thing that only a treefile can know.
    assert changed == {"/usr/share/rpm-ostree"}
    assert ostree(bench.repo, "ls", "-R", first, "/usr/share/rpm-ostree").split()[9:] == [TREEFILE_JSON]


def test_the_treefile_half_alone(bench: Bench) -> None:
    bench.treefile |= {"default-target": "x.target"}
    root = install(bench, "--postprocess")
    assert os.readlink(root / "usr/lib/systemd/system/default.target") == "x.target"
    assert (root / TREEFILE_JSON.lstrip("/")).exists()
    assert (root / "root").is_dir()
    said = commit(bench, root, status=1)
    assert f"compose postprocess {root}" in said
    assert bench.refs() == {}


def test_what_is_mounted_in_a_root_is_left_alone(bench: Bench) -> None:
    """A copy of a mounted directory would be lost for the image, and the directory itself for its owner."""
    root, owned = bench.top / "a root", bench.top / "owned"
    for path in (root / "home", owned):
        path.mkdir(parents=True)
    (owned / "letter").write_text("dear\n")
    script = 'mount --bind "$1" "$2" && "$3" postprocess "$4"'
    argv = ["unshare", "-m", "sh", "-c", script, "sh", *map(str, (owned, root / "home", COMPOSE, root))]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, str(root / "home") in ended.stderr) == (1, True), ended.stderr
    assert (owned / "letter").read_text() == "dear\n"


def test_install_leaves_nothing_but_the_root(bench: Bench) -> None:
    dest = bench.top / "dest"
    done = run_verb(bench, "install", "--json", bench.treefile_path, dest)
    assert len(json.loads(done.stdout)["packages"]) == 7
    assert [path.name for path in dest.iterdir()] == ["rootfs"]
    before = entries(dest)
    assert f"{dest}/rootfs" in run_verb(bench, "install", bench.treefile_path, dest, status=1).stderr
    assert entries(dest) == before
    assert "greeter" in run_verb(bench, "install", "--dry-run", bench.treefile_path, bench.top / "dry").stdout
    bench.add_repo("bad", [rpm("failing", requires=["shell"], post="exit 3")])
    bench.treefile["packages"] = ["failing"]
    run_verb(bench, "install", bench.treefile_path, bench.top / "failed", status=6)
    assert [list((bench.top / name).iterdir()) for name in ("dry", "failed")] == [[], []]


def test_files_of_one_content_are_files_of_their_own(bench: Bench) -> None:
    names = {"/usr/bin/tool": "tool\n", "/usr/bin/other-name": hardlink("/usr/bin/tool")}
    bench.add_repo("twins", [rpm("twins", files={"/usr/share/one": "same\n", "/usr/share/two": "same\n", **names})])
    bench.treefile["packages"] = ["greeter", "kernel", "twins"]
    root = install(bench)
    inode = {name: (root / "usr/share" / name).stat().st_ino for name in ("one", "two")}
    assert inode["one"] != inode["two"]
    assert (root / "usr/bin/tool").stat().st_ino == (root / "usr/bin/other-name").stat().st_ino
    assert (root / "usr/bin/tool").stat().st_nlink == 2
    (root / "usr/share/one").write_text("other\n")
    install_again = bench.top / "again"
    run_verb(bench, "install", f"--cachedir={bench.cachedir}", bench.treefile_path, install_again)
    assert (install_again / "rootfs/usr/share/one").read_text() == "same\n"


def test_a_root_on_another_file_system_is_the_same(bench: Bench) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == bench.top.stat().st_dev:
        pytest.skip("there is no second file system")
    root = install(bench)
    with tempfile.TemporaryDirectory(dir=elsewhere) as top:
        run_verb(bench, "install", f"--cachedir={bench.cachedir}", bench.treefile_path, f"{top}/dest")
        assert entries(Path(top, "dest/rootfs")) == entries(root)


def test_a_whole_root_is_what_a_commit_deploys(bench: Bench) -> None:
    bench.compose()
    ostree(bench.repo, "checkout", REF, str(bench.top / "checkout"))
    (bench.top / "checkout/usr/etc").rename(bench.top / "checkout/etc")
    target = bench.top / "deep/root"
    run_verb(bench, "rootfs", f"--cachedir={bench.cachedir}", bench.treefile_path, target)
    assert "security.capability" in os.listxattr(target / "usr/bin/greet")
    assert not (target / "usr/etc").exists()
    assert entries(target) == entries(bench.top / "checkout")
    assert str(target) in run_verb(bench, "rootfs", bench.treefile_path, target, status=1).stderr


def test_a_lock_is_taken_without_a_repository(bench: Bench) -> None:
    bench.repo.rename(bench.top / "elsewhere")
    lock, later = bench.top / "lock.json", bench.top / "later.json"
    assert run_verb(bench, "lock", "-o", lock, bench.treefile_path).stdout == f"Locked 7 packages in {lock}\n"
    locked = json.loads(lock.read_text())["packages"]
    assert locked["greeter"]["evra"] == "1:2.0~rc1-1.noarch"
    assert sorted(path.name for path in bench.top.iterdir() if path.is_dir()) == ["elsewhere"]
    bench.add_repo("newer", [greeter("9")])
    run_verb(bench, "lock", f"--lockfile={lock}", f"--output={later}", bench.treefile_path)
    assert json.loads(later.read_text())["packages"] == locked
    run_verb(bench, "lock", f"--output={later}", bench.treefile_path)
    assert json.loads(later.read_text())["packages"]["greeter"]["evra"] == "1:9-1.noarch"
    bench.treefile["packages"] = ["libstone"]
    assert "Locked 4 packages" in run_verb(bench, "lock", f"--lockfile={lock}", "-o", later, bench.treefile_path).stdout
    bench.treefile["packages"] = ["greeter", "kernel", "manual"]
    strict = ("--lockfile-strict", f"--lockfile={lock}", f"--output={later}", bench.treefile_path)
    assert "manual" in run_verb(bench, "lock", *strict, status=4).stderr


def test_a_file_that_can_not_be_written_is_named(bench: Bench) -> None:
    missing = bench.top / "missing/file"
    assert str(missing) in run_verb(bench, "lock", f"--output={missing}", bench.treefile_path, status=1).stderr
    assert str(missing) in bench.compose(f"--touch-if-changed={missing}", status=1).stderr


def test_a_previous_compose_that_is_not_at_hand(bench: Bench) -> None:
    bench.treefile["automatic-version-prefix"] = "1"
    done = bench.compose("--json", "--previous-version=1.6")
    inputhash = json.loads(done.stdout)["inputhash"]
    assert json.loads(done.stdout)["version"] == "1.7"
    bench.init()
    assert "No apparent changes" in bench.compose(f"--previous-inputhash={inputhash}").stdout
    assert bench.refs() == {}
    assert "=>" in bench.compose(f"--previous-inputhash={inputhash[::-1]}").stdout


def test_download_only_rpms_keeps_the_files(bench: Bench) -> None:
    with serve(bench.shale.repository) as site:
        text = (bench.top / "shale.repo").read_text()
        (bench.top / "shale.repo").write_text(re.sub("baseurl=.*", f"baseurl={site.url}", text))
        assert bench.compose("--download-only-rpms").stdout == ""
    kept = sorted(path.name.rpartition("-")[0] for path in (bench.cachedir / "rpm-md/packages").iterdir())
    assert kept == ["filesystem", "greeter", "kernel", "libstone", "setup", "shale-release", "shell"]
    assert list((bench.cachedir / "pkgcache-repo/refs/heads").iterdir()) == []
    assert "--cachedir" in bench.compose("--download-only-rpms", cached=False, status=2).stderr


@pytest.mark.parametrize("options", [("--workdir=/nowhere",), ("--workdir=/nowhere", "--workdir-tmpfs")])
def test_a_workdir_is_not_needed(bench: Bench, options: tuple[str, ...]) -> None:
    assert "--workdir is ignored" in bench.compose("--dry-run", *options).stderr
    assert "--workdir" not in bench.compose("--dry-run").stderr
