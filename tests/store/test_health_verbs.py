# SPDX-License-Identifier: GPL-2.0-or-later
"""`layer verify` finds each kind of damage, `layer repair` mends it without writing in place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rpmtree.command import run
from rpmtree.errors import StoreError, UsageError
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.objects import Kind, parse_dirtree
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.repo import Repository, create
from rpmtree.ostree.store import Store
from rpmtree.ostree.sysroot import Sysroot, init_fs
from rpmtree.ostree.variant import Variant
from tests.support.layer import layer
from tests.support.sysroots import commit_tree, make_mutable
from tests.support.webserver import serve

pytestmark = pytest.mark.needs("root", "gi:", "ostree")
ORIGIN = "[origin]\nrefspec=site:granite/12\n"
FILES = {"usr/bin/tool": "tool", "usr/share/doc/tool/README": "read me", "usr/share/empty": ""}
Damage = Callable[[Path], None]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Path]:
    """What the remote `site` serves: the commit that is deployed."""
    create(tmp_path / "archive", "archive")
    return tmp_path / "archive"


@pytest.fixture
def sysroot(tmp_path: Path, archive: Path) -> Iterator[Sysroot]:
    made = init_fs(tmp_path / "sysroot")
    made.init_stateroot("granite")
    with made.lock("test"):
        checksum = commit_tree(made.repo_path, files=FILES)
        made.deploy("granite", checksum, ORIGIN)
    Repository(archive).pull_commit(made.repo_path, bytes.fromhex(checksum))
    write_refs(archive, {"granite/12": bytes.fromhex(checksum)})
    with serve(archive) as site:
        made.remotes.add("site", site.url, {"gpg-verify": "false"})
        yield made
    make_mutable(made.path)


def deployed(sysroot: Sysroot) -> Deployment:
    return sysroot.deployments()[0]


def replace_file(path: Path) -> None:
    path.unlink()
    path.write_text("other")


def chown(path: Path) -> None:
    os.chown(path, 1, 1)


def set_xattr(path: Path) -> None:
    os.setxattr(path, "user.x", b"y")


def replace_mode(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").chmod(0o4755)
    path.with_name("copy").rename(path)


def put_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


#: Where, what is done, what is said of it, and whether the object in the repository is damaged with it.
DAMAGES: list[tuple[str, Damage, str, bool]] = [
    ("/usr/bin/tool", lambda path: path.write_text("evil") and None, "differs", True),
    ("/usr/bin/tool", replace_file, "differs (content)", False),
    ("/usr/bin/tool", replace_mode, "differs (mode)", False),
    ("/usr/bin/tool", put_link, "differs (content, kind, mode)", False),
    ("/usr/bin/tool", lambda path: path.chmod(0o4755), "differs", True),
    ("/usr/bin/tool", chown, "differs", True),
    ("/usr/bin/tool", set_xattr, "differs", True),
    ("/usr/bin/tool", Path.unlink, "missing", False),
    ("/usr/share/empty", lambda path: path.write_text("x") and None, "differs", True),
    ("/usr/etc/hosts", Path.unlink, "missing", False),
    ("/usr/share/doc", lambda path: path.chmod(0o777), "differs (mode)", False),
    ("/usr/share/doc", chown, "differs (owner)", False),
    ("/usr/share/doc", set_xattr, "differs (xattrs)", False),
    ("/usr/share/doc/tool", shutil.rmtree, "missing", False),
]


def findings(sysroot: Sysroot) -> dict[str, str]:
    done = layer(sysroot.path, "verify", "--json")
    (entry,) = done.json["deployments"]
    found = {f["path"]: f["wrong"] + (f" ({f['what']})" if f["what"] else "") for f in entry["findings"]}
    assert done.status == (StoreError.exit_code if found else 0)
    return found


def test_a_whole_system(sysroot: Sysroot) -> None:
    assert findings(sysroot) == {}
    assert layer(sysroot.path, "verify", "0").stdout == f"{deployed(sysroot).id}: as it was committed\n"
    assert layer(sysroot.path, "verify", "7").status == UsageError.exit_code
    assert layer(sysroot.path, "repair", "--json").json == {"objects": [], "paths": [], "left": [], "aside": None}
    assert not (sysroot.repo_path / "strata-damaged").exists()


@pytest.mark.parametrize(("where", "damage", "said", "shared"), DAMAGES)
def test_damage_is_found_and_mended(sysroot: Sysroot, where: str, damage: Damage, said: str, shared: bool) -> None:
    path = Path(f"{deployed(sysroot).path}{where}")
    copy_is_made = shared and path.stat().st_nlink == 1  # libostree gives empty files no second name
    damage(path)
    found = findings(sysroot)
    assert found[where].startswith(said)
    assert all(name.startswith(where) for name in found)
    before = path.lstat().st_ino if os.path.lexists(path) else None
    done = layer(sysroot.path, "repair", "--json")
    assert (done.status, done.json["left"]) == (0, [])
    assert done.json["paths"] == [f"{deployed(sysroot).id}: {name}" for name in found]
    assert len(done.json["objects"]) == (shared and not copy_is_made)
    assert findings(sysroot) == {}
    if path.is_file():
        assert path.stat().st_ino != before
    run(["ostree", f"--repo={sysroot.repo_path}", "fsck", "--quiet"])


def test_what_is_too_much_is_named_and_left(sysroot: Sysroot) -> None:
    extra = deployed(sysroot).path / "usr/bin/extra"
    extra.write_text("x")
    (deployed(sysroot).path / "etc/mine").write_text("the machine's own")
    assert findings(sysroot) == {"/usr/bin/extra": "extra"}
    done = layer(sysroot.path, "repair", "--json")
    assert (done.status, len(done.json["left"])) == (StoreError.exit_code, 1)
    assert "/usr/bin/extra" in done.json["left"][0]
    assert extra.exists()


def break_objects(sysroot: Sysroot) -> list[Path]:
    """Damage one object of each kind, and take another file away; gives them."""
    store = Store(sysroot.repo_path)
    checksum = bytes.fromhex(deployed(sysroot).checksum)
    commit = store.commit(checksum)
    _, top = parse_dirtree(store.read(Kind.DIRTREE, commit.tree))
    _, usr = parse_dirtree(store.read(Kind.DIRTREE, top["usr"][0]))
    binaries, _ = parse_dirtree(store.read(Kind.DIRTREE, usr["bin"][0]))
    share, _ = parse_dirtree(store.read(Kind.DIRTREE, usr["share"][0]))
    paths = [
        Path(store.object_path(kind, name))
        for kind, name in (
            (Kind.COMMIT, checksum),
            (Kind.DIRTREE, usr["share"][0]),
            (Kind.DIRMETA, commit.meta),
            (Kind.FILE, binaries["tool"]),
        )
    ]
    for path in paths:
        if path.suffix != ".file":  # the other repositories share it; a file is to be damaged as deployed, too
            path.unlink()
        path.write_bytes(b"junk")
    gone = Path(store.object_path(Kind.FILE, share["empty"]))
    gone.unlink()
    return [*paths, gone]


def test_objects_come_from_the_remote(sysroot: Sysroot) -> None:
    broken = break_objects(sysroot)
    assert findings(sysroot)["/"].startswith("unknown")
    done = layer(sysroot.path, "repair", "--json")
    assert (done.status, done.json["left"]) == (0, [])
    named = [f"{path.parent.name}{path.name}" for path in broken]
    # The file that is gone may come with the directory that it is in, before it is missed.
    assert set(named[:-1]) <= set(done.json["objects"]) <= set(named)
    assert len(list(Path(done.json["aside"]).iterdir())) == 4
    assert findings(sysroot) == {}
    run(["ostree", f"--repo={sysroot.repo_path}", "fsck", "--quiet"])
    assert list((sysroot.repo_path / "state").glob("*")) == []
    assert layer(sysroot.path, "repair", "--json").json["objects"] == []


@pytest.mark.parametrize("mode", ["archive", "bare"])
def test_objects_come_from_another_repository(sysroot: Sysroot, archive: Path, tmp_path: Path, mode: str) -> None:
    source = archive
    if mode == "bare":
        create(tmp_path / "bare", "bare")
        source = tmp_path / "bare"
        Repository(source).pull_commit(sysroot.repo_path, bytes.fromhex(deployed(sysroot).checksum))
        for path in (source / "objects").rglob("*.file"):  # of its own, or the damage would be its too
            if not path.is_symlink():
                shutil.copy2(path, f"{path}.new")
                Path(f"{path}.new").rename(path)
    sysroot.remotes.delete("site")
    break_objects(sysroot)
    done = layer(sysroot.path, "repair", f"--from={source}", "--json")
    assert (done.status, done.json["left"]) == (0, [])
    assert findings(sysroot) == {}
    run(["ostree", f"--repo={sysroot.repo_path}", "fsck", "--quiet"])


def test_what_is_had_nowhere_is_said(sysroot: Sysroot, tmp_path: Path) -> None:
    sysroot.remotes.delete("site")
    (deployed(sysroot).path / "usr/bin/tool").write_text("evil")
    done = layer(sysroot.path, "repair", "--json")
    assert (done.status, len(done.json["objects"]), done.json["paths"]) == (StoreError.exit_code, 1, [])
    assert any("/usr/bin/tool" in line for line in done.json["left"])
    assert any(done.json["objects"][0] in line for line in done.json["left"])
    assert layer(sysroot.path, "repair", f"--from={tmp_path}").status == StoreError.exit_code


def test_a_damaged_source_does_not_count(sysroot: Sysroot, archive: Path) -> None:
    sysroot.remotes.delete("site")
    for path in (archive / "objects").rglob("*.filez"):
        path.write_bytes(b"junk")
    (deployed(sysroot).path / "usr/bin/tool").write_text("evil")
    done = layer(sysroot.path, "repair", f"--from={archive}", "--json")
    assert (done.status, len(done.json["objects"])) == (StoreError.exit_code, 1)
    assert not list((sysroot.repo_path / "objects").rglob(f"{done.json['objects'][0][2:]}"))


def test_a_layered_commit_is_mended_from_its_base(sysroot: Sysroot) -> None:
    base = deployed(sysroot).checksum
    files = {**FILES, "usr/bin/layered": "layered"}
    metadata = {"rpmostree.clientlayer": Variant("b", True)}
    checksum = commit_tree(sysroot.repo_path, files=files, parent=bytes.fromhex(base), metadata=metadata)
    with sysroot.lock("test"):
        made = sysroot.deploy("granite", checksum, ORIGIN, merge=sysroot.merge_deployment("granite"))
        sysroot.undeploy(1)
        sysroot.discard_unlisted()
    (made.path / "usr/bin/tool").write_text("evil")
    assert layer(sysroot.path, "repair", "--json").status == 0
    assert findings(sysroot) == {}
    (made.path / "usr/bin/layered").write_text("evil")
    done = layer(sysroot.path, "repair", "--json")
    assert done.status == StoreError.exit_code
    assert any("was made here" in line for line in done.json["left"])
    assert (made.path / "usr/bin/tool").read_text() == "tool"


def test_a_lost_object_comes_back_from_the_deployed_file(sysroot: Sysroot) -> None:
    sysroot.remotes.delete("site")
    tool = deployed(sysroot).path / "usr/bin/tool"
    (other,) = (p for p in (sysroot.repo_path / "objects").rglob("*.file") if p.lstat().st_ino == tool.stat().st_ino)
    other.unlink()
    done = layer(sysroot.path, "repair", "--json")
    assert (done.status, len(done.json["objects"]), done.json["paths"]) == (0, 1, [])
    assert other.samefile(tool)
