# SPDX-License-Identifier: GPL-2.0-or-later
"""The keys of a single treefile: what each takes, what it refuses and where, and how it is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from compose.keys import DERIVE_ONLY, LEGACY, WITHOUT_EFFECT
from compose.layer import KNOWN
from compose.load import LoadedTreefile, load
from compose.parts import kebab
from compose.treefile import Treefile
from rpmtree.errors import ConfigError
from rpmtree.root.spec import BootLocation, OptUsrLocal, VarPolicy


def given(directory: Path, text: str, name: str = "t.yaml") -> LoadedTreefile:
    (directory / name).write_text(text)
    return load(directory / name, basearch="x86_64")


def refused(directory: Path, text: str, name: str = "t.yaml") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        given(directory, text, name)
    assert caught.value.place is not None
    assert caught.value.place.file == str(directory / name)
    return caught.value


def test_defaults(tmp_path: Path) -> None:
    loaded = given(tmp_path, "ref: a\n")
    treefile = loaded.treefile
    assert (treefile.ref, treefile.selinux, treefile.recommends, treefile.documentation) == ("a", True, True, True)
    assert (treefile.boot_location, treefile.opt_usrlocal) == (BootLocation.NEW, OptUsrLocal.VAR)
    assert (treefile.machineid_compat, treefile.preserve_passwd, treefile.tmp_is_dir) == (True, True, False)
    assert (treefile.check_passwd.type, treefile.automatic_version_suffix) == ("previous", ".")
    assert treefile.install_langs is None
    assert loaded.to_json() == {"ref": "a"}
    assert loaded.warnings == ()


FULL = """\
ref: distro/${basearch}/${releasever}/${stream}
osname: distro
releasever: 36
basearch: x86_64
variables: {stream: stable, beta: false, build: 7}
repos: [base, updates]
packages:
  - bash glibc
  - "'podman >= 4.1' vim"
packages-x86_64: [grub2]
packages-aarch64: [shim]
exclude-packages: [PackageKit]
repo-packages:
  - {repo: updates, packages: [kernel kernel-core]}
selinux: false
documentation: false
install-langs: [en_US, de]
recommends: false
boot-location: modules
tmp-is-dir: true
opt-usrlocal: stateoverlay
initramfs-args: [--no-hostonly]
no-initramfs: true
units: [sshd.service]
default-target: multi-user.target
machineid-compat: true
mutate-os-release: "${releasever}"
automatic-version-prefix: "${releasever}.<date:%Y%m%d>"
automatic-version-suffix: "-"
etc-group-members: [wheel]
preserve-passwd: true
check-passwd: {type: data, entries: {root: 0, bin: [1], daemon: [2, 3]}}
check-groups: {type: none}
ignore-removed-users: [games]
ignore-removed-groups: ["*"]
postprocess:
  - |
    #!/bin/sh
    true
add-files: [[motd, /etc/motd]]
remove-files: [usr/share/info/]
remove-from-packages: [[filesystem, "/usr/share/backgrounds/.*", /x]]
scriptlets:
  bash: {var: tmpfiles, skip: [post, posttrans]}
  vim: {skip: [pre]}
add-commit-metadata: {build: "${build}", beta: "${beta}", deep: {x: "${y}"}, n: 1}
metadata: {name: "${stream}"}
gpg-key: 0123456789ABCDEF
edition: "2024"
arch-include: {s390x: no-such.yaml}
conditional-include: [{if: beta == true, include: no-such.yaml}]
repovars: {mirror: near}
lockfile-repos: [pool]
ostree-layers: [a/b]
ostree-override-layers: [c]
platform-module: "platform:f${releasever}"
modules: {enable: [a:1], install: [b:2/c], disable: [d]}
rojig: {name: "distro-${stream}", summary: a, license: b, description: c}
selinux-label-version: 1
ignore-devices: false
sysusers: compose-forced
ima: true
readonly-executables: true
repo-metadata: detached
advisories-metadata: disabled
rpmdb: host
rpmdb-normalize: true
container-cmd: [/sbin/init, --x]
cliwrap: true
cliwrap-binaries: [kernel-install]
"""


def test_every_key(tmp_path: Path) -> None:
    (tmp_path / "motd").touch()
    loaded = given(tmp_path, FULL)
    treefile = loaded.treefile
    assert treefile.ref == "distro/x86_64/36/stable"
    assert treefile.packages == ("bash", "glibc", "grub2", "podman >= 4.1", "vim")
    assert treefile.repo_packages[0].packages == ("kernel", "kernel-core")
    assert treefile.opt_usrlocal is OptUsrLocal.STATE_OVERLAY
    assert treefile.check_passwd.entries == {"root": (0,), "bin": (1,), "daemon": (2, 3)}
    assert treefile.add_files == (("motd", "etc/motd"),)
    assert loaded.externals.add_files == (tmp_path / "motd",)
    assert treefile.remove_files == ("usr/share/info",)
    assert treefile.remove_from_packages == (("filesystem", "/usr/share/backgrounds/.*", "/x"),)
    assert (treefile.scriptlets["bash"].var, treefile.scriptlets["vim"].var) == (VarPolicy.TMPFILES, VarPolicy.WARN)
    assert treefile.scriptlets["bash"].skip == ("post", "posttrans")
    assert treefile.add_commit_metadata == {"build": "7", "beta": "false", "deep": {"x": "${y}"}, "n": 1}
    assert treefile.mutate_os_release == "36"
    assert treefile.automatic_version_prefix == "36.<date:%Y%m%d>"
    assert [warning.message.split()[0] for warning in loaded.warnings] == [
        "cliwrap", "cliwrap-binaries", "modules", "platform-module", "initramfs-args"
    ]  # fmt: skip


def test_what_is_printed_reads_back_as_the_same(tmp_path: Path) -> None:
    (tmp_path / "motd").touch()
    first = given(tmp_path, FULL)
    again = given(tmp_path, first.to_text(), "again.json")
    assert again.treefile.to_text() == first.to_text()
    assert "'podman >= 4.1'" in first.to_text()
    printed = json.loads(first.to_text())
    assert "variables" not in printed
    assert printed["opt-usrlocal"] == "state-overlay"
    # All keys but those that only reading needs.
    read = {"variables", "repovars", "include", "arch-include", "conditional-include"}
    assert set(printed) == KNOWN - read - {"container", "postprocess-script"}


def test_null_is_as_if_the_key_were_not_there(tmp_path: Path) -> None:
    assert given(tmp_path, "packages:\nref: ~\nselinux: null\n").to_json() == {}
    assert given(tmp_path, "").to_json() == {}


@pytest.mark.parametrize("old", sorted(LEGACY.keys() - {"bootstrap_packages", "jigdo"}))  # have no text
def test_old_spellings(tmp_path: Path, old: str) -> None:
    value = "modules" if old == "boot_location" else "x"
    assert given(tmp_path, f"{old}: {value}").to_json() == {LEGACY[old]: value}
    assert refused(tmp_path, f"{LEGACY[old]}: {value}\n{old}: {value}").place.line == 2  # type: ignore[union-attr]


def test_container_overrides_what_the_treefile_says(tmp_path: Path) -> None:
    text = "selinux: true\nboot-location: new\ncheck-passwd: {type: previous}\n"
    assert given(tmp_path, text).treefile.selinux is True
    treefile = given(tmp_path, text + "container: true\n").treefile
    assert (treefile.selinux, treefile.boot_location, treefile.tmp_is_dir) == (False, BootLocation.MODULES, True)
    assert (treefile.preserve_passwd, treefile.check_passwd.type, treefile.check_groups.type) == (False, "none", "none")


@pytest.mark.parametrize(
    ("good", "bad", "line", "column"),
    [
        ("ref: a/b", "ref: a//b", 1, 6),
        ("ref: a_b", "ref: a b", 1, 6),
        ("ref: a.b", "ref: a/../b", 1, 6),
        ("ref: a", "ref: -a", 1, 6),
        ("ref: " + "a" * 255, "ref: " + "a" * 256, 1, 6),
        ("osname: a", "osname: a/b", 1, 9),
        ("osname: a", 'osname: "a\\nb"', 1, 9),
        ("releasever: 36", "releasever: [36]", 1, 13),
        ("releasever: '36'", "releasever: true", 1, 13),
        ("basearch: x86_64", "basearch: s390x", 1, 11),
        ("variables: {a: 1}", "variables: {a: -1}", 1, 16),
        ("variables: {a: b}", "variables: {a: [b]}", 1, 16),
        ("variables: {a_1: b}", "variables: {a-b: b}", 1, 13),
        ("variables: {a: b}", "variables: {releasever: b}", 1, 13),
        ("variables: {a: b}", "variables: {basearch: b}", 1, 13),
        ("repos: [a]", "repos: a", 1, 8),
        ("repos: [a]", "repos: [a b]", 1, 9),
        ("packages:\n- a", "packages:\n- 3", 2, 3),
        ("packages: ['a']", "packages: [a, {b: c}]", 1, 15),
        ("packages: [\"'a b'\"]", 'packages: ["\'a b"]', 1, 11),
        ("packages: [a]", "packages: [\"''\"]", 1, 11),
        ("packages-s390x: [a]", "packages-s390x: a", 1, 17),
        ("packages-s390x: [a]", "packages-s390x: [1]", 1, 17),
        ("packages-x86_64: [a]", 'packages-x86_64: ["\'a"]', 1, 19),
        ("exclude-packages: [a]", "exclude-packages: {a: b}", 1, 19),
        ("repo-packages: [{repo: a, packages: [b]}]", "repo-packages: [{repo: a}]", 1, 17),
        ("repo-packages: [{repo: a, packages: [b]}]", "repo-packages: [{repo: a, packages: [b], x: y}]", 1, 42),
        ("selinux: false", "selinux: no", 1, 10),
        ("selinux: false", 'selinux: "false"', 1, 10),
        ("install-langs: [de_DE]", "install-langs: ['de:en']\nunits: ['a/b']", 2, 9),
        ("boot-location: new", "boot-location: old", 1, 16),
        ("opt-usrlocal: root", "opt-usrlocal: rot", 1, 15),
        ("units: [a@b.service]", "units: [../a.service]", 1, 9),
        ("units: [a]\nmachineid-compat: true", "machineid-compat: false\nunits: [a]", 2, 8),
        ("units: []\nmachineid-compat: false", "units: [a]\nmachineid-compat: false", 1, 8),
        ("default-target: a.target", "default-target: a/b", 1, 17),
        ("mutate-os-release: '30'", "mutate-os-release: 30", 1, 20),
        ("mutate-os-release: a", "mutate-os-release: ${b}", 1, 20),
        ("automatic-version-prefix: 1.<date:%Y>", "automatic-version-prefix: 1.<date:%q>", 1, 27),
        ("automatic-version-prefix: a", 'automatic-version-prefix: "a\\nb"', 1, 27),
        ("automatic-version-suffix: '.'", "automatic-version-suffix: '..'", 1, 27),
        ("automatic-version-suffix: '-'", "automatic-version-suffix: 'é'", 1, 27),
        ("check-passwd: {type: none}", "check-passwd: {type: some}", 1, 22),
        ("check-passwd: {type: none}", "check-passwd: {type: file}", 1, 15),
        ("check-passwd: {type: none}", "check-passwd: {type: none, filename: a}", 1, 15),
        ("check-passwd: {type: none}", "check-passwd: {type: data, entries: {a: [1, 2, 3]}}", 1, 41),
        ("check-groups: {type: none}", "check-groups: {type: data, entries: {a: [1]}}", 1, 41),
        ("check-groups: {type: none}", "check-groups: {type: data, entries: {a: -1}}", 1, 41),
        ("check-groups: {type: none}", "check-groups: {type: none, tpye: none}", 1, 28),
        ("ignore-removed-users: ['*']", "ignore-removed-users: ['a*']", 1, 24),
        ("postprocess: [a]", "postprocess: a", 1, 14),
        ("remove-files: [usr/a]", "remove-files: [/usr/a]", 1, 16),
        ("remove-files: [usr/a]", "remove-files: [usr/../a]", 1, 16),
        ("remove-files: [usr/a]", "remove-files: ['']", 1, 16),
        ("remove-from-packages: [[a, b]]", "remove-from-packages: [[a]]", 1, 24),
        ("remove-from-packages: [[a, b]]", "remove-from-packages: [[a, '[']]", 1, 24),
        ("scriptlets: {a: {var: warn}}", "scriptlets: {a: {var: wran}}", 1, 23),
        ("scriptlets: {a: {skip: [post]}}", "scriptlets: {a: {skip: [postinst]}}", 1, 25),
        ("scriptlets: {a: {skip: [post]}}", "scriptlets: {a: {skpi: [post]}}", 1, 18),
        ("add-commit-metadata: {a: b}", "add-commit-metadata: {x: y, a: '${b}'}", 1, 32),
        ("add-commit-metadata: {a: b}", "add-commit-metadata: [a]", 1, 22),
        ("metadata: {a: b}", "metadata: a", 1, 11),
        ("ref: a", "refs: a", 1, 1),
        ("ref: a", "tmp_is_dir: true", 1, 1),
        ("ref: a", "- ref", 1, 1),
        ("include: []", "include: [[a]]", 1, 11),
        ("include: []", "include: http://host/a.yaml", 1, 10),
    ],
)
def test_refused_with_its_place(tmp_path: Path, good: str, bad: str, line: int, column: int) -> None:
    given(tmp_path, good)
    error = refused(tmp_path, bad)
    assert error.place is not None
    assert (error.place.line, error.place.column) == (line, column)


@pytest.mark.parametrize(
    ("destination", "allowed"),
    [
        ("usr/a", True), ("/etc/a", True), ("bin/a", True), ("/sbin/a", True), ("lib/a", True), ("lib64/a", True),
        ("usr/local/a", False), ("/var/a", False), ("opt/a", False), ("a", False), ("usr", False), ("/", False),
        ("usr/../var/a", False), ("/etc//a", False), ("etcetera/a", False), ("/exports/a", True),
    ],
)  # fmt: skip
def test_where_files_may_be_added(tmp_path: Path, destination: str, allowed: bool) -> None:
    (tmp_path / "a").touch()
    text = f"add-files:\n- [a, {destination}]"
    if allowed:
        assert given(tmp_path, text).treefile.add_files == (("a", destination.lstrip("/")),)
    else:
        error = refused(tmp_path, text)
        assert (error.place.line, error.place.column) == (2, 7)  # type: ignore[union-attr]


@pytest.mark.parametrize("key", sorted(DERIVE_ONLY))
def test_keys_of_installed_systems_are_refused(tmp_path: Path, key: str) -> None:
    error = refused(tmp_path, f"ref: a\n{key}: [x]")
    assert error.place is not None
    assert error.place.line == 2


def test_no_key_is_in_two_tables() -> None:
    assert not KNOWN & DERIVE_ONLY
    assert set(LEGACY.values()) <= KNOWN | {"bootstrap-packages"}
    assert WITHOUT_EFFECT.keys() <= KNOWN


def test_all_problems_at_once(tmp_path: Path) -> None:
    error = refused(tmp_path, "selinux: 1\npackages: [1, a, 2]\nfoo: x\nbar: y\n")
    assert error.place is not None
    assert error.place.line == 1
    assert error.detail is not None
    places = [line.split(": ")[0].removeprefix(str(tmp_path / "t.yaml") + ":") for line in error.detail.splitlines()]
    assert places == ["2:12", "2:18", "3:1", "4:1"]


def test_a_typing_error_gets_a_hint(tmp_path: Path) -> None:
    for wrong, right in (("pakages", "packages"), ("boot-locations", "boot-location"), ("tmp_is_dir", "tmp-is-dir")):
        hint = refused(tmp_path, f"{wrong}: x").hint
        assert hint is not None
        assert right in hint
    assert refused(tmp_path, "completely: x").hint is None


def test_json_ignores_unknown_keys_and_says_so(tmp_path: Path) -> None:
    text = """{"comment": "x", "packages-comment": 1, "_why": 2, "#": 3, "ref": "a",
        "pakages": ["x"], "check-passwd": {"type": "none", "comment": "y", "x": 1}}"""
    loaded = given(tmp_path, text, "t.json")
    assert loaded.to_json() == {"ref": "a", "check-passwd": {"type": "none"}}
    assert [(notice.place.line, notice.place.column) for notice in loaded.warnings] == [(2, 9), (2, 76)]
    # The same in YAML is an error, remarks and all.
    refused(tmp_path, 'comment: "x"')
    # Other mistakes are errors in JSON, too.
    assert refused(tmp_path, '{"x": 1,\n"check-passwd": {"y": 1, "type": 3}}', "t.json").place.line == 2  # type: ignore[union-attr]


def test_unknown_architecture_is_noticed(tmp_path: Path) -> None:
    assert given(tmp_path, "packages-ppc64le: [a]").warnings == ()
    (notice,) = given(tmp_path, "packages-x86-64: [a]").warnings
    assert notice.hint is not None
    assert "packages-x86_64" in notice.hint


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 40)
    | st.sampled_from(
        ["a", "x.yaml", "${a}", "${basearch}", "-", "..", "usr/a", "'a b'", "'", "none", "a\nb", "%", "["]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "type", "repo", "packages", "var", "skip", "-"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    content=st.dictionaries(st.sampled_from(sorted(KNOWN | {"packages-x86_64", "foo"})), VALUES, max_size=4),
    name=st.sampled_from(["t.json", "t.yaml"]),
)
def test_any_value_of_any_key_is_taken_or_refused(tmp_path: Path, content: Any, name: str) -> None:
    try:
        loaded = given(tmp_path, json.dumps(content), name)
    except ConfigError as error:
        place = error.place
    else:
        assert given(tmp_path, loaded.to_text(), "again.yaml").to_text() == loaded.to_text()
        return
    assert place is not None
    assert place.line is not None


def test_schema_has_every_key_with_its_help() -> None:
    schema = Treefile.model_json_schema(by_alias=True)
    assert set(schema["properties"]) == {kebab(name) for name in Treefile.model_fields} == KNOWN
    assert all(entry["description"] for entry in schema["properties"].values())
    assert schema["additionalProperties"] is False
    json.dumps(schema)
