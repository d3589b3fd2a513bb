# SPDX-License-Identifier: GPL-2.0-or-later
"""The document of `compose extensions`: what it asks for on a base, and where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose import extensions
from rpmtree.errors import ConfigError, Place
from rpmtree.rpm.nevra import Nevra

BASE = (
    Nevra("kernel", 0, "6.0", "1", "x86_64"),
    Nevra("libstone", 1, "3.1", "2", "noarch"),
    Nevra("many", 0, "1", "1", "noarch"),
    Nevra("many", 0, "2", "1", "noarch"),
)


def resolved(tmp_path: Path, text: str, basearch: str = "x86_64") -> extensions.Resolved:
    path = tmp_path / "ext.yaml"
    path.write_text(text)
    return extensions.resolve(extensions.read(path, basearch), BASE)


def test_what_is_asked_for(tmp_path: Path) -> None:
    text = """\
repos: [more]
extensions:
  tracer:
    packages: [strace ltrace]
    repos: [own]
  plain: {}
  elsewhere: {architectures: [s390x]}
  kernel-devel: {kind: development, match-base-evr: kernel, architectures: [x86_64, aarch64]}
  stone-devel: {match-base-evr: libstone}
  kernel: {kind: development}
"""
    found = resolved(tmp_path, text)
    assert found.packages == ("strace", "ltrace", "plain", "stone-devel-1:3.1-2")
    assert found.development == ("kernel-devel-6.0-1", "kernel")
    assert found.document == {
        "repos": ["more", "own"],
        "extensions": {
            "kernel": {"packages": ["kernel"], "kind": "development"},
            "kernel-devel": {
                "packages": ["kernel-devel-6.0-1"],
                "architectures": ["x86_64", "aarch64"],
                "match-base-evr": "kernel",
                "kind": "development",
            },
            "plain": {"packages": ["plain"], "kind": "os-extension"},
            "stone-devel": {"packages": ["stone-devel-1:3.1-2"], "match-base-evr": "libstone", "kind": "os-extension"},
            "tracer": {"packages": ["strace", "ltrace"], "kind": "os-extension"},
        },
    }
    assert extensions.read(tmp_path / "ext.yaml", "x86_64").all_repos == ("more", "own")
    assert "elsewhere" in resolved(tmp_path, text, "s390x").packages


def test_modules_are_named_and_have_no_effect(tmp_path: Path) -> None:
    path = tmp_path / "ext.yaml"
    path.write_text("modules: {enable: [a:1]}\nextensions:\n  kata:\n    modules: {enable: [virt:av]}\n")
    notices = extensions.read(path, "x86_64").notices
    assert [(notice.place.line, notice.message) for notice in notices] == [
        (1, "modules has no effect"), (4, "modules has no effect")
    ]  # fmt: skip
    assert extensions.resolve(extensions.read(path, "x86_64"), BASE).document["extensions"] == {
        "kata": {"packages": ["kata"], "kind": "os-extension"}
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "named"),
    [
        ("extensions:\n  a:\n    packages:\n      - b\n      - kernel\n", 5, 9, "kernel"),
        ("extensions:\n  a: {packages: ['kernel >= 7']}\n", 2, 18, "kernel"),
        ("extensions:\n  kernel: {}\n", 2, 3, "kernel"),
        ("extensions:\n  a:\n    match-base-evr: nothing\n", 3, 5, "nothing"),
        ("extensions:\n  a:\n    match-base-evr: many\n", 3, 5, "many"),
        ("extensions:\n  a:\n    kind: other\n", 3, 11, "kind"),
        ("extensions:\n  a:\n    package: [b]\n", 3, 5, "package"),
        ("extensions: [a]\n", 1, 13, "extensions"),
        ("repos: [a]\n", 1, 1, "extensions"),
        ("extensions:\n  ../a: {}\n", 2, 3, "../a"),
    ],
)
def test_where_it_is_wrong(tmp_path: Path, text: str, line: int, column: int, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(tmp_path, text)
    assert caught.value.place == Place(str(tmp_path / "ext.yaml"), line, column)
    assert named in caught.value.message


def test_all_mistakes_of_the_document_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(tmp_path, "repos: x\nextensions:\n  a: {kind: osextension}\n  a: {}\n  b: {package: [c]}\n  c: *d\n")
    assert caught.value.place == Place(str(tmp_path / "ext.yaml"), 1, 8)
    lines = str(caught.value.detail).replace(f"{tmp_path}/ext.yaml:", "").splitlines()
    assert [line.split(": ")[0] for line in lines] == ["3:13", "4:3", "5:7", "6:6"]
    assert "os-extension" in lines[0]
    assert "packages" in lines[2]


def test_all_that_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolved(tmp_path, "extensions:\n  kernel: {}\n  libstone: {}\n  a: {match-base-evr: gone}\n")
    assert "libstone" in str(caught.value.detail)
    assert "gone" in str(caught.value.detail)
