# SPDX-License-Identifier: GPL-2.0-or-later
"""Labels of objects and trees. libostree is the oracle: its policy gives the labels, its fsck reads the objects."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from rpmtree.errors import StoreError, ToolError
from rpmtree.ostree import objects, repo, tree
from rpmtree.ostree.objects import Commit, FileMeta, Kind
from rpmtree.ostree.refs import write_refs
from rpmtree.ostree.relabel import label_of, relabel, relabel_all
from rpmtree.ostree.selinux import Labeller, Policy
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.tree import Directory
from rpmtree.root.labels import NOTES, Labels, labelling
from tests.support.policies import CONTEXTS, by_libostree

pytestmark = pytest.mark.needs("root", "ostree", "gi:")

#: Expressions of which it is hard to tell what they begin with.
TRICKY = r"""
/.*                          a:b:default_t:s0
/usr/bin|/usr/sbin           a:b:either_t:s0
/usr/li?b/one                a:b:maybe_t:s0
/usr/lib*/two                a:b:many_t:s0
/usr/lib{0,1}/three          a:b:braces_t:s0
/usr/(lib|lib64)/four        a:b:group_t:s0
/(usr/)?share/five           a:b:optional_t:s0
/usr/li[bc]/six              a:b:class_t:s0
/usr/lib/[|]seven            a:b:bar_t:s0
/usr/lib/\|eight             a:b:escaped_t:s0
/usr/lib/\.nine\+            a:b:dots_t:s0
/usr/lib/\w+/ten             a:b:word_t:s0
/usr/lib/ele\x76en           a:b:hex_t:s0
/usr/lib/(?i)twelve          a:b:case_t:s0
.*/thirteen                  a:b:end_t:s0
/usr/share/doc/x/y/z(/.*)?   a:b:deep_t:s0
/usr/share/doc/x/y/z/none -- <<none>>
/usr/lib/fifteen       -d    a:b:directory_t:s0
/usr/lib/fifteen       -l    a:b:link_t:s0
/usr/lib/fifteen       --    a:b:file_t:s0
/opt(/.*)?                   a:b:opt_t:s0
/srv/deep/er/and/deeper(/.*)? a:b:aliased_t:s0
"""
ALIASES = (
    "/usr/lib/opt /opt\n/var/opt /usr/lib/opt\n/usr/share/alias /srv/deep/er/and\n/alias /\n/c/a /c/b\n/c/b /c/a\n"
)
#: Of paths that other files of the policy name, too.
LOCAL = """
/usr/lib/fifteen       --    a:b:local_t:s0
/usr/lib/word/ten            a:b:local_t:s0
/usr/share/doc/x/y/z/none -- a:b:local_t:s0
/usr/lib/one           -d    a:b:local_t:s0
/usr/lib(/.*)?         -l    a:b:local_link_t:s0
"""
PATHS = """
/ /usr /usr/bin /usr/sbin /usr/bin/x /usr/lb/one /usr/lib/one /usr/li/two /usr/libbb/two /usr/li/three /usr/lib/three
/usr/lib/four /usr/lib64/four /usr/lib32/four /share/five /usr/share/five /usr/lib/six /usr/lic/six /usr/lid/six
/usr/lib/|seven /usr/lib/|eight /usr/lib/.nine+ /usr/lib/xnine+ /usr/lib/word/ten /usr/lib/eleven /usr/lib/TWELVE
/usr/lib/twelve /thirteen /usr/share/doc/x/y/thirteen /usr/lib/ä /usr/lib/fourteen /usr/lib/ö/fourteen
/usr/share/doc/x/y/z /usr/share/doc/x/y/z/none /usr/share/doc/x/y/z/some /usr/lib/fifteen /usr/lib/opt /usr/lib/opt/x
/usr/lib/optional /var/opt /var/opt/x /usr/share/alias /usr/share/alias/deeper /usr/share/alias/deeper/x /alias/usr/bin
/alias/opt/x /alias /c/a/x /c/b/x /c/a /opt /opt/x /srv
""".split()  # noqa: SIM905 - reads better in columns


def policy(contexts: str = CONTEXTS, label_version: int = 0, **others: str) -> Policy:
    files = {"": contexts.encode(), **{f".{name}": text.encode() for name, text in others.items()}}
    return Policy("stone", files, label_version)


@pytest.mark.parametrize("aliases", ["", ALIASES])
def test_a_few_expressions_say_what_all_say(tmp_path: Path, aliases: str) -> None:
    homes = "/usr/lib/one -- a:b:home_t:s0\n/c/.* a:b:circle_t:s0\n"
    given = policy(TRICKY, subs_dist=aliases, homedirs=homes, local=LOCAL)
    judge = by_libostree(given.files, tmp_path)
    kinds = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
    with Labeller(given) as labeller:
        found = {(path, kind): labeller.label(path, kind) for path in PATHS for kind in kinds}
    wanted = {key: judge(*key) for key in found}
    assert found == {key: None if label is None else label.encode() + b"\0" for key, label in wanted.items()}
    assert len(set(found.values())) > 20


@pytest.mark.parametrize("line", ["/usr/share/x a:b c:d", "/usr/share/x -? a:b:c:s0", "/usr/share/x/y", "/ä a:b:c:s0"])
def test_a_policy_that_libselinux_refuses(line: str) -> None:
    with pytest.raises(ToolError) as caught, Labeller(policy(f"{CONTEXTS}{line}\n")):
        pass
    assert "stone" in caught.value.message


def test_a_policy_without_expressions() -> None:
    with Labeller(policy("# none\n")) as labeller:
        assert labeller.label("/usr/lib", stat.S_IFREG) is None


@pytest.fixture
def store(tmp_path: Path) -> Store:
    repo.create(tmp_path / "repo", "bare")
    return Store(tmp_path / "repo")


def a_tree(store: Store, count: int = 4) -> Directory:
    """Files of all sorts, stored, and a directory of many."""
    root = Directory()
    cap = bytes.fromhex("0100000200200000000000000000000000000000")
    with Staging(store) as staging:
        add = staging.add_file
        root.make("usr/bin").files |= {
            "greet": add(FileMeta(0o104755, 1, 2, xattrs=((b"security.capability", cap),)), b"hello"),
            "large": add(FileMeta(0o100755), bytes(range(256)) * 1000),
            "empty": add(FileMeta(0o100644), b""),
            "link": staging.add_link(FileMeta(0o120777, 3, 4, target="greet")),
        }
        many = root.make("usr/share/many").files
        many.update((f"{at}", add(FileMeta(0o100644), b"%d" % at)) for at in range(count))
        root.make("etc").files["passwd"] = add(FileMeta(0o100644), b"root")
        root.make("usr/etc")
        staging.publish()
    return root


def commit(store: Store, root: Directory, labels: Labels) -> str:
    """Label a tree, commit it, keep the notes; the commit must be clean."""
    with Staging(store) as staging, labelling(staging, labels) as labelled:
        labelled.label_tree(root)
        written = tree.write(staging, root)
        checksum = staging.add_metadata(Kind.COMMIT, objects.commit(Commit(written.tree, written.meta, 1)))
        staging.publish()
        labelled.keep_notes()
    write_refs(store.path, {"test": checksum})
    subprocess.run(["ostree", "fsck", f"--repo={store.path}", "--quiet"], check=True)
    return checksum.hex()


def names(store: Store) -> frozenset[str]:
    return frozenset(f"{path.parent.name}{path.name}" for path in (store.path / "objects").glob("*/*.file"))


def test_many_objects_are_labelled_as_one_by_one(store: Store) -> None:
    root = a_tree(store, 400)
    files = [checksum for _, found in root.walk() for checksum in found.files.values()]
    orders = [(checksum, b"a:b:%d:s0\0" % (at % 3) if at % 7 else None) for at, checksum in enumerate(files)]
    with Staging(store) as together, Staging(store) as alone:
        made = relabel_all(together, orders)
        assert made == [relabel(alone, *order) for order in orders]
        for (source, label), checksum in zip(orders, made, strict=True):
            assert (checksum == source) is (label is None)
            path = together.path_of(checksum)
            assert label_of(path) == label
            assert os.lstat(path).st_mtime == 0
        assert together.publish() == sum(label is not None for _, label in orders)
    subprocess.run(["ostree", "fsck", f"--repo={store.path}", "--quiet"], check=True)


def test_a_label_is_replaced_and_taken_away(store: Store) -> None:
    root = a_tree(store)
    with Staging(store) as staging:
        for source in root.make("usr/bin").files.values():
            first = relabel(staging, source, b"first\0")
            second = relabel(staging, first, b"second\0")
            assert len({source, first, second}) == 3
            assert relabel(staging, second, b"first\0") == first
            assert relabel(staging, second, None) == source


def test_an_object_that_is_not_there(store: Store) -> None:
    files = a_tree(store, 400).make("usr/share/many").files
    bad = Path(store.object_path(Kind.FILE, files["7"]))
    orders = [(checksum, b"a\0") for checksum in files.values()]
    with Staging(store) as staging:
        assert len(relabel_all(staging, orders)) == 400
        with pytest.raises(StoreError):
            relabel_all(staging, [(b"x" * 32, b"a\0")])
        bad.unlink()
        with pytest.raises(StoreError) as caught:
            relabel_all(staging, orders)
    assert str(bad) in caught.value.message


def test_what_a_process_that_labels_says_is_heard(store: Store) -> None:
    orders = [(checksum, b"a\0") for checksum in a_tree(store, 400).make("usr/share/many").files.values()]
    with Staging(store) as staging:
        for fan in range(256):
            (staging.directory / f"{fan:02x}").write_text("no directory")
        with pytest.raises(StoreError, match="can't write"):
            relabel_all(staging, orders)


@pytest.mark.parametrize("count", [1, 400])
@pytest.mark.parametrize("damage", ["content", "mode", "kind"])
def test_a_damaged_object_is_not_taken(store: Store, count: int, damage: str) -> None:
    """It would get a name that says that it is right."""
    files = a_tree(store, count).make("usr/share/many").files
    orders = [(checksum, b"a\0") for checksum in files.values()]
    bad = Path(store.object_path(Kind.FILE, files["0"]))
    if damage == "content":
        bad.write_text("evil")
    elif damage == "mode":
        bad.chmod(0o4755)
    else:
        bad.unlink()
        bad.mkdir()
    with Staging(store) as staging:
        made = dict(zip(files, relabel_all(staging, orders), strict=True))
        assert [name for name, checksum in made.items() if checksum is None] == ["0"]
        assert staging.publish() == count - 1


def test_of_a_damaged_base_nothing_is_labelled(store: Store) -> None:
    root = a_tree(store)
    bad = Path(store.object_path(Kind.FILE, root.make("usr/bin").files["greet"]))
    bad.write_text("evil")
    with pytest.raises(StoreError, match="was changed after it was made") as caught:
        commit(store, root, Labels(policy()))
    assert "layer repair" in (caught.value.hint or "")


def test_two_policies_relabel_what_differs(store: Store) -> None:
    first = Labels(policy(), noted=True)
    unlabelled = names_of(a_tree(store))
    one = commit(store, a_tree(store), first)
    before = names(store)
    assert before > unlabelled
    assert commit(store, a_tree(store), first) == one
    assert names(store) == before
    second = Labels(policy(CONTEXTS.replace("greet_exec_t", "hello_exec_t")), noted=True)
    other = commit(store, a_tree(store), second)
    (new,) = names(store) - before
    assert label_of(store.object_path(Kind.FILE, bytes.fromhex(new[:64]))) == b"system_u:object_r:hello_exec_t:s0\0"
    assert other != one
    # Back again, by notes that were kept; the packages' own objects are as they were.
    assert commit(store, a_tree(store), first) == one
    assert names(store) == before | {new} >= unlabelled
    assert len(list((store.path / NOTES).iterdir())) == 2


def names_of(root: Directory) -> frozenset[str]:
    return frozenset(f"{checksum.hex()}.file" for _, found in root.walk() for checksum in found.files.values())


def test_notes_that_are_damaged_or_gone_change_nothing(store: Store) -> None:
    labels = Labels(policy(), noted=True)
    first = commit(store, a_tree(store), labels)
    (notes,) = (store.path / NOTES).iterdir()
    kept = notes.read_bytes()
    for damaged in (kept[:-9], kept[:40], b"", b"x" * 100, kept[:50] + b"?" + kept[51:]):
        notes.write_bytes(damaged)
        assert commit(store, a_tree(store), labels) == first
        assert notes.read_bytes() == kept
    assert commit(store, a_tree(store), Labels(policy())) == first


def test_notes_of_a_few_policies_are_kept(store: Store) -> None:
    for number in range(6):
        commit(store, a_tree(store), Labels(policy(f"{CONTEXTS}/x a:b:{number}:s0\n"), noted=True))
    assert len(list((store.path / NOTES).iterdir())) == 4


def test_an_object_that_was_lost_is_made_again(store: Store) -> None:
    labels = Labels(policy(), noted=True)
    root = a_tree(store)
    first = commit(store, root, labels)
    Path(store.object_path(Kind.FILE, root.make("usr/bin").files["greet"])).unlink()
    assert commit(store, a_tree(store), labels) == first


def test_what_a_base_has_is_left_alone(store: Store) -> None:
    base = a_tree(store)
    first = commit(store, base, Labels(policy()))
    changed = base.copy()
    changed.make("usr/bin").files["new"] = a_tree(store).make("usr/bin").files["greet"]
    # A package that owns the directory.
    changed.make("usr/share").meta = objects.dirmeta(0o755)
    assert commit(store, changed, Labels(policy(), base=base, same_policy=True)) != first
    whole = a_tree(store)
    whole.make("usr/bin").files["new"] = whole.make("usr/bin").files["greet"]
    assert commit(store, whole, Labels(policy())) == commit(store, changed, Labels(policy(), base=base))


def test_the_place_of_configuration() -> None:
    old, new = policy(), policy(label_version=1)
    assert [old.place(path) for path in ("", "/etc", "/etc/a", "/etcetera")] == [
        "/",
        "/usr/etc",
        "/usr/etc/a",
        "/etcetera",
    ]
    assert [new.place(path) for path in ("", "/etc", "/etc/a", "/etcetera")] == ["/", "/etc", "/etc/a", "/etcetera"]
