# SPDX-License-Identifier: GPL-2.0-or-later
"""RPMs into a package cache: what the commit holds, and which packages are refused. Real RPMs, a real repository."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from rpmtree import command
from rpmtree.errors import FetchError, StoreError, ToolError
from rpmtree.ostree import repo, tree
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.relabel import label_of
from rpmtree.ostree.selinux import Policy
from rpmtree.ostree.store import Store
from rpmtree.pkgcache.cache import CachedPackage, PackageCache, Wanted
from rpmtree.progress import Reporter
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.payload import Entry, PayloadReader
from tests.support.openpgp import Key
from tests.support.policies import CONTEXTS, by_libostree, label_as_a_kernel
from tests.support.rpms import (
    File,
    Package,
    Raw,
    device,
    directory,
    fifo,
    file,
    flip_header,
    flip_payload,
    hardlink,
    make_repo,
    rpm,
    symlink,
    trigger,
    truncate,
)
from tests.support.rpmwriter import INT16, INT32, STRING, STRINGS

pytestmark = pytest.mark.needs("root", "ostree", "rpm:", "gi:")


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    repo.create(tmp_path / "cache", "bare")
    return PackageCache(Store(tmp_path / "cache"))


def built(tmp_path: Path, package: Package, key: Key | None = None) -> tuple[Wanted, Path]:
    make_repo(tmp_path / "repo", [package], key=key)
    (path,) = (tmp_path / "repo").rglob("*.rpm")
    return wanted(path, package), path


def wanted(path: Path, package: Package, *keys: Key) -> Wanted:
    nevra = Nevra(package.name, package.epoch or 0, package.version, package.release, package.arch)
    checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return Wanted(nevra, checksum, bool(keys), tuple(key.public_key().encode() for key in keys))


def tree_of(cache: PackageCache, found: CachedPackage) -> dict[str, str]:
    """Path → content of a file, or the link's target, of the commit."""
    result = {}
    root = tree.load(cache.store, found.commit.tree, found.commit.meta)
    for path, below in root.walk():
        for name, checksum in below.files.items():
            object_path = Path(cache.store.object_path(Kind.FILE, checksum))
            result[f"{path}/{name}"] = (
                f"-> {object_path.readlink()}" if object_path.is_symlink() else object_path.read_text()
            )
    return result


def fsck(cache: PackageCache) -> None:
    subprocess.run(["ostree", f"--repo={cache.store.path}", "fsck", "--quiet"], check=True)


@pytest.mark.parametrize("compression", ["zstd", "xz", "gzip", "none"])
def test_imports(cache: PackageCache, tmp_path: Path, compression: str) -> None:
    package = rpm(
        "foo",
        version="1.0~rc1",
        epoch=2,
        compression=compression,
        files={
            "/usr/bin/foo": file("one", mode=0o4755),
            "/usr/bin/foo2": hardlink("/usr/bin/foo", mode=0o4755),
            "/usr/bin/ping": file("caps", mode=0o755, caps="cap_net_raw=ep"),
            "/usr/share/empty": file(""),
            "/usr/share/empty2": hardlink("/usr/share/empty"),
            "/usr/share/large": file("x" * 3_000_000),
            "/usr/lib/link": symlink("../bin/foo"),
            "/etc/foo.conf": file("conf", config=True),
            "/etc/ghost": file("", ghost=True),
            "/boot/map": file("map"),
            "/var/lib/foo": directory(mode=0o750, user="daemon"),
            "/var/lib/foo/dropped": file("dropped"),
            "/opt/foo/bin/x": file("opt"),
            "/data/x": file("nowhere"),
        },
    )
    job = built(tmp_path, package)
    (found,) = cache.add([job], Reporter())
    assert tree_of(cache, found) == {
        "usr/bin/foo": "one",
        "usr/bin/foo2": "one",
        "usr/bin/ping": "caps",
        "usr/share/empty": "",
        "usr/share/empty2": "",
        "usr/share/large": "x" * 3_000_000,
        "usr/lib/link": "-> ../bin/foo",
        "etc/foo.conf": "conf",
        "usr/lib/ostree-boot/map": "map",
        "usr/lib/opt/foo/bin/x": "opt",
        "usr/lib/rpm-ostree/tmpfiles.d/foo.conf":
            "L /opt/foo - - - - ../../usr/lib/opt/foo\nd /var/lib/foo 0750 daemon root - -\n",
    }  # fmt: skip
    assert found.unsupported == ("/data/x",)
    assert found.commit.timestamp == package.build_time
    root = tree.load(cache.store, found.commit.tree, found.commit.meta)
    suid = root.directory("usr/bin").files["foo"]  # type: ignore[union-attr]
    assert stat.S_IMODE(Path(cache.store.object_path(Kind.FILE, suid)).stat().st_mode) == 0o4755
    fsck(cache)


def test_a_cached_package_is_found_again(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, rpm("foo", files={"/usr/x": "x"}))
    (added,) = cache.add([(want, path)], Reporter())
    assert cache.find(want) == added
    assert cache.find(replace(want, checksum="sha256:" + "0" * 64)) is None
    assert cache.find(replace(want, gpgcheck=True, keys=(b"key",))) is None, "it was not checked by that key"


def test_the_commit_depends_on_the_package_alone(cache: PackageCache, tmp_path: Path) -> None:
    job = built(tmp_path, rpm("foo", files={"/usr/x": "x", "/usr/y/z": "z"}))
    repo.create(tmp_path / "other", "bare")
    other = PackageCache(Store(tmp_path / "other"))
    assert cache.add([job], Reporter())[0].checksum == other.add([job], Reporter())[0].checksum


TRAILER = b"070701" + b"%08x" * 13 % (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0) + b"TRAILER!!!\0" + b"\0" * 3


HOSTILE: dict[str, Callable[[], Package]] = {
    "payload name with ..": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(names={"/usr/x": b"./../../outside"})),
    "absolute payload name": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(names={"/usr/x": b"/etc/passwd"})),
    "NUL in a payload name": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(names={"/usr/x": b"./usr/x\0y"})),
    "a path with ..": lambda: rpm("bad", files={"/usr/../../outside": "x"}),
    "a path with an empty component": lambda: rpm("bad", files={"/usr//x": "x"}),
    "a name of 256 bytes": lambda: rpm("bad", files={"/usr/" + "x" * 256: "x"}),
    "a whiteout name": lambda: rpm("bad", files={"/usr/.wh.x": "x"}),
    "a device": lambda: rpm("bad", files={"/usr/dev": device()}),
    "a pipe": lambda: rpm("bad", files={"/usr/pipe": fifo()}),
    "files below its own link": lambda: rpm("bad", files={"/usr/link": symlink("/etc"), "/usr/link/x": "x"}),
    "files below its own file": lambda: rpm("bad", files={"/usr/file": "f", "/usr/file/x": "x"}),
    "an entry that the header lacks": lambda: rpm(
        "bad", files={"/usr/x": "x"}, raw=Raw(last=((b"./usr/extra", 0o100644, b"e"),))
    ),
    "an entry that the header lacks, first": lambda: rpm(
        "bad", files={"/usr/x": "x"}, raw=Raw(first=((b"./usr/extra", 0o100644, b"e"),))
    ),
    "an entry that the payload lacks": lambda: rpm(
        "bad", files={"/usr/x": "x", "/usr/y": "y"}, raw=Raw(omit=frozenset({"/usr/y"}))
    ),
    "another mode in the payload": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(modes={"/usr/x": 0o104755})),
    "another type in the payload": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(modes={"/usr/x": 0o120777})),
    "another size in the payload": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(contents={"/usr/x": b"longer"})),
    "another link in the payload": lambda: rpm(
        "bad", files={"/usr/x": symlink("a")}, raw=Raw(contents={"/usr/x": b"b"})
    ),
    "a link without its data": lambda: rpm(
        "bad",
        files={"/usr/a": "one", "/usr/b": hardlink("/usr/a")},
        raw=Raw(contents={"/usr/b": b""}),
    ),
    "links that the header tells apart": lambda: rpm(
        "bad",
        files={"/usr/a": "one", "/usr/b": hardlink("/usr/a"), "/usr/c": "two"},
        raw=Raw(header={1028: (INT32, [4, 3, 3])}),
    ),
    "a link to much more": lambda: rpm(
        "bad", files={"/usr/x": symlink("a")}, raw=Raw(contents={"/usr/x": b"a" * (1 << 20)})
    ),
    "an empty link": lambda: rpm("bad", files={"/usr/x": symlink("")}),
    "a link of 5000 bytes": lambda: rpm("bad", files={"/usr/x": symlink("x" * 5000)}),
    "a link that is not UTF-8": lambda: rpm("bad", files={"/usr/x": symlink("\udcff")}),
    "a name that is not UTF-8": lambda: rpm("bad", files={"/usr/\udcff": "x"}),
    "a tree of 500 levels": lambda: rpm("bad", files={"/usr" + "/d" * 500: "x"}),
    "a tree of 1500 levels": lambda: rpm("bad", files={"/usr" + "/d" * 1500: "x"}),
    "a file in the place of its own tmpfiles.d file": lambda: rpm(
        "bad", files={"/usr/lib/rpm-ostree/tmpfiles.d/bad.conf": "f", "/var/lib/bad": directory()}
    ),
    "a directory in the place of its own tmpfiles.d file": lambda: rpm(
        "bad", files={"/usr/lib/rpm-ostree/tmpfiles.d/bad.conf/x": "f", "/var/lib/bad": directory()}
    ),
    "a version with a newline": lambda: rpm("bad", version="1\n2", files={"/usr/x": "x"}),
    "a release with a slash": lambda: rpm("bad", raw=Raw(header={1002: (STRING, "../1")}), files={"/usr/x": "x"}),
    "no such capability": lambda: rpm("bad", files={"/usr/x": file("x", caps="cap_fly=ep")}),
    "too few modes": lambda: rpm(
        "bad", files={"/usr/x": "x", "/usr/y": "y"}, raw=Raw(header={1030: (INT16, [0o100644])})
    ),
    "no digests": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(header={1035: None})),
    "a directory index out of range": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(header={1116: (INT32, [7])})),
    "triggers without conditions": lambda: rpm(
        "bad", files={"/usr/x": "x"}, triggers=[trigger("triggerin", "foo", "true")], raw=Raw(header={1067: None})
    ),
    "no payload": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(payload=b"")),
    "noise for a payload": lambda: rpm("bad", files={"/usr/x": "x"}, raw=Raw(payload=b"\x28\xb5\x2f\xfd" + b"z" * 90)),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_refuses_hostile_packages(cache: PackageCache, tmp_path: Path, case: str) -> None:
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    with pytest.raises(FetchError, match="bad"):
        cache.add([built(tmp_path, HOSTILE[case]())], Reporter())
    after = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if "repo" not in path.parts}
    assert after <= before, "something was left, in the cache or outside of it"


def test_links_across_places(cache: PackageCache, tmp_path: Path) -> None:
    """The data comes with the last name, and that has no place in the tree: the other must not come out empty."""
    (found,) = cache.add(
        [built(tmp_path, rpm("foo", files={"/usr/a": "one", "/var/z": hardlink("/usr/a")}))], Reporter()
    )
    assert tree_of(cache, found) == {"usr/a": "one"}


POLICY = Policy("stone", {"": CONTEXTS.encode()})
OTHER = Policy("stone", {"": CONTEXTS.replace("greet_exec_t", "hello_exec_t").encode()})


def labelled_package(name: str = "foo") -> Package:
    return rpm(
        name,
        files={
            "/usr/bin/greet": file("hello", mode=0o4755),
            "/usr/share/a": hardlink("/usr/bin/greet", mode=0o4755),
            "/usr/bin/ping": file("caps", mode=0o755, caps="cap_net_raw=ep"),
            "/usr/lib/libx.so.1": symlink("libx.so.1.0"),
            "/usr/lib/libx.so.1.0": file("x" * 3_000_000),
            "/usr/share/empty": file(""),
            "/etc/foo.conf": file("conf", config=True),
            "/var/lib/foo": directory(),
            # The data of /usr/b comes with a name that has no place.
            "/usr/b": "one",
            "/var/z": hardlink("/usr/b"),
        },
    )


def labels_of(cache: PackageCache, found: CachedPackage) -> dict[str, bytes | None]:
    return {
        f"{where}/{name}": label_of(cache.store.object_path(Kind.FILE, checksum))
        for where, below in found.tree.walk()
        for name, checksum in below.files.items()
    }


def programs(found: CachedPackage) -> dict[str, bytes]:
    below = found.tree.directory("usr/bin")
    return below.files if below else {}


@pytest.mark.parametrize("policy", [POLICY, replace(POLICY, label_version=1)])
def test_labels(cache: PackageCache, tmp_path: Path, policy: Policy) -> None:
    want, path = built(tmp_path, labelled_package())
    (found,) = cache.add([(want, path)], Reporter(), policy)
    judge = by_libostree(policy.files, tmp_path / "judge")
    modes = {name: os.lstat(cache.store.object_path(Kind.FILE, checksum)).st_mode
             for _, below in found.tree.walk() for name, checksum in below.files.items()}  # fmt: skip
    wanted_labels = {
        name: f"{judge(policy.place(f'/{name}'), modes[Path(name).name])}\0".encode() for name in tree_of(cache, found)
    }
    wanted_labels["usr/share/a"] = wanted_labels["usr/bin/greet"]  # one file has one label
    assert labels_of(cache, found) == wanted_labels
    assert wanted_labels["usr/bin/greet"] == b"system_u:object_r:greet_exec_t:s0\0"
    assert wanted_labels["usr/lib/libx.so.1"] == b"system_u:object_r:lib_link_t:s0\0"
    assert found.policy == policy.checksum
    assert (again := cache.find(want)) is not None
    assert again.policy == policy.checksum
    # A kernel that runs SELinux finds nothing to label.
    label_as_a_kernel(cache.store.path)
    fsck(cache)


def test_without_labels_a_kernel_adds_its_own(cache: PackageCache, tmp_path: Path) -> None:
    """The control: this is what labels at import are for."""
    (found,) = cache.add([built(tmp_path, labelled_package())], Reporter())
    assert set(labels_of(cache, found).values()) == {None}
    assert found.policy == ""
    fsck(cache)
    label_as_a_kernel(cache.store.path)
    with pytest.raises(subprocess.CalledProcessError):
        fsck(cache)


def test_workers_label_as_this_process_does(cache: PackageCache, tmp_path: Path) -> None:
    one = built(tmp_path / "1", labelled_package())
    (alone,) = cache.add([one], Reporter(), POLICY)
    many = [built(tmp_path / f"{number}", labelled_package(f"foo{number}")) for number in range(2, 12)]
    found = cache.add([one, *many], Reporter(), POLICY)
    assert found[0].checksum == alone.checksum
    assert {package.policy for package in found} == {POLICY.checksum}
    fsck(cache)
    with pytest.raises(ToolError, match="stone"):
        cache.add([one, *many], Reporter(), Policy("stone", {"": b"/x a:b c:d\n"}))


def test_another_policy_relabels_what_is_there(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, labelled_package())
    (bare,) = cache.add([(want, path)], Reporter())
    (first,) = cache.add([(want, path)], Reporter(), POLICY)
    (second,) = cache.relabel([(want, first)], OTHER)
    before = labels_of(cache, first)
    changed = {name for name, label in labels_of(cache, second).items() if label != before[name]}
    assert changed == {"usr/bin/greet", "usr/share/a"}  # each name for itself now
    (imported,) = cache.add([(want, path)], Reporter(), OTHER)
    assert programs(imported) == programs(second)
    # Whatever the kernel has made of objects without labels, they are read without.
    label_as_a_kernel(cache.store.path)
    assert programs(cache.relabel([(want, bare)], POLICY)[0]) == programs(first)
    (without,) = cache.relabel([(want, second)], None)
    assert without.checksum == bare.checksum
    assert cache.find(want) == without


def commits(cache: PackageCache) -> set[str]:
    return {f"{path.parent.name}{path.stem}" for path in cache.store.path.glob("objects/*/*.commit")}


def test_another_policy_with_the_same_labels_copies_nothing(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, rpm("foo", files={"/usr/bin/greet": file("hello"), "/usr/lib/x": symlink("y")}))
    (first,) = cache.add([(want, path)], Reporter(), POLICY)
    objects = {path.name for path in cache.store.path.glob("objects/*/*.file")}
    (second,) = cache.relabel([(want, first)], Policy("stone", {"": f"{CONTEXTS}# of another release\n".encode()}))
    assert second.policy != first.policy
    assert second.tree.same_as(first.tree)
    assert {path.name for path in cache.store.path.glob("objects/*/*.file")} == objects


def test_a_package_with_a_damaged_file_is_not_relabelled(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, labelled_package())
    whole = built(tmp_path / "whole", labelled_package("whole"))
    first, other = cache.add([(want, path), whole], Reporter(), POLICY)
    own, theirs = (Path(cache.store.object_path(Kind.FILE, programs(found)["greet"])) for found in (first, other))
    assert own == theirs, "the same content is one object, and both are damaged"
    assert len(cache.relabel([(want, first), (whole[0], other)], OTHER)) == 2
    first, other = cache.add([(want, path), whole], Reporter(), POLICY)
    own.write_text("evil")
    assert cache.relabel([(want, first), (whole[0], other)], OTHER) == []
    assert cache.find(want) == first
    assert cache.put_aside_damaged(first)
    assert cache.find(want) is None
    assert not cache.put_aside_damaged(first)
    (again,) = cache.add([(want, path)], Reporter(), POLICY)
    assert again == first
    assert own.read_text() == "hello"
    assert (cache.store.path / "strata-damaged" / f"{own.parent.name}{own.name}").read_text() == "evil"
    fsck(cache)


def test_a_package_with_a_missing_file_is_imported_anew(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, labelled_package())
    (found,) = cache.add([(want, path)], Reporter())
    Path(cache.store.object_path(Kind.FILE, programs(found)["ping"])).unlink()
    cache = PackageCache(cache.store)
    assert cache.find(want) is None
    assert cache.add([(want, path)], Reporter()) == [found]
    assert cache.find(want) == found
    fsck(cache)


def test_a_commit_stays_while_a_branch_names_it(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, labelled_package())
    local = replace(want, local=True)
    (bare,) = cache.add([(want, path)], Reporter())
    (first,) = cache.add([(want, path)], Reporter(), POLICY)
    assert commits(cache) == {first.checksum.hex()}, "what is labelled takes the place of what was not"
    assert cache.add([(local, path)], Reporter(), POLICY) == [first]
    (second,) = cache.relabel([(want, first)], OTHER)
    assert commits(cache) == {first.checksum.hex(), second.checksum.hex()}
    assert cache.find(local) == first
    assert cache.relabel([(local, first)], OTHER) == [second]
    assert commits(cache) == {second.checksum.hex()}
    assert bare.checksum not in (first.checksum, second.checksum)
    label_as_a_kernel(cache.store.path)
    fsck(cache)


def test_the_root_directory_may_be_owned(cache: PackageCache, tmp_path: Path) -> None:
    package = rpm("filesystem", files={"/": directory(mode=0o555), "/usr": directory(), "/usr/x": "x"})
    (found,) = cache.add([built(tmp_path, package)], Reporter())
    assert tree_of(cache, found) == {"usr/x": "x"}


def test_entries_without_names(cache: PackageCache, tmp_path: Path) -> None:
    """Rpm's format for packages with files over 4 GiB: an entry is a place in the header, and sizes are there too."""
    files: dict[str, File | str] = {
        "/usr/a": "one",
        "/usr/b": hardlink("/usr/a"),
        "/usr/d": directory(),
        "/usr/l": symlink("target"),
        "/usr/m": "other",
        "/var/x": "dropped",
    }

    def entry(index: int, data: bytes) -> bytes:
        return b"07070X%08x\0\0" % index + data + b"\0" * (-len(data) % 4)

    data = [b"", b"one", b"", b"target", b"other", b"dropped"]
    payload = gzip.compress(b"".join(entry(index, piece) for index, piece in enumerate(data)) + TRAILER)
    digest = {5092: (STRINGS, [hashlib.sha256(payload).hexdigest()])}
    package = rpm("foo", files=files, raw=Raw(payload=payload, header=digest), compression="gzip")
    (found,) = cache.add([built(tmp_path, package)], Reporter())
    assert tree_of(cache, found) == {"usr/a": "one", "usr/b": "one", "usr/l": "-> target", "usr/m": "other"}
    fsck(cache)


@pytest.mark.parametrize("compressor", ["xz", "zstd"])
def test_a_stream_that_asks_for_too_much_memory(tmp_path: Path, compressor: str) -> None:
    def entries(window: int) -> list[Entry]:
        path = tmp_path / "payload"
        if compressor == "xz":
            settings = {"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << window}
            path.write_bytes(lzma.compress(TRAILER, filters=[settings]))
        else:
            wide = zstandard.ZstdCompressionParameters(window_log=window)
            stream = zstandard.ZstdCompressor(compression_params=wide).compressobj()
            path.write_bytes(stream.compress(TRAILER) + stream.flush())
        with path.open("rb") as file:
            return list(PayloadReader(file.fileno(), compressor, (), "bad"))

    assert entries(26) == []
    with pytest.raises(FetchError, match="bad"):
        entries(30)


def test_a_worker_that_dies_with_many_words_is_heard(
    cache: PackageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a pipe holds: nobody reads it while the worker lives."""
    talker = "import sys; sys.stdin.readline(); sys.stderr.write('word ' * 50_000 + 'the last'); sys.exit(1)"
    real = command.spawn
    monkeypatch.setattr(command, "spawn", lambda argv, **said: real([argv[0], "-c", talker], **said))
    monkeypatch.setattr("rpmtree.pkgcache.cache._FEW", 0)  # or it is imported without a worker
    with pytest.raises(StoreError, match="foo") as error:
        cache.add([built(tmp_path, rpm("foo", files={"/usr/x": "x"}))], Reporter())
    assert (error.value.detail or "").endswith("the last")


def test_modules_in_the_working_directory_are_not_run(
    cache: PackageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "base64", "rpmtree", "rpm"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken')\n")
    with monkeypatch.context() as patched:
        patched.chdir(tmp_path)
        assert cache.add([built(tmp_path, rpm("foo", files={"/usr/x": "x"}))], Reporter())


@pytest.mark.parametrize("content", ["", "x" * 65, "abcd"])
def test_a_damaged_branch_or_commit_is_imported_anew(cache: PackageCache, tmp_path: Path, content: str) -> None:
    job = built(tmp_path, rpm("foo", files={"/usr/x": "x"}))
    (found,) = cache.add([job], Reporter())
    (branch,) = (path for path in (cache.store.path / "refs/heads").rglob("*") if path.is_file())
    branch.write_text(content)
    assert cache.find(job[0]) is None
    assert cache.add([job], Reporter())[0].checksum == found.checksum
    os.truncate(cache.store.object_path(Kind.COMMIT, found.checksum), 10)
    assert cache.find(job[0]) is None
    assert cache.add([job], Reporter())[0].checksum == found.checksum
    fsck(cache)


def test_the_same_package_without_the_attack_is_taken(cache: PackageCache, tmp_path: Path) -> None:
    assert cache.add([built(tmp_path, rpm("bad", files={"/usr/x": "x", "/usr/link": symlink("/etc")}))], Reporter())


@pytest.mark.parametrize("damage", [flip_payload, flip_header, lambda path: truncate(path, 7)])
@pytest.mark.parametrize("signed", [True, False])
def test_refuses_damaged_files(
    cache: PackageCache, tmp_path: Path, damage: Callable[[Path], None], signed: bool, key: Key
) -> None:
    package = rpm("foo", files={"/usr/x": "x" * 1000})
    _, path = built(tmp_path, package, key)
    damage(path)
    want = wanted(path, package, *([key] if signed else []))  # its checksum is that of the damaged file
    with pytest.raises(FetchError, match="foo"):
        cache.add([(want, path)], Reporter())
    assert cache.find(want) is None


def test_signatures(cache: PackageCache, tmp_path: Path, key: Key, other_key: Key) -> None:
    package = rpm("foo", files={"/usr/x": "x"})
    _, path = built(tmp_path, package, key)
    with pytest.raises(FetchError, match="foo"):
        cache.add([(wanted(path, package, other_key), path)], Reporter())
    assert cache.add([(wanted(path, package, other_key, key), path)], Reporter())
    unsigned = rpm("bar", files={"/usr/y": "y"})
    _, path = built(tmp_path / "second", unsigned)
    with pytest.raises(FetchError, match="bar"):
        cache.add([(wanted(path, unsigned, key), path)], Reporter())


def test_a_file_that_is_not_the_one_of_the_metadata(cache: PackageCache, tmp_path: Path) -> None:
    want, path = built(tmp_path, rpm("foo", files={"/usr/x": "x"}))
    with pytest.raises(FetchError, match="foo"):
        cache.add([(replace(want, checksum="sha256:" + "0" * 64), path)], Reporter())
    with pytest.raises(FetchError, match="foo"):
        cache.add([(replace(want, nevra=replace(want.nevra, version="9")), path)], Reporter())


def test_one_bad_package_leaves_the_cache_as_it_was(cache: PackageCache, tmp_path: Path) -> None:
    good = built(tmp_path / "good", rpm("good", files={"/usr/x": "x"}))
    bad = built(tmp_path / "bad", rpm("bad", files={"/usr/dev": device()}))
    with pytest.raises(FetchError, match="bad"):
        cache.add([good, bad], Reporter())
    assert cache.find(good[0]) is None
    assert not list((cache.store.path / "tmp").glob("strata*"))
    assert cache.add([good], Reporter())
    fsck(cache)


@pytest.mark.parametrize(
    ("feature", "taken"),
    [("rpmlib(CompressedFileNames) <= 3.0.4-1", True), ("rpmlib(CompressedFileNames) <= 99-1", False),
     ("rpmlib(Foresight) <= 1-1", False)],
)  # fmt: skip
def test_what_rpm_is_to_be_able_to_do(cache: PackageCache, tmp_path: Path, feature: str, taken: bool) -> None:
    found, path = built(tmp_path, rpm("foo", requires=[feature]))
    if taken:
        cache.add([(found, path)], Reporter())
    else:
        with pytest.raises(FetchError, match="wants of rpm what rpm here has not"):
            cache.add([(found, path)], Reporter())
