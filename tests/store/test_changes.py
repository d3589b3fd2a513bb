# SPDX-License-Identifier: GPL-2.0-or-later
"""Overlay → tree. `ostree commit` of the mounted overlay is the oracle: both must give the same tree, bit for bit."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rpmtree.errors import ToolError
from rpmtree.ostree import objects, repo, tree
from rpmtree.ostree.objects import Commit, FileMeta, Kind
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.tree import Directory
from rpmtree.root.changes import apply_upper
from rpmtree.root.checkout import Checkout

pytestmark = pytest.mark.needs("root", "ostree", "unshare", "gi:")

CAP = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=ep
#: Mounts LOWER under UPPER as rpmtree.mounts does, in a namespace that ends with it; runs Python there, then a program.
_IN_OVERLAY = """\
import os, shutil, subprocess, sys
from pathlib import Path
from rpmtree import mounts
top, script, *argv = sys.argv[1:]
mounts.enter_private_namespace()
top = Path(top)
shutil.rmtree(top / "scratch")
(top / "scratch").mkdir()
with mounts.overlay(top / "root", lower=[top / "lower"], upper=top / "upper", work=top / "scratch"):
    os.chdir(top / "root")
    exec(script, globals())
    os.chdir("/")
    status = subprocess.run(argv, check=False).returncode if argv else 0
sys.exit(status)
"""


@dataclass
class Bench:
    """A repository, a base tree checked out as the lower layer, and an upper directory."""

    top: Path
    store: Store
    base: Directory
    dropped: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.top / "root"

    def change(self, script: str, *argv: str) -> str:
        """Run Python in the mounted root, where `os`, `Path`, `shutil` are, and then a program; gives its output."""
        program = [sys.executable, "-c", _IN_OVERLAY, str(self.top), script, *argv]
        done = subprocess.run(program, capture_output=True, check=False, cwd=Path(__file__).parents[2], text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, script: str = "") -> str:
        """What `ostree commit` of the overlay gives after the change: checksums of the tree and of its metadata."""
        oracle = Store(self.top / "oracle")  # one of its own, so that our objects are ours
        argv = ["ostree", f"--repo={oracle.path}", "commit", f"--tree=dir={self.root}", "-b", "oracle",
                "--timestamp=1970-01-01T00:00:00Z", "--no-bindings", "-s", ""]  # fmt: skip
        found = oracle.commit(bytes.fromhex(self.change(script, *argv).strip()))
        return f"{found.tree.hex()} {found.meta.hex()}"

    def apply(self) -> str:
        """What we make of the upper directory, in the store and named by a branch."""
        with Staging(self.store) as staging:
            root = apply_upper(staging, self.base, str(self.top / "upper"), self.dropped.append)
            written = tree.write(staging, root)
            commit = staging.add_metadata(Kind.COMMIT, objects.commit(Commit(written.tree, written.meta, 0)))
            staging.publish()
        (self.store.path / "refs/heads/ours").write_text(f"{commit.hex()}\n")
        return f"{written.tree.hex()} {written.meta.hex()}"


def plant(staging: Staging) -> Directory:
    """The base: files, links, directories, modes, a capability, an empty directory, one object with two names."""
    root = Directory()

    def add(path: str, meta: FileMeta, data: bytes = b"") -> None:
        parent, _, name = path.rpartition("/")
        is_link = bool(meta.target)
        root.make(parent).files[name] = staging.add_link(meta) if is_link else staging.add_file(meta, data)

    add("usr/bin/tool", FileMeta(0o100755), b"tool")
    add("usr/bin/suid", FileMeta(0o104755), b"suid")
    add("usr/bin/ping", FileMeta(0o100755, xattrs=((b"security.capability", CAP),)), b"ping")
    add("usr/bin/sh", FileMeta(0o120777, target="tool"))
    add("usr/share/a/one", FileMeta(0o100644), b"same")
    add("usr/share/a/two", FileMeta(0o100644), b"same")
    add("usr/share/a/b/c/deep", FileMeta(0o100640, 1, 2), b"deep")
    add("usr/share/empty-file", FileMeta(0o100644))
    add("etc/conf", FileMeta(0o100600), b"conf")
    root.make("usr/share/empty")
    root.make("usr/share/odd").meta = objects.dirmeta(0o2750, 3, 4)
    root.make("var")
    return root


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    for name in ("repo", "oracle"):
        repo.create(tmp_path / name, "bare")
    store = Store(tmp_path / "repo")
    with Staging(store) as staging:
        base = plant(staging)
        staging.publish()
    Checkout(store, tmp_path / "lower").update(base)
    for name in ("root", "upper", "scratch"):
        (tmp_path / name).mkdir(mode=0o755)
    yield Bench(tmp_path, store, base)
    damaged = subprocess.run(["ostree", "fsck", f"--repo={store.path}", "--quiet"], capture_output=True, check=False)
    assert damaged.returncode == 0, damaged.stderr.decode()


CHANGES = {
    "nothing": "",
    "a new file": "Path('usr/bin/new').write_text('new'); os.chmod('usr/bin/new', 0o755)",
    "a changed file": "Path('etc/conf').write_text('other')",
    "an appended file": "f = open('usr/share/a/one', 'a'); f.write('more'); f.close()",
    "an emptied file": "os.truncate('usr/share/a/one', 0)",
    "a file of no bytes": "Path('usr/nothing').touch()",
    "a file of some megabytes": "Path('usr/large').write_bytes(os.urandom(3 << 20))",
    "a removed file": "os.unlink('usr/bin/tool')",
    "a removed link": "os.unlink('usr/bin/sh')",
    "a removed directory": "shutil.rmtree('usr/share/a')",
    "a removed empty directory": "os.rmdir('usr/share/empty')",
    "all removed": "[shutil.rmtree(n) for n in os.listdir()]",
    "a new empty directory": "os.makedirs('usr/x/y/z')",
    "removed and made again": "os.unlink('etc/conf'); Path('etc/conf').write_text('again')",
    "an opaque directory": "shutil.rmtree('usr/share/a'); os.mkdir('usr/share/a'); Path('usr/share/a/new').touch()",
    "an opaque directory in an opaque one":
        "shutil.rmtree('usr/share/a'); os.makedirs('usr/share/a/b/c'); Path('usr/share/a/b/c/new').touch()",
    "an opaque directory, emptied": "shutil.rmtree('usr/share'); os.mkdir('usr/share')",
    "a directory in a file's place": "os.unlink('etc/conf'); os.mkdir('etc/conf'); Path('etc/conf/x').touch()",
    "a file in a directory's place": "shutil.rmtree('usr/share/a'); Path('usr/share/a').write_text('file')",
    "a link in a directory's place": "shutil.rmtree('usr/share/a'); os.symlink('/etc', 'usr/share/a')",
    "a directory in a link's place": "os.unlink('usr/bin/sh'); os.mkdir('usr/bin/sh'); Path('usr/bin/sh/x').touch()",
    "a link replaced": "os.unlink('usr/bin/sh'); os.symlink('../bin/suid', 'usr/bin/sh')",
    "a link in a file's place": "os.unlink('etc/conf'); os.symlink('conf.d/it', 'etc/conf')",
    "a link to nowhere, one with a long target": "os.symlink('no where', 'usr/l'); os.symlink('x' * 4000, 'usr/m')",
    "another owner for a link": "os.lchown('usr/bin/sh', 5, 6)",
    "mode of a file": "os.chmod('etc/conf', 0o4711)",
    "mode of a directory": "os.chmod('usr/share/a', 0o1700)",
    "owner of a file": "os.chown('usr/bin/tool', 7, 8)",
    "owner of a set-id file": "os.chown('usr/bin/suid', 7, 8)",
    "owner and set-id": "os.chown('usr/bin/suid', 7, 8); os.chmod('usr/bin/suid', 0o6755)",
    "owner of a directory": "os.chown('usr/share/odd', 9, 9)",
    "the root itself": "os.chmod('.', 0o711); os.chown('.', 1, 1)",
    "mode of a file with several names": "os.chmod('usr/share/a/one', 0o600)",
    "time alone": "os.utime('etc/conf', (5, 5))",
    "a capability given": f"os.setxattr('usr/bin/tool', 'security.capability', {CAP!r})",
    "a capability taken": "os.removexattr('usr/bin/ping', 'security.capability')",
    "a capability lost by a new owner": "os.chown('usr/bin/ping', 1, 1)",
    "a file with a capability renamed": "os.rename('usr/bin/ping', 'usr/bin/pong')",
    "a file renamed": "os.rename('etc/conf', 'etc/conf.old')",
    "a file renamed over another": "os.rename('usr/bin/tool', 'usr/bin/suid')",
    "a directory moved": "shutil.move('usr/share/a', 'usr/moved')",
    "a directory moved by mv": "subprocess.run(['mv', 'usr/share/a', 'etc/a'], check=True)",
    "a new directory renamed": "os.mkdir('usr/n'); Path('usr/n/x').touch(); os.rename('usr/n', 'usr/renamed')",
    "a new directory over an empty one": "os.mkdir('n'); os.rename('n', 'usr/share/empty')",
    "a directory moved away, and a new one there": "shutil.move('usr/share/a', 'usr/m'); os.mkdir('usr/share/a')",
    "hard links": "Path('usr/h1').write_text('h'); os.link('usr/h1', 'usr/h2'); os.link('usr/h1', 'etc/h3')",
    "a hard link to a file of the base": "os.link('usr/bin/tool', 'usr/bin/also')",
    "a hard link to a file with a capability": "os.link('usr/bin/ping', 'usr/bin/also')",
    "a hard link, changed then": "os.link('etc/conf', 'etc/also'); os.truncate('etc/also', 2)",
    "names, strange ones":
        "[Path('usr', n).touch() for n in ('a\\nb', 'back\\\\slash', ' ', '-rf', 'ü', '\\u4e16', 'x' * 255, "
        "'\\U0001f600', '.x', '..x', '%s', 'A', 'a', 'Z', 'a.b', 'a-b')]",
    "names of directories": "[os.mkdir(f'usr/{n}') for n in ('a\\nb', '\\u4e16', '\\U0001f600', '\\ue000', 'x' * 255)]",
    "set-id directories": "os.mkdir('usr/s'); os.chmod('usr/s', 0o6775); os.mkdir('usr/s/t')",
    "modes without rights": "Path('usr/0').touch(); os.chmod('usr/0', 0); os.mkdir('usr/d'); os.chmod('usr/d', 0)",
    "a tree of 200 levels": "os.makedirs('usr/' + '/'.join(['d'] * 200)); Path('usr/' + 'd/' * 200 + 'x').touch()",
    "many files": "[Path(f'usr/share/empty/{n}').write_text(str(n % 7)) for n in range(800)]",
    "a sparse file": "Path('usr/sparse').touch(); os.truncate('usr/sparse', 5_000_000)",
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_gives_what_ostree_commits(bench: Bench, case: str) -> None:
    expected = bench.commit(CHANGES[case])
    assert bench.apply() == expected
    assert bench.dropped == []


def test_the_oracle_sees_a_difference(bench: Bench) -> None:
    expected = bench.commit("os.chmod('etc/conf', 0o644)")
    bench.change("os.chmod('etc/conf', 0o640)")
    assert bench.apply() != expected


def test_all_changes_at_once_and_again(bench: Bench) -> None:
    cases = ("a new file", "a removed link", "mode of a directory", "hard links", "a tree of 200 levels",
             "owner and set-id", "names, strange ones", "an opaque directory",
             "a directory in a file's place")  # fmt: skip
    together = [CHANGES[case] for case in cases]
    expected = bench.commit("\n".join(together))
    assert bench.apply() == expected
    assert (bench.store.path / "refs/heads/ours").exists()


def test_only_some_attributes_are_kept(bench: Bench) -> None:
    bench.change("os.setxattr('etc/conf', 'user.note', b'x'); os.setxattr('usr/share', 'user.note', b'x')\n"
                 "os.setxattr('usr/bin/ping', 'trusted.mine', b'x')")  # fmt: skip
    ours = bench.apply()  # cleans the objects, which are the upper directory's own inodes
    assert ours == bench.commit("os.removexattr('usr/share', 'user.note')")


@pytest.mark.parametrize("names", ["one", "several"])
def test_a_signature_is_stored_under_its_effective_name(bench: Bench, names: str) -> None:
    """Also on a file with several names, whose one inode is changed once; `ostree fsck` follows each test."""
    link = "; os.link('etc/conf', 'etc/also'); os.link('etc/conf', 'usr/zz')" if names == "several" else ""
    bench.change(f"os.setxattr('etc/conf', 'user.ima', b'signature'){link}")
    bench.apply()
    root = bench.store.commit(bytes.fromhex((bench.store.path / "refs/heads/ours").read_text().strip()))
    etc = tree.load(bench.store, root.tree, root.meta).dirs["etc"]
    stored = bench.store.object_path(Kind.FILE, etc.files["conf"])
    assert os.listxattr(stored) == ["security.ima"]
    assert etc.files.get("also", etc.files["conf"]) == etc.files["conf"]


SPECIAL = {"a pipe": stat.S_IFIFO, "a device": stat.S_IFCHR | 0o666, "a socket": stat.S_IFSOCK}


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("place", ["etc/new", "etc/conf", "usr/share/empty"])
def test_special_files_are_left_out_and_named(bench: Bench, special: str, place: str) -> None:
    removal = f"shutil.rmtree('{place}') if os.path.isdir('{place}') else Path('{place}').unlink(missing_ok=True)"
    expected = bench.commit(removal)
    upper = bench.top / "upper" / place
    upper.parent.mkdir(parents=True, exist_ok=True)
    upper.unlink(missing_ok=True)  # the whiteout
    os.mknod(upper, SPECIAL[special], os.makedev(1, 3))
    assert bench.apply() == expected
    assert bench.dropped == [f"/{place}"]


def test_a_whiteout_that_hides_nothing_is_content(bench: Bench) -> None:
    bench.change("os.mkdir('usr/layer'); os.mkdir('usr/share/more'); Path('etc/conf').unlink()")
    for place, mode in (("usr/layer/gone", 0o600), ("usr/share/more/gone", 0)):
        os.mknod(bench.top / "upper" / place, stat.S_IFCHR | mode, 0)
        os.chown(bench.top / "upper" / place, 3, 4)
    bench.apply()
    commit = bench.store.commit(bytes.fromhex((bench.store.path / "refs/heads/ours").read_text().strip()))
    root = tree.load(bench.store, commit.tree, commit.meta)
    assert "conf" not in root.dirs["etc"].files  # the control: one that hides something
    assert not [name for name in root.dirs["etc"].files if name.startswith(".ostree")]
    assert not bench.dropped
    target = bench.top / "deployed"
    argv = ["ostree", f"--repo={bench.store.path}", "checkout", "--process-passthrough-whiteouts", "ours", str(target)]
    subprocess.run(argv, check=True)
    for place, mode in (("usr/layer/gone", 0o600), ("usr/share/more/gone", 0)):
        found = (target / place).lstat()
        assert (found.st_mode, found.st_rdev) == (stat.S_IFCHR | mode, 0)
        assert (found.st_uid, found.st_gid) == (3, 4)


@pytest.mark.parametrize("script", [
    "os.mkdir(b'usr/\\xff')", "open(b'usr/\\xe9', 'w')", "os.symlink(b'\\xff', 'usr/link')",
    "for _ in range(600): os.mkdir('d'); os.chdir('d')",
])  # fmt: skip
def test_refuses_what_ostree_can_not_hold(bench: Bench, script: str) -> None:
    bench.change(script)
    with pytest.raises(ToolError):
        bench.apply()
    assert not [name for name in os.listdir(bench.store.path / "tmp") if name.startswith("strata")]


def test_no_directory_is_a_note_that_points_elsewhere(bench: Bench) -> None:
    """Whatever the kernel's defaults are: with `redirect_dir` the upper directory would lack what was renamed."""
    bench.change("try:\n    os.rename('usr/share/a', 'usr/a')\nexcept OSError as error:\n"
                 "    assert error.errno == 18\nelse:\n    raise AssertionError")  # fmt: skip
