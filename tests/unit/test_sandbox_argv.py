# SPDX-License-Identifier: GPL-2.0-or-later
"""The sandbox's command line as a value, and the small texts that are made for what runs in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rpmtree.root import lua
from rpmtree.root.sandbox import Bind, ScriptSandbox

BOX = ScriptSandbox(root=Path("/r"), var=Path("/s/var"), bpf=Path("/b"), var_writable=True)


def _follows(argv: list[str], *words: str) -> bool:
    return any(argv[index : index + len(words)] == list(words) for index in range(len(argv)))


def test_the_inner_command_comes_last_and_untouched() -> None:
    inner = ["/bin/sh", "-c", "a; b", "--", ""]
    assert BOX.argv(inner)[-len(inner) - 1 :] == ["--", *inner]
    assert BOX.pass_fds == ()


@pytest.mark.parametrize(
    "words",
    [
        ("--bind", "/r", "/"),
        ("--ro-bind", "/proc/sys", "/proc/sys"),
        ("--bind", "/s/var", "/var"),
        ("--cap-drop", "ALL"),
        ("--seccomp", "9"),
        ("--clearenv",),
        ("--die-with-parent",),
        ("--new-session",),
        ("--unshare-pid",),
        ("--unshare-net",),
        ("--setenv", "PATH", "/usr/sbin:/usr/bin"),
        ("--chdir", "/"),
    ],
)
def test_walls(words: tuple[str, ...]) -> None:
    assert _follows(BOX.argv(["true"]), *words)


def test_only_root_and_var_are_writable() -> None:
    argv = BOX.argv(["true"])
    assert [argv[index + 1] for index, word in enumerate(argv) if word == "--bind"] == ["/r", "/s/var"]
    closed = replace(BOX, var_writable=False).argv(["true"])
    assert [closed[index + 1] for index, word in enumerate(closed) if word == "--bind"] == ["/r"]
    assert not any("userns" in word or word == "--unshare-user" for word in argv)


def test_what_is_asked_for_is_added() -> None:
    box = replace(
        BOX, binds=(Bind(Path("/a"), "/x"), Bind(Path("/c"), "/y", writable=True)), env={"LANG": "C"}, rpmdb=True
    )
    argv = box.argv(["true"])
    assert _follows(argv, "--ro-bind", "/a", "/x", "--bind", "/c", "/y")
    assert _follows(argv, "--setenv", "LANG", "C")
    assert not _follows(argv, "--setenv", "LANG", "C.UTF-8")
    assert _follows(argv, "--ro-bind", "/r/usr/share/rpm", "/usr/share/rpm")
    assert replace(BOX, cgroup=Path("/g")).argv(["true"])[5] == "/g"


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("plain", '"plain"'),
        ('a"b\\c', '"a\\034b\\092c"'),
        ("line\n2", '"line\\0102"'),
        ("é", '"\\195\\169"'),
        ("]]--", '"]]--"'),
    ],
)
def test_lua_literals(text: str, literal: str) -> None:
    assert lua.quote(text) == literal


def test_lua_prelude_keeps_line_numbers() -> None:
    text = lua.with_prelude("one\ntwo", (1, 2), ("/p",), reads_files=True)
    first, second = text.split("\n")
    assert first.endswith("; one")
    assert second == "two"
    assert "arg[2] = 1; arg[3] = 2" in first
