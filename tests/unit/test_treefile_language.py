# SPDX-License-Identifier: GPL-2.0-or-later
"""What rpm-ostree's reference says of a treefile's language, a case a rule: conditions, spellings, what is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose import kickstart_packages
from compose.conditions import holds
from compose.load import LoadedTreefile, load
from compose.variables import UndefinedVariable, Value
from rpmtree.errors import ConfigError
from rpmtree.problems import Notice

VARIABLES: dict[str, Value] = {"basearch": "x86_64", "releasever": 41, "prod": False, "stream": "next", "n": 0}

CONDITIONS = [
    ('basearch == "x86_64"', True), ('basearch != "x86_64"', False), ('basearch=="s390x"', False),
    ("releasever >= 41", True), ("releasever > 41", False), ("releasever<42", True), ("releasever <= 40", False),
    ("releasever == 41", True), ("releasever != 41", False), ("n == 0", True), ("n < 1", True),
    ("prod == false", True), ("prod == true", False), ("prod != true", True),
    ('stream == "next"', True), ('stream != ""', True), ('  stream  ==  "next"  ', True), ('stream == "a b"', False),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS)
def test_a_condition_holds_or_not(condition: str, expected: bool) -> None:
    assert holds(condition, VARIABLES) is expected


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "invalid condition"), ("prod", "invalid condition"), ("prod ==", "expected true, false, digits"),
        ("prod == maybe", "expected true, false, digits"), ('stream == "a', "expected true, false, digits"),
        ("stream == 'next'", "expected true, false, digits"), ('stream == "a" "b"', "expected true, false, digits"),
        ("prod = false", "expected one of =="), ("prod =! false", "expected one of =="),
        ("prod === false", "expected one of =="), ("a-b == 1", "expected one of =="), ("n == -1", "expected"),
        ('releasever == "41"', "not same type"), ("stream == 3", "not same type"), ("prod == 0", "not same type"),
        ("n == false", "not same type"), ('stream < "z"', "invalid op for values"), ("prod < true", "invalid op"),
        ("nothing == 1", "undefined variable 'nothing'"), ("n == 99999999999999999999999", "expected"),
    ],
)  # fmt: skip
def test_a_condition_that_is_none(condition: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", "[(]")):
        holds(condition, VARIABLES)


def test_an_undefined_variable_is_told_with_those_that_are() -> None:
    with pytest.raises(UndefinedVariable) as caught:
        holds("prd == true", VARIABLES)
    assert "prod" in str(caught.value.hint)


def given(directory: Path, files: dict[str, str], basearch: str = "x86_64") -> LoadedTreefile:
    """Write files and load the first."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return load(directory / next(iter(files)), basearch=basearch)


def refused(directory: Path, files: dict[str, str]) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        given(directory, files)
    assert caught.value.place is not None
    return caught.value


SIDES = {"one.yaml": "repos: [one]\nref: one", "two.yaml": "repos: [two]\nref: two"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arch-include: {x86_64: one.yaml, s390x: two.yaml}", ["one"]),
        ("arch-include: {x86_64: [one.yaml, two.yaml]}", ["two", "one"]),
        ("arch-include: {s390x: [one.yaml, no-such.yaml]}", []),
        ('conditional-include: [{if: basearch == "x86_64", include: one.yaml}]', ["one"]),
        ('conditional-include: [{if: basearch == "s390x", include: no-such.yaml}]', []),
        ("releasever: 41\nconditional-include: [{if: releasever >= 41, include: [one.yaml, two.yaml]}]",
         ["two", "one"]),
        ("variables: {a: true}\nconditional-include: [{if: [a == true, a != false], include: one.yaml}]", ["one"]),
        ("variables: {a: true}\nconditional-include: [{if: [a == true, a == false], include: one.yaml}]", []),
        ("variables: {a: 1}\nconditional-include: [{if: a < 2, include: {repos: [body], ref: body}}]", ["body"]),
        # Order: a body in the file goes before what is included, that before what an architecture or condition adds.
        ("include: one.yaml\narch-include: {x86_64: two.yaml}\nvariables: {a: 1}\n"
         "conditional-include: [{if: a == 1, include: {repos: [body], ref: body}}]", ["two", "one", "body"]),
        ("include: [one.yaml]\nvariables: {a: 1}\nconditional-include: [{if: a == 1, include: two.yaml}]",
         ["two", "one"]),
    ],
)  # fmt: skip
def test_includes_with_conditions(tmp_path: Path, text: str, expected: list[str]) -> None:
    loaded = given(tmp_path, {"t.yaml": text, **SIDES})
    assert loaded.to_json().get("repos", []) == expected
    assert loaded.treefile.ref == (expected[-1] if expected else None)
    assert not {"variables", "arch-include", "conditional-include", "include"} & loaded.to_json().keys()


def test_a_body_is_a_treefile(tmp_path: Path) -> None:
    body = "{packages: [a b], packages-x86_64: [c], packages-s390x: [d], include: sub/one.yaml, variables: {v: 1}}"
    files = {
        "t.yaml": f"variables: {{a: 1}}\nref: r${{v}}\nconditional-include:\n- {{if: a == 1, include: {body}}}",
        "sub/one.yaml": "repos: [one]",
    }
    loaded = given(tmp_path, files)
    assert (loaded.treefile.packages, loaded.treefile.repos, loaded.treefile.ref) == (("a", "b", "c"), ("one",), "r1")
    assert [path.name for path in loaded.files] == ["one.yaml", "t.yaml"]
    files["t.yaml"] = "variables: {a: 1}\nconditional-include:\n- if: a == 1\n  include:\n    pakages: [a]"
    error = refused(tmp_path, files)
    assert (error.place.line, error.place.column, error.hint) == (5, 5, "did you mean packages?")  # type: ignore[union-attr]


def test_variables_that_conditions_see(tmp_path: Path) -> None:
    wants = "conditional-include: [{if: v == 1, include: {ref: yes-it-is}}]"
    # A file's own, those of who includes it, of earlier siblings, and of what it includes itself.
    assert given(tmp_path, {"t.yaml": f"variables: {{v: 1}}\n{wants}"}).treefile.ref
    assert given(tmp_path, {"t.yaml": "variables: {v: 1}\ninclude: a.yaml", "a.yaml": wants}).treefile.ref
    siblings = {"a.yaml": "variables: {v: 1}", "b.yaml": wants}
    assert given(tmp_path, {"t.yaml": "include: [a.yaml, b.yaml]", **siblings}).treefile.ref
    assert given(tmp_path, {"t.yaml": f"include: a.yaml\n{wants}", **siblings}).treefile.ref
    # The first definition counts, and a later sibling's comes too late.
    assert not given(tmp_path, {"t.yaml": "variables: {v: 2}\ninclude: [a.yaml, b.yaml]", **siblings}).treefile.ref
    error = refused(tmp_path, {"t.yaml": "include: [b.yaml, a.yaml]", **siblings})
    assert "undefined variable 'v'" in error.message
    assert Path(error.place.file).name == "b.yaml"  # type: ignore[union-attr]
    # All conditions are looked at, whatever became of those before.
    two = "variables: {v: 2}\nconditional-include:\n- {if: v == 1, include: {}}\n- {if: [v == 1, w == 1], include: {}}"
    assert "undefined variable 'w'" in refused(tmp_path, {"t.yaml": two}).message


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("conditional-include: [{include: a.yaml}]", 1, 23),
        ("conditional-include: [{if: n == 1}]", 1, 23),
        ("conditional-include:\n- {if: n = 1, include: {}}", 2, 8),
        ("conditional-include:\n- {if: [n == 1, 'x'], include: {}}", 2, 9),
        ("arch-include: [a.yaml]", 1, 15),
        ("arch-include:\n  x86_64: no-such.yaml", 2, 11),
        ("variables: {basearch: x}", 1, 13),
        ("repovars: {releasever: x}", 1, 12),
        ("repovars: {a-b: x}", 1, 12),
        ("edition: 2020", 1, 10),
        ("selinux-label-version: 2", 1, 24),
        ("sysusers: yes", 1, 11),
        ("rpmdb: mine", 1, 8),
        ("repo-metadata: nowhere", 1, 16),
        ("cliwrap-binaries: [rpm]", 1, 20),
        ("repo-packages: {a: b}", 1, 16),
        ("bootstrap-packages: x", 1, 21),
    ],
)
def test_refused_with_its_place(tmp_path: Path, text: str, line: int, column: int) -> None:
    error = refused(tmp_path, {"t.yaml": text})
    assert (error.place.line, error.place.column) == (line, column)  # type: ignore[union-attr]


WRITTEN: list[tuple[str, dict[str, Any], list[str]]] = [
    ("gpg_key: a", {"gpg-key": "a"}, []),
    ("boot_location: modules", {"boot-location": "modules"}, []),
    ("default_target: a.target", {"default-target": "a.target"}, []),
    ("automatic_version_prefix: '1'", {"automatic-version-prefix": "1"}, []),
    ("jigdo: {name: a}", {"rojig": {"name": "a"}}, []),
    ("bootstrap_packages: [a b]\npackages: [c]", {"packages": ["a", "b", "c"]}, ["bootstrap-packages is deprecated"]),
    ("bootstrap-packages: [a]", {"packages": ["a"]}, ["bootstrap-packages is deprecated"]),
    ("packages:\n", {}, []),
    ("packages: [a]\npackages-x86_64:\nrepos:\n", {"packages": ["a"]}, []),
    ("packages:\n- a\n-\n- b", {"packages": ["a", "b"]}, ["an empty entry of packages is ignored"]),
    ("packages-x86_64:\n- a\n-", {"packages": ["a"]}, ["an empty entry of packages-x86_64 is ignored"]),
    ("packages: [\"a 'b >= 2' c\"]", {"packages": ["a", "b >= 2", "c"]}, []),
    ("packages: ['*-langpack', /usr/bin/x, '@core']", {"packages": ["*-langpack", "/usr/bin/x", "@core"]}, []),
    ("repo-packages: {a: [x y], b: [z]}",
     {"repo-packages": [{"repo": "a", "packages": ["x", "y"]}, {"repo": "b", "packages": ["z"]}]}, []),
    ("repo-packages: {repo: a, packages: [x]}", {"repo-packages": [{"repo": "a", "packages": ["x"]}]}, []),
    ("rpmdb: bdb", {"rpmdb": "target"}, []), ("rpmdb: sqlite", {"rpmdb": "target"}, []),
    ("opt-usrlocal: stateoverlay", {"opt-usrlocal": "state-overlay"}, []),
    ("edition: 2024", {"edition": "2024", "boot-location": "modules", "tmp-is-dir": True}, []),
    ("edition: 2024\ntmp-is-dir: false", {"edition": "2024", "boot-location": "modules", "tmp-is-dir": False}, []),
    ("releasever: 41", {"releasever": "41"}, []),
    ("modules: {enable: [a:1]}", {"modules": {"enable": ["a:1"]}}, ["modules has no effect"]),
    ("cliwrap: true", {"cliwrap": True}, ["cliwrap has no effect"]),
    ("platform-module: 'f${basearch}'", {"platform-module": "fx86_64"}, ["platform-module has no effect"]),
    ("rojig: {name: 'a-${basearch}', license: '${basearch}'}",
     {"rojig": {"name": "a-x86_64", "license": "${basearch}"}}, []),
    ("repovars: {a: b}", {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "notices"), WRITTEN)
def test_how_keys_may_be_written(tmp_path: Path, text: str, expected: dict[str, Any], notices: list[str]) -> None:
    loaded = given(tmp_path, {"t.yaml": text})
    document = loaded.to_json()
    if "packages" in document:
        document["packages"] = list(loaded.treefile.packages)
    assert {key: value for key, value in document.items() if value is not None} == expected
    assert [notice.message for notice in loaded.warnings] == notices


def test_json_says_what_it_ignores(tmp_path: Path) -> None:
    text = json.dumps({"pakages": ["a"], "comment": "x", "conditional-include": [{"if": "n == 1", "include": "a"}]})
    assert "undefined variable" in refused(tmp_path, {"t.json": text}).message
    loaded = given(tmp_path, {"t.json": json.dumps({"pakages": ["a"], "comment": "x"})})
    assert [(notice.message, notice.hint) for notice in loaded.warnings] == [
        ("Unknown field is ignored: pakages", "did you mean packages?")
    ]
    assert isinstance(loaded.warnings[0], Notice)


KICKSTART = """\
# what a lorax template shares with a treefile
%include base.ks
%packages --exclude-weakdeps
bash   # a shell
@core
'podman >= 4'
-nano
%end
"""


def test_kickstart_files_are_treefiles(tmp_path: Path) -> None:
    files = {"t.ks": KICKSTART, "base.ks": "%packages\nvim nano\n%end\n"}
    assert given(tmp_path, files).to_json() == {
        "packages": ["@core", "bash", "nano", "'podman >= 4'", "vim"],
        "exclude-packages": ["nano"],
        "recommends": False,
    }
    assert given(tmp_path, {"t.yaml": "include: k.ks\nref: a", "k.ks": KICKSTART, **files}).treefile.ref == "a"
    assert refused(tmp_path, {"a.ks": "%include b.ks", "b.ks": "%include a.ks"}).message.startswith("Include loop")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("%packages\na", [1]), ("a", [1]), ("%post\n%end", [1, 2]), ("lang en_US", [1]), ("%end", [1]),
        ("%packages --nope\n%end", [1]), ("%include", [1]), ("%include a b", [1]), ("%packages\n%post\n%end", [2]),
        ("%packages\na\n%end\nbootloader\nreboot\n", [4, 5]),
    ],
)  # fmt: skip
def test_other_kickstart_files_are_not(text: str, lines: list[int]) -> None:
    with pytest.raises(ConfigError) as caught:
        kickstart_packages.parse(text, "a.ks")
    assert caught.value.place is not None
    others = [int(line.split(":")[1]) for line in (caught.value.detail or "").splitlines()]
    assert [caught.value.place.line, *others] == lines
