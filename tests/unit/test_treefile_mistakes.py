# SPDX-License-Identifier: GPL-2.0-or-later
"""Mistakes planted in treefiles: each is refused in its place, all of them at once, in no time, and with what to do."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from compose.include import MAX_FILES, MAX_VALUES
from compose.load import LoadedTreefile, load
from rpmtree.errors import ConfigError

#: Seconds of CPU for a refusal where others use the machine; alone, the longest takes a third of it.
SOON = 0.5
MANY = 900_000


def write(top: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files, and give the path of the first."""
    for name, text in files.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return top / next(iter(files))


def given(top: Path, files: Mapping[str, str | bytes]) -> LoadedTreefile:
    """Write files and load the first, confined to its directory."""
    return load(write(top, files), basearch="x86_64", within=[top])


def refused(top: Path, files: Mapping[str, str | bytes], within: float = SOON) -> list[str]:
    """The lines of the error, each with its place first; the directory is left out."""
    path = write(top, files)
    for _ in range(3):  # a busy machine is slow now and then, a slow parser always
        started = time.process_time()
        with pytest.raises(ConfigError) as caught:
            load(path, basearch="x86_64", within=[top])
        taken = time.process_time() - started
        if taken < within:
            break
    assert taken < within
    error = caught.value
    first = f"{error.place}: {error.message} ({error.hint})"
    lines = [line.replace(f"{top}/", "") for line in (first, *(error.detail or "").splitlines())]
    assert all(line.isprintable() and len(line) < 1500 for line in lines)
    return lines


def places(lines: list[str]) -> list[str]:
    return [line.split(": ")[0] for line in lines]


def at_once(top: Path, text: str | bytes, *expected: str, name: str = "t.yaml") -> list[str]:
    """Refuse one file; `expected` are line and column of each problem."""
    lines = refused(top, {name: text})
    assert places(lines) == [f"{name}:{place}" for place in expected]
    return lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ref: a\nref: b\nselinux: 1\nref: c\npakages: [a]\n", ["2:1", "3:10", "4:1", "5:1"]),
        ("ref: ${a}\nref: b\nmetadata: {x: !t 1}\nunits: [a]\nmachineid-compat: false", ["1:6", "2:1", "3:15", "4:8"]),
        ("metadata: {a: 1, a: 2}\nvariables: {b: 1, b: 2}\n", ["1:18", "2:19"]),
        ("ref: !foo a\npackages: !!set {a, b}\nosname: !!str x\n", ["1:6", "2:11", "3:9"]),
        ("metadata:\n  <<: {a: b}\n  <<: {c: d}\nunits: x", ["2:3", "3:3", "4:8"]),
        ("packages: &a [x, *a]\nosname: *nothing\nselinux: 3", ["1:18", "2:9", "3:10"]),
        ("[a]: b\n{c: d}: e\nselinux: 3", ["1:1", "2:1", "3:10"]),
        ("ref: a\r\npackages:\r\n- a\r\n- 1\r\nselinux: 3\r\n", ["4:3", "5:10"]),
        ("ref: a\rselinux: 3\r", ["2:10"]),
        (b"\xef\xbb\xbfref: 3\nselinux: 3", ["1:6", "2:10"]),
        ("ref: a\n".encode("utf-16"), ["1:1"]),
        (b"ref: a\x00b\nosname: \x07\n", ["1:7", "2:9"]),
        ('ref: "a\\0b"\nosname: "\\0"\nselinux: 3', ["1:6", "2:9", "3:10"]),
        ('ref: "a\u202eb"\nosname: a\u200b\npackages: ["a\u2066"]\n', ["1:6", "2:9", "3:11"]),
        ('osname: "a\u2028b"\nref: "x\u0085y"\nselinux: 1', ["1:9", "3:6", "5:10"]),  # YAML 1.1 ends a line at both
        ("releasever: " + "9" * 30 + "\nvariables: {a: " + "1" * MANY + "}", ["1:13", "2:16"]),
        ("edition: true\nselinux-label-version: true\nreleasever: false\n", ["1:10", "2:24", "3:13"]),
        ("variables: {a: -1}\ncheck-groups: {type: data, entries: {a: 4294967295}}", ["1:16", "2:41"]),
        ("3: x\ntrue: y\nnull: z\n~: q\n'': r\n' ': s\n", ["1:1", "2:1", "3:1", "4:1", "5:1", "6:1"]),
        ("packages:\n" + "- 1\n" * 30, [f"{line}:3" for line in range(2, 23)]),
        ("remove-from-packages: [[a, '" + "(" * 900 + "'], [a, 'a{99999999999999999999}'], [a, 'b{3}'], [a, "
         + "b" * 1001 + "]]", ["1:24", "1:933", "1:978"]),
        ("automatic-version-prefix: '<date:%>'", ["1:27"]),
        ("metadata: {'': 1, \"a\\nb\": 2, c: 3}", ["1:12", "1:19"]),
        ("ref: ${a}\nautomatic-version-prefix: ${b}\nunits: [a]\nmachineid-compat: false\nbasearch: s390x\n"
         "metadata: {c: '${d}'}", ["1:6", "2:27", "3:8", "5:11", "6:15"]),
        # One for files that are named, and one for what is in the file.
        ("selinux: yes\nadd-files: [[none, usr/a], [none, var/a]]\npostprocess-script: none.sh\ninclude: none.yaml\n"
         "check-passwd: {type: file, filename: none}\narch-include: {x86_64: [none.yaml, s390x.yaml]}",
         ["1:10", "2:35", "3:21", "4:10", "5:38", "6:25", "6:36"]),
        ("variables: {a: 1}\nconditional-include:\n- {if: a = 1, include: {}}\n- {if: [a == 2, b == 1], include: {}}\n"
         "- {if: a == 1, include: [none.yaml]}\n- {if: a == 1, include: {selinux: 3, units: [a/b]}}",
         ["3:8", "5:26", "6:35", "6:46"]),
    ],
)  # fmt: skip
def test_all_mistakes_of_a_file_at_once(tmp_path: Path, text: str | bytes, expected: list[str]) -> None:
    lines = refused(tmp_path, {"t.yaml": text})
    found = places(lines)
    if len(expected) > 20:
        assert lines[-1] == "… and 9 more"
        found, expected = found[:-1], expected[:21]
    assert found == [f"t.yaml:{place}" for place in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"ref": "a", "ref": "b", "selinux": 1, "metadata": {"y": 1, "y": 2}}', ["1:14", "1:37", "1:61"]),
        ('{"ref": "\\ud800", "osname": "\\u0000", "\\udfff": 1, "selinux": 1}', ["1:9", "1:29", "1:39", "1:63"]),
        ('{"metadata": {"a": 1e999, "b": 99999999999999999999999}, "selinux": 1}', ["1:20", "1:32", "1:69"]),
        ('{"releasever": 1.5, "selinux-label-version": 1.0, "edition": 2024.0}', ["1:16", "1:46", "1:62"]),
        ('{"ref": "a" /* no */, "selinux": 1}', ["1:13"]),
    ],
)
def test_in_json_too(tmp_path: Path, text: str, expected: list[str]) -> None:
    at_once(tmp_path, text, *expected, name="t.json")


def test_mistakes_of_several_files_come_together(tmp_path: Path) -> None:
    files = {
        "t.yaml": "include: [a.yaml, b.json, c.ks, none.yaml]\nselinux: 3\nref: ${q}",
        "a.yaml": "units: x\ninclude: [d.yaml]", "b.json": '{"ref": "a",}', "c.ks": "%packages\n%post\n%end\n",
        "d.yaml": "osname: [x]",
    }  # fmt: skip
    expected = ["t.yaml:1:33", "t.yaml:2:10", "a.yaml:1:8", "d.yaml:1:9", "b.json:1:13", "c.ks:2:1"]
    assert places(refused(tmp_path, files)) == expected
    # What is undefined is told when all could be read: it may stand where nothing could be.
    files |= {"t.yaml": "include: [a.yaml]\nselinux: 3\nref: ${q}", "a.yaml": "units: x"}
    assert places(refused(tmp_path, files)) == ["t.yaml:2:10", "t.yaml:3:6", "a.yaml:1:8"]
    for hidden, place in (
        ("variables: {q: -1}", "1:16"),
        ("variables: {q: *x}", "1:16"),
        ("variables: {<<: {q: 1}}", "1:13"),
    ):
        files["a.yaml"] = hidden
        assert places(refused(tmp_path, files)) == ["t.yaml:2:10", f"a.yaml:{place}"]
    files["a.yaml"] = "units: [*x]\nvariables: {p: 1}"
    assert places(refused(tmp_path, files)) == ["t.yaml:2:10", "t.yaml:3:6", "a.yaml:1:9"]
    assert given(tmp_path, {"t.yaml": "include: a.yaml\nref: ${q}", "a.yaml": "variables: {q: 1}"}).treefile.ref == "1"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("pacakges: [a]", "packages"), ("repo: [b]", "repos"), ("selinx: true", "selinux"),
        ("automatic_version_prefx: a", "automatic-version-prefix"), ("boot-location: modlues", "modules"),
        ("opt-usrlocal: state-overly", "state-overlay"), ("sysusers: compose-aut", "compose-auto"),
        ("check-passwd: {typ: none}", "type"), ("scriptlets: {a: {skpi: [pre]}}", "skip"),
        ("scriptlets: {a: {skip: [pots]}}", "post"), ("repo-packages: [{repos: a, packages: [b]}]", "repo"),
        ("conditional-include: [{iff: x, include: {}}]", "if"), ("rojig: {summry: a}", "summary"),
        ("modules: {enabled: [a]}", "enable"), ("repo-metadata: detach", "detached"),
        ("ref: ${basearhc}", "basearch"), ("osname: &name a\nref: *nmae", "name"),
        ("variables: {my_stream: 1}\nref: ${my_sream}", "my_stream"),
        ("conditional-include: [{if: basarch == 1, include: {}}]", "basearch"),
        ("p\u0430ckages: [a]", "packages"),  # a letter that only looks like one of it
    ],
)  # fmt: skip
def test_the_nearest_spelling_is_named(tmp_path: Path, text: str, hint: str) -> None:
    text = "\n".join(refused(tmp_path, {"t.yaml": text}))
    assert re.search(rf"did you mean \*?{hint}\?", text)
    assert text.isascii()


def test_json_names_the_nearest_spelling_and_goes_on(tmp_path: Path) -> None:
    text = '{"pakages": ["a"], "check-passwd": {"type": "none", "flename": "b"}, "p\u0430ckages": 1, "odd": 1}'
    notices = given(tmp_path, {"t.json": text}).warnings
    told = {notice.place.column: notice.hint for notice in notices}
    assert told == {2: "did you mean packages?", 53: "did you mean filename?", 70: "did you mean packages?", 85: None}
    assert all(notice.message.isascii() for notice in notices)


def test_architectures_that_nobody_knows_are_noticed(tmp_path: Path) -> None:
    text = "arch-include: {x86-64: a.yaml, s390x: b.yaml}\npackages-arm64: [a]\npackages-aarch64: [a]"
    first, second = given(tmp_path, {"t.yaml": text}).warnings
    assert (first.place.column, first.hint) == (16, "did you mean arch-include.x86_64?")
    assert (second.place.line, second.place.column) == (2, 1)


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("t.yaml", "metadata: " + "[" * 70 + "]" * 70, "1:75"),
        ("t.yaml", "metadata: " + "[" * 3000, "1:75"),
        ("t.json", '{"metadata": ' + "[" * 3000, "1:78"),
        ("t.yaml", "packages:\n" + "- a\n" * 100_000, "9999:3"),
        ("t.yaml", "packages:\n" + "- 1\n" * 9_000, "2:3"),
        ("t.yaml", "".join(f"key{number}: 1\n" for number in range(4_900)), "1:1"),
        ("t.yaml", "a" * MANY + ": 1", f"1:{MANY + 1}"),
        ("t.yaml", "ref: " + "a" * MANY, "1:6"),
        ("t.yaml", "ref: '" + "${" * (MANY // 2) + "'", "1:6"),
        ("t.yaml", "# " + "a" * 2_000_000, "1:1"),
        ("t.yaml", 'packages: ["' + "'" * MANY + '"]', "1:11"),
        ("t.yaml", "conditional-include: [{if: '" + " " * MANY + "', include: {}}]", "1:28"),
        ("t.yaml", "conditional-include: [{if: 'a ==" + " " * MANY + "b', include: {}}]", "1:28"),
        ("t.yaml", "conditional-include:\n" + "- {if: a == 1, include: {}}\n" * 1200, "2:8"),
        ("t.yaml", "variables: {a: " + "x" * 60_000 + "}\nmetadata: {a: '${a}', b: '${a}${a}'}", "2:26"),
        ("t.yaml", "automatic-version-prefix: '<date:" + "%Y" * 50_000 + ">'", "1:27"),
        ("t.yaml", "remove-from-packages: [[a, '" + "(a|b)?" * 50_000 + "']]", "1:24"),
        ("t.json", '{"a": "' + "\\\\" * 400_000, "1:7"),
        ("t.json", '"' * MANY, "1:3"),
        ("t.json", '{"ref"' + " " * MANY, f"1:{MANY + 7}"),
        ("t.ks", "%packages\n" + "a\n" * 500_000, "10001:1"),
        ("t.ks", "%packages\n\x00\n%end\n", "2:1"),
    ],
)  # fmt: skip
def test_what_is_too_much_is_refused_soon(tmp_path: Path, name: str, text: str, place: str) -> None:
    assert refused(tmp_path, {name: text})[0].startswith(f"{name}:{place}: ")


def test_too_many_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    names = [f"{number}.yaml" for number in range(1000)]
    for files in ({}, dict.fromkeys(names, "")):
        (line,) = refused(tmp_path, {"t.yaml": f"include: [{', '.join(names)}]", **files})
        assert f"more than {MAX_FILES}" in line
    assert len(given(tmp_path, {"t.yaml": f"include: [{', '.join(names[: MAX_FILES - 1])}]"}).files) == MAX_FILES


def test_too_much_in_all_files_together(tmp_path: Path) -> None:
    full = "packages: [" + "a," * 9_900 + "a]"
    names = [f"{number}.yaml" for number in range(MAX_VALUES // 9_900 + 5)]
    files = {"t.yaml": f"include: [{', '.join(names)}]", **dict.fromkeys(names, full)}
    (line,) = refused(tmp_path, files, within=4 * SOON)
    assert f"more than {MAX_VALUES} values" in line


@pytest.mark.parametrize(
    "text",
    [
        "include: https://host/a.yaml", "include: file:///etc/passwd", "include: ../out.yaml", "include: /etc/passwd",
        "include: link.yaml", "include: fifo.yaml", "include: /proc/self/fd/0", "include: /dev/zero",
        "include: /proc/self/environ", "include: dir", "include: dir/../../out.yaml", "include: ''",
        "include: \"a\\nb\"", "add-files: [[../out.yaml, usr/a]]", "add-files: [[link.yaml, usr/a]]",
        "add-files: [[fifo.yaml, usr/a]]", "add-files: [['http://host/a', usr/a]]", "postprocess-script: /bin/sh",
        "postprocess-script: link.yaml", "check-passwd: {type: file, filename: /etc/passwd}",
        "check-groups: {type: file, filename: link.yaml}", "arch-include: {x86_64: /etc/passwd}",
        "conditional-include: [{if: basearch == \"x86_64\", include: /etc/passwd}]",
        "conditional-include: [{if: basearch == \"x86_64\", include: {include: link.yaml}}]", "include: t.yaml",
    ],
)  # fmt: skip
def test_nothing_outside_is_read(tmp_path: Path, text: str) -> None:
    top = tmp_path / "in"
    (top / "dir").mkdir(parents=True)
    (tmp_path / "out.yaml").write_text("ref: out")
    (top / "link.yaml").symlink_to("../out.yaml")
    os.mkfifo(top / "fifo.yaml")
    (line,) = refused(top, {"t.yaml": text})
    assert line.startswith("t.yaml:1:")
    (top / "inner.yaml").symlink_to("dir/good.yaml")  # the control: a link that stays inside
    assert given(top, {"t.yaml": "include: inner.yaml", "dir/good.yaml": "ref: in"}).treefile.ref == "in"
