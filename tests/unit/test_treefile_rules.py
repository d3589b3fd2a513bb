# SPDX-License-Identifier: GPL-2.0-or-later
"""Tables against rpm-ostree's reference of treefiles: names, defaults, rules of merging, substitution, what is refused.

Conditions, spellings and includes have theirs in test_treefile_language and test_treefile_include, versions in
test_versioning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compose import kickstart_packages, plan
from compose.inputhash import input_hash
from compose.kickstart_packages import MAX_INCLUDES
from compose.layer import KNOWN
from compose.load import LoadedTreefile, load
from compose.merge import RULES
from compose.options import TreeOptions
from compose.treefile import Merge, Treefile
from rpmtree.errors import ConfigError
from rpmtree.progress import Reporter

#: Key → default, as a document has it, and rule of merging: all of section 1.2 of the reference.
KEYS: dict[str, tuple[Any, Merge]] = {
    "edition": ("2014", Merge.FIRST), "ref": (None, Merge.FIRST), "metadata": ({}, Merge.MAP),
    "gpg-key": (None, Merge.FIRST), "basearch": (None, Merge.FIRST), "releasever": (None, Merge.FIRST),
    "variables": ({}, Merge.MAP), "repovars": ({}, Merge.MAP), "rojig": (None, Merge.FIRST),
    "repos": ([], Merge.LIST), "lockfile-repos": ([], Merge.LIST), "selinux": (True, Merge.FIRST),
    "selinux-label-version": (0, Merge.FIRST), "ignore-devices": (True, Merge.FIRST),
    "sysusers": ("compose-auto", Merge.FIRST), "ima": (False, Merge.FIRST), "include": ([], Merge.CONSUMED),
    "arch-include": ({}, Merge.CONSUMED), "conditional-include": ([], Merge.CONSUMED), "packages": ([], Merge.SET),
    "repo-packages": ([], Merge.ROUTES), "exclude-packages": ([], Merge.LIST), "ostree-layers": ([], Merge.LIST),
    "ostree-override-layers": ([], Merge.LIST), "platform-module": (None, Merge.FIRST),
    "container": (False, Merge.FIRST), "recommends": (True, Merge.FIRST), "documentation": (True, Merge.FIRST),
    "install-langs": (None, Merge.LIST), "initramfs-args": ([], Merge.LIST), "no-initramfs": (False, Merge.FIRST),
    "readonly-executables": (False, Merge.FIRST), "boot-location": ("new", Merge.FIRST),
    "tmp-is-dir": (False, Merge.FIRST), "opt-usrlocal": ("var", Merge.FIRST), "units": ([], Merge.LIST),
    "default-target": (None, Merge.FIRST), "machineid-compat": (True, Merge.FIRST),
    "automatic-version-prefix": (None, Merge.FIRST), "automatic-version-suffix": (".", Merge.FIRST),
    "mutate-os-release": (None, Merge.FIRST), "etc-group-members": ([], Merge.LIST),
    "preserve-passwd": (True, Merge.FIRST), "check-passwd": ({"type": "previous"}, Merge.FIRST),
    "check-groups": ({"type": "previous"}, Merge.FIRST), "ignore-removed-users": ([], Merge.SET),
    "ignore-removed-groups": ([], Merge.SET), "postprocess-script": (None, Merge.FIRST),
    "postprocess": ([], Merge.LIST), "add-files": ([], Merge.LIST), "remove-files": ([], Merge.LIST),
    "remove-from-packages": ([], Merge.LIST), "add-commit-metadata": ({}, Merge.MAP),
    "repo-metadata": ("inline", Merge.FIRST), "advisories-metadata": ("inline", Merge.FIRST),
    "rpmdb": ("target", Merge.FIRST), "rpmdb-normalize": (False, Merge.FIRST), "container-cmd": (None, Merge.FIRST),
    "cliwrap": (False, Merge.FIRST), "cliwrap-binaries": ([], Merge.LIST),
}  # fmt: skip
#: Keys that the reference does not have: two of ours, and one that went.
OTHERS = {"osname", "scriptlets", "modules"}


def given(directory: Path, text: str, name: str = "t.yaml", **files: str) -> LoadedTreefile:
    for other, content in {name: text, **files}.items():
        (directory / other).write_text(content)
    return load(directory / name, basearch="x86_64")


def test_there_is_each_key_and_no_other() -> None:
    assert set(KEYS) | OTHERS == KNOWN


@pytest.mark.parametrize("key", KEYS)
def test_defaults_and_rules_are_those_of_the_reference(key: str) -> None:
    default, rule = KEYS[key]
    document = Treefile().model_dump(mode="json", by_alias=True)
    found = document[key]
    if isinstance(found, dict):
        found = {inner: value for inner, value in found.items() if value is not None}
    assert (found, RULES[key.replace("-", "_")]) == (default, rule)


@pytest.mark.parametrize(
    ("name", "text", "strict"),
    [
        ("t.yaml", "ref: a\nodd: 1", True), ("t.yml", "ref: a\nodd: 1", True),
        ("t.json", '{"ref": "a", "odd": 1}', False),
        ("t", '{"ref": "a", "odd": 1}', False), ("t.YAML", '{"ref": "a", "odd": 1}', False),
        ("t.ks", "%packages\na\n%end\n%odd", True),
    ],
)  # fmt: skip
def test_the_name_decides_how_a_file_is_read(tmp_path: Path, name: str, text: str, strict: bool) -> None:
    if strict:
        with pytest.raises(ConfigError):
            given(tmp_path, text, name)
        assert given(tmp_path, text[: text.index("\n%odd" if name == "t.ks" else "\nodd")], name).files
    else:
        (notice,) = given(tmp_path, text, name).warnings
        assert "odd" in notice.message


@pytest.mark.parametrize("name", ["t.json", "t", "t.YAML"])
def test_yaml_is_no_json(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        given(tmp_path, "ref: a", name)


@pytest.mark.parametrize("key", sorted(key for key in KEYS if "-" in key))
def test_underscores_are_for_old_keys_alone(tmp_path: Path, key: str) -> None:
    old = {"gpg-key", "boot-location", "default-target", "automatic-version-prefix"}
    if key in old:
        value = "modules" if key == "boot-location" else "x"
        assert given(tmp_path, f"{key.replace('-', '_')}: {value}").to_json() == {key: value}
        return
    with pytest.raises(ConfigError) as caught:
        given(tmp_path, f"{key.replace('-', '_')}: x")
    assert caught.value.hint == f"did you mean {key}?"


TEXT = "${v}/${n}/${b}/${basearch}/${releasever}"
PUT_IN = "x/7/true/x86_64/41"
SUBSTITUTED: list[tuple[str, Any, Any]] = [
    ("ref", TEXT, PUT_IN),
    ("rojig", {"name": TEXT, "summary": TEXT, "description": TEXT, "license": TEXT},
     {"name": PUT_IN, "summary": PUT_IN, "description": PUT_IN, "license": TEXT}),
    ("metadata", {"a": TEXT, "b": [TEXT], "c": {"d": TEXT}, "${v}": 1},
     {"a": PUT_IN, "b": [TEXT], "c": {"d": TEXT}, "${v}": 1}),
    ("add-commit-metadata", {"a": TEXT, "b": [TEXT], "c": 2}, {"a": PUT_IN, "b": [TEXT], "c": 2}),
    ("automatic-version-prefix", f"{TEXT}.<date:%Y>", f"{PUT_IN}.<date:%Y>"),
    ("mutate-os-release", TEXT, PUT_IN),
    ("platform-module", TEXT, PUT_IN),
    # And nowhere else.
    ("packages", ["a${v}"], ["a${v}"]),
    ("postprocess", ["#!/bin/sh\necho ${v}"], ["#!/bin/sh\necho ${v}"]),
    ("container-cmd", ["${v}"], ["${v}"]),
    ("remove-files", ["usr/${v}"], ["usr/${v}"]),
    ("gpg-key", "${v}", "${v}"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "expected"), SUBSTITUTED)
def test_substitution(tmp_path: Path, key: str, value: Any, expected: Any) -> None:
    document = {"variables": {"v": "x", "n": 7, "b": True}, "releasever": 41, key: value}
    printed = given(tmp_path, json.dumps(document)).to_json()
    assert {name: printed[name] for name in printed.keys() - {"releasever"}} == {key: expected}
    if expected != value:
        with pytest.raises(ConfigError, match="undefined variable"):
            given(tmp_path, json.dumps({key: value}))


def test_what_goes_into_the_digest_of_inputs(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        return input_hash(given(tmp_path, f"ref: a${{v}}\npackages: [p]\n{text}").to_json(), (), ())

    usual = digest("variables: {v: 1}")
    # Of variables only what comes of them; of data for other tools, layers and repositories' variables nothing.
    assert digest("variables: {v: 1, w: 2}\nrepovars: {a: b}\nmetadata: {m: 1}\nostree-layers: [l]") == usual
    assert digest("variables: {v: 2}") != usual
    assert digest("variables: {v: 1}\npostprocess: ['#!/bin/sh']") != usual


def test_many_includes_of_a_kickstart_file() -> None:
    text = "%include a.ks\n" * MAX_INCLUDES
    node = kickstart_packages.parse(text, "t.ks")
    assert isinstance(node.value, dict)
    with pytest.raises(ConfigError) as caught:
        kickstart_packages.parse(text + "%include b.ks\n", "t.ks")
    assert caught.value.place is not None
    assert caught.value.place.line == MAX_INCLUDES + 1


DATA = "data, entries: {root: 0}"


@pytest.mark.parametrize(
    ("users", "groups", "key"),
    [
        (DATA, "previous", "check-passwd"), ("previous", DATA, "check-groups"), (DATA, "none", "check-passwd"),
        (DATA, DATA, None), ("none", "previous", None),
    ],
)  # fmt: skip
def test_users_and_groups_come_from_the_same_place(tmp_path: Path, users: str, groups: str, key: str | None) -> None:
    text = f"ref: a\ncheck-passwd: {{type: {users}}}\ncheck-groups: {{type: {groups}}}\n"
    loaded = given(tmp_path, text)  # it can be printed
    if key is None:
        plan.check_seeds(loaded)
        return
    with pytest.raises(ConfigError) as caught:
        plan.check_seeds(loaded)
    assert caught.value.place == loaded.places[key]
    plan.check_seeds(given(tmp_path, f"{text}container: true"))


@pytest.mark.parametrize(("text", "line"), [("ref: a", 1), ("ref: a\nrepos: []", 2), ("ref: a\nrepos: [none]", 2)])
def test_repositories_must_be_there(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "some.repo").write_text("[some]\nname=some\nbaseurl=file:///some\ngpgcheck=0\n")
    options = TreeOptions(tmp_path / "t.yaml")
    with pytest.raises(ConfigError) as caught:
        plan.repositories(given(tmp_path, text), options, "x86_64", Reporter())
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == (str(tmp_path / "t.yaml"), line)
    (found,) = plan.repositories(given(tmp_path, "repos: [some]"), options, "x86_64", Reporter())
    assert found.id == "some"


@pytest.mark.parametrize(
    "text",
    [
        "repovars: {basearch: x}", "repovars: {releasever: x}", "advisories-metadata: some", "edition: 2014.5",
        "automatic-version-suffix: ''", "ima: 1", "container-cmd: /bin/sh", "ostree-layers: [\"a\\nb\"]",
        "lockfile-repos: [a/b]", "check-groups: {type: file}", "etc-group-members: ['a:b']",
        "ignore-removed-users: ['a:b']",
        "check-groups: {type: data, entries: {'a:b': 0}}", "documentation: 'no'",
        "ignore-removed-groups: '*'", "initramfs-args: [3]", "add-files: [[a]]", "add-files: [[a, usr/b, c]]",
        "rojig: {nme: a}", "rojig: a", "modules: [a]", "modules: {enable: a}", "boot-location: both", "ref: ''",
    ],
)  # fmt: skip
def test_other_values_that_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        given(tmp_path, text)
    assert caught.value.place is not None
    assert caught.value.place.line == 1
