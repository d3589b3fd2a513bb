# SPDX-License-Identifier: GPL-2.0-or-later
"""Treefiles that include each other: order, merging, variables, and files that they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from compose.include import MAX_DEPTH, MAX_FILES
from compose.load import LoadedTreefile, home_of, load
from compose.merge import RULES
from compose.treefile import Merge
from rpmtree.errors import ConfigError


def given(directory: Path, files: dict[str, str], within: Path | None = None) -> LoadedTreefile:
    """Write files and load the first."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return load(directory / next(iter(files)), basearch="x86_64", within=None if within is None else [within])


def refused(directory: Path, files: dict[str, str], within: Path | None = None) -> tuple[str, int | None]:
    with pytest.raises(ConfigError) as caught:
        given(directory, files, within)
    assert caught.value.place is not None
    return os.path.relpath(caught.value.place.file, directory), caught.value.place.line


#: One key of each rule, in a file, what it includes first and what it includes then; and what they are together.
MERGED: list[tuple[str, Any, Any, Any, Any]] = [
    ("ref", "top", "one", "two", "top"),
    ("ref", None, "one", "two", "one"),
    ("ref", None, None, "two", "two"),
    ("selinux", "true", "false", "false", True),
    ("selinux", None, "false", "true", False),
    ("tmp-is-dir", "false", "true", None, False),
    ("check-passwd", None, "{type: none}", "{type: previous}", {"type": "none"}),
    ("packages", "[c]", "[b, a]", "[c, d]", ["a", "b", "c", "d"]),
    ("ignore-removed-users", "[c]", "[b, a]", "[c]", ["a", "b", "c"]),
    ("repos", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("lockfile-repos", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("ostree-layers", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("ostree-override-layers", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("cliwrap-binaries", "[kernel-install]", None, None, ["kernel-install"]),
    ("container-cmd", None, "[o, p]", "[w]", ["o", "p"]),
    ("platform-module", None, "o", "w", "o"),
    ("rojig", "{name: t}", "{name: o, summary: o}", None, {"name": "t"}),
    ("rpmdb", None, "host", "target", "host"),
    ("repo-metadata", "inline", "disabled", "detached", "inline"),
    ("repos", "[t]", "[t]", None, ["t", "t"]),
    ("exclude-packages", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("install-langs", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("initramfs-args", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("units", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("etc-group-members", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("postprocess", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("remove-files", "[t]", "[o]", "[w]", ["w", "o", "t"]),
    ("remove-from-packages", "[[t, t]]", "[[o, o]]", "[[w, w]]", [["w", "w"], ["o", "o"], ["t", "t"]]),
    ("metadata", "{a: t}", "{a: o, b: o}", "{a: w, b: w, c: w}", {"a": "t", "b": "o", "c": "w"}),
    ("add-commit-metadata", "{a: {x: t}}", "{a: {y: o}}", None, {"a": {"x": "t"}}),
    ("scriptlets", "{a: {var: ignore}}", "{a: {skip: [pre]}}", None, {"a": {"var": "ignore"}}),
    (
        "repo-packages",
        "[{repo: t, packages: [a]}]",
        "[{repo: o, packages: [a, b]}]",
        "[{repo: w, packages: [b]}, {repo: w, packages: [c]}]",
        [{"repo": "w", "packages": ["c"]}, {"repo": "o", "packages": ["b"]}, {"repo": "t", "packages": ["a"]}],
    ),
]


@pytest.mark.parametrize(("key", "top", "one", "two", "together"), MERGED)
def test_merge(tmp_path: Path, key: str, top: str | None, one: str | None, two: str | None, together: Any) -> None:
    def text(value: str | None) -> str:
        return "" if value is None else f"{key}: {value}\n"

    files = {"t.yaml": "include: [one.yaml, two.yaml]\n" + text(top), "one.yaml": text(one), "two.yaml": text(two)}
    assert given(tmp_path, files).to_json() == {key: together}


def test_each_rule_has_a_case() -> None:
    keys = {case[0] for case in MERGED}
    rules = {RULES[key.replace("-", "_")] for key in keys}
    assert rules | {Merge.CONSUMED} == set(Merge)
    lists = {name for name, rule in RULES.items() if rule is Merge.LIST} - {"add_files"}
    assert lists <= {key.replace("-", "_") for key in keys}


def test_includes_of_includes(tmp_path: Path) -> None:
    loaded = given(
        tmp_path,
        {
            "t.yaml": "include: sub/a.yaml\nrepos: [t]",
            "sub/a.yaml": "include: b.json\nrepos: [a]\nref: a",
            "sub/b.json": '{"include": ["../c.yaml"], "repos": ["b"], "ref": "b"}',
            "c.yaml": "repos: [c]\nosname: c",
        },
    )
    assert loaded.to_json() == {"ref": "a", "osname": "c", "repos": ["c", "b", "a", "t"]}
    names = [os.path.relpath(os.path.normpath(path), tmp_path) for path in loaded.files]
    assert names == ["c.yaml", "sub/b.json", "sub/a.yaml", "t.yaml"]


def test_a_diamond_counts_once_and_gives_way_to_both_sides(tmp_path: Path) -> None:
    files = {
        "t.yaml": "include: [left.yaml, right.yaml]\nrepos: [t]",
        "left.yaml": "include: common.yaml\nrepos: [left]",
        "right.yaml": "include: ./common.yaml\nrepos: [right]\nref: right",
        "common.yaml": "repos: [common]\nref: common",
    }
    assert given(tmp_path, files).to_json() == {"ref": "right", "repos": ["common", "right", "left", "t"]}
    # The same file by another name is the same file.
    files["right.yaml"] = "include: link.yaml\nrepos: [right]\nref: right"
    (tmp_path / "link.yaml").symlink_to("common.yaml")
    assert given(tmp_path, files).to_json()["repos"] == ["common", "right", "left", "t"]


def test_loops_are_named(tmp_path: Path) -> None:
    assert refused(tmp_path, {"t.yaml": "ref: a\ninclude: t.yaml"}) == ("t.yaml", 2)
    files = {"t.yaml": "include: a.yaml", "a.yaml": "include: b.yaml", "b.yaml": "\ninclude: a.yaml"}
    with pytest.raises(ConfigError) as caught:
        given(tmp_path, files)
    assert caught.value.place is not None
    assert (Path(caught.value.place.file).name, caught.value.place.line) == ("b.yaml", 2)
    assert caught.value.hint is not None
    assert [Path(part).name for part in caught.value.hint.split(" → ")] == ["a.yaml", "b.yaml", "a.yaml"]


def test_depth_and_number_are_limited(tmp_path: Path) -> None:
    def chain(length: int) -> dict[str, str]:
        names = ["t.yaml", *(f"{index}.yaml" for index in range(length))]
        return {name: f"include: {below}" for name, below in zip(names, [*names[1:], "end.yaml"], strict=True)}

    assert len(given(tmp_path, chain(MAX_DEPTH - 1) | {"end.yaml": ""}).files) == MAX_DEPTH + 1
    assert refused(tmp_path, chain(MAX_DEPTH) | {"end.yaml": ""}) == (f"{MAX_DEPTH - 1}.yaml", 1)

    def wide(count: int) -> dict[str, str]:
        names = [f"w{index}.yaml" for index in range(count)]
        return {"t.yaml": "include: [" + ", ".join(names) + "]"} | dict.fromkeys(names, "")

    assert len(given(tmp_path, wide(MAX_FILES - 1)).files) == MAX_FILES
    assert refused(tmp_path, wide(MAX_FILES)) == ("t.yaml", 1)


def test_what_is_included_must_be_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "dangling.yaml").symlink_to("nothing")
    (tmp_path / "dir.yaml").mkdir()
    for name in ("fifo.yaml", "dangling.yaml", "dir.yaml", "none.yaml", "/dev/null", "/proc/self/fd/0/x", "a.ks"):
        assert refused(tmp_path, {"t.yaml": f"ref: a\ninclude:\n- {name}"}) == ("t.yaml", 3)
    assert given(tmp_path, {"t.yaml": "ref: a\ninclude:\n- good.yaml", "good.yaml": ""}).to_json() == {"ref": "a"}


def test_confined_to_a_directory(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    (tmp_path / "out.yaml").write_text("osname: out")
    good = {"t.yaml": "include: sub/../a.yaml\nadd-files: [[f, usr/f]]", "a.yaml": "", "f": "", "sub/x": ""}
    assert given(inside, good, within=inside).treefile.add_files == (("f", "usr/f"),)
    (inside / "link.yaml").symlink_to("../out.yaml")
    for name in ("../out.yaml", "link.yaml", str(tmp_path / "out.yaml")):
        included = {"t.yaml": f"include: {name}"}
        assert given(inside, included).to_json() == {"osname": "out"}
        assert refused(inside, included, within=inside) == ("t.yaml", 1)
        added = {"t.yaml": f"add-files: [[{name}, usr/f]]"}
        assert given(inside, added).treefile.add_files == ((name, "usr/f"),)
        assert refused(inside, added, within=inside) == ("t.yaml", 1)


def test_what_belongs_to_a_treefile(tmp_path: Path) -> None:
    path = tmp_path / "checkout/sub/t.yaml"
    path.parent.mkdir(parents=True)
    assert home_of(path) == path.parent
    (tmp_path / "checkout/.git").write_text("gitdir: elsewhere\n")  # as in a work tree
    assert home_of(path) == tmp_path / "checkout"


def test_named_files_are_found_beside_the_file_that_names_them(tmp_path: Path) -> None:
    files = {
        "t.yaml": "include: sub/a.yaml\nadd-files: [[f, usr/t]]\ncheck-passwd: {type: file, filename: passwd}",
        "sub/a.yaml": "add-files: [[f, usr/a]]\npostprocess-script: post.sh\n"
        "check-passwd: {type: file, filename: passwd}\ncheck-groups: {type: file, filename: group}",
        "f": "", "sub/f": "", "sub/post.sh": "", "passwd": "", "sub/passwd": "", "sub/group": "",
    }  # fmt: skip
    assert refused(tmp_path, files) == ("sub/a.yaml", 2)  # the script can't be executed
    (tmp_path / "sub/post.sh").chmod(0o755)
    externals = given(tmp_path, files).externals
    assert externals.add_files == (tmp_path / "sub/f", tmp_path / "f")
    assert externals.postprocess_script == tmp_path / "sub/post.sh"
    assert (externals.passwd, externals.group) == (tmp_path / "passwd", tmp_path / "sub/group")
    files["t.yaml"] += "\ncheck-groups: {type: none}"
    assert given(tmp_path, files).externals.group is None
    assert str(tmp_path) not in load(tmp_path / "t.yaml", basearch="x86_64").to_text()
    (tmp_path / "sub/f").unlink()
    assert refused(tmp_path, {"t.yaml": files["t.yaml"]}) == ("sub/a.yaml", 1)


def test_programs_that_finalize_are_found_beside_each_file(tmp_path: Path) -> None:
    files = {
        "t.yaml": "include: sub/a.yaml", "sub/a.yaml": "", "finalize.d/20-both": "t", "finalize.d/README": "",
        "sub/finalize.d/20-both": "a", "sub/finalize.d/10-one": "",
    }  # fmt: skip
    given(tmp_path, files)
    for name in ("finalize.d/20-both", "sub/finalize.d/20-both", "sub/finalize.d/10-one"):
        (tmp_path / name).chmod(0o755)
    found = given(tmp_path, files).externals.finalize
    assert found == {"10-one": tmp_path / "sub/finalize.d/10-one", "20-both": tmp_path / "finalize.d/20-both"}
    (tmp_path / "finalize.d/30-pipe").symlink_to("nothing")
    assert refused(tmp_path, files)[0] == "finalize.d/30-pipe"


def test_variables(tmp_path: Path) -> None:
    files = {
        "t.yaml": "include: [a.yaml, b.yaml]\nref: ${x}/${y}/${z}/${releasever}/${basearch}\nvariables: {x: t}",
        "a.yaml": "variables: {x: a, y: a}",
        "b.yaml": "variables: {x: b, y: b, z: 3}\nreleasever: 36\nmetadata: {m: '${x}', n: '$x ${', o: 1}",
    }
    loaded = given(tmp_path, files)
    assert loaded.treefile.ref == "t/a/3/36/x86_64"
    assert loaded.treefile.metadata == {"m": "t", "n": "$x ${", "o": 1}
    # A value is not looked at again, and what comes out is checked.
    assert refused(tmp_path, {"t.yaml": "ref: ${a}\nvariables: {a: '${basearch}'}"}) == ("t.yaml", 1)
    assert refused(tmp_path, {"t.yaml": "ref: ${a}\nvariables: {a: b c}"}) == ("t.yaml", 1)
    assert given(tmp_path, {"t.yaml": "ref: ${a}\nvariables: {a: b}"}).treefile.ref == "b"
    # The place of an undefined one is where the text is, in whichever file.
    files["b.yaml"] = "metadata:\n  m: '${q}'\nreleasever: 36\nvariables: {z: 3}"
    assert refused(tmp_path, files) == ("b.yaml", 2)


def test_the_document_does_not_depend_on_the_directory(tmp_path: Path) -> None:
    files = {"t.yaml": "include: a.yaml\nref: x\npackages: [b, a]", "a.yaml": "add-files: [[f, usr/f]]", "f": ""}
    one, two = given(tmp_path / "one", files), given(tmp_path / "two", files)
    assert one.to_text() == two.to_text()
    assert one.externals != two.externals
