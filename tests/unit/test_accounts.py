# SPDX-License-Identifier: GPL-2.0-or-later
"""Users and groups: parsing, rendering, merging, names in a tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.root.accounts import (
    Accounts,
    GroupEntry,
    PasswdEntry,
    merge,
    parse_group,
    parse_passwd,
    render,
    seed,
)

PASSWD = "root:x:0:0:root:/root:/bin/sh\nsvc:x:101:102:A service:/:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nwheel:x:10:svc,other\n"


def test_round_trip() -> None:
    assert parse_passwd(PASSWD)[1] == PasswdEntry("svc", "x", 101, 102, "A service", "/", "/usr/sbin/nologin")
    assert parse_group(GROUP)[1] == GroupEntry("wheel", "x", 10, ("svc", "other"))
    assert render(parse_passwd(PASSWD)) == PASSWD
    assert render(parse_group(GROUP)) == GROUP


def test_comments_empty_lines_and_inclusions_are_passed_over() -> None:
    assert [entry.name for entry in parse_group("# x\n\n+::::\n" + GROUP)] == ["root", "wheel"]


@pytest.mark.parametrize(
    "line", ["a:x:0:0:::/bin/sh:more", "a:x:0", ":x:0:0:::", "a:x:-1:0:::", "a:x::0:::", "a:x:１:0:::"]
)
def test_bad_users_name_file_and_line(line: str) -> None:
    with pytest.raises(ToolError, match="here, line 3"):
        parse_passwd(PASSWD + line, "here")


@pytest.mark.parametrize("line", ["a:x:0", "a:x:b:", ":x:0:"])
def test_bad_groups_name_file_and_line(line: str) -> None:
    with pytest.raises(ToolError, match="group, line 3"):
        parse_group(GROUP + line)


def test_merge_keeps_the_first() -> None:
    ours, theirs = parse_group("a:x:1:\nb:x:2:\n"), parse_group("b:x:3:\nc:x:4:\n")
    assert render(merge(ours, theirs)) == "a:x:1:\nb:x:2:\nc:x:4:\n"


def test_names_of_a_tree(tmp_path: Path) -> None:
    with Root(tmp_path) as tree:
        assert Accounts.of_tree(tree).uids == {"root": 0}
        tree.makedirs("etc")
        tree.makedirs("usr/lib")
        tree.write("etc/passwd", "svc:x:7:7:::\n")
        tree.write("usr/lib/passwd", PASSWD)
        tree.write("usr/lib/group", GROUP)
        found = Accounts.of_tree(tree)
    assert (dict(found.uids), dict(found.gids)) == ({"root": 0, "svc": 7}, {"root": 0, "wheel": 10})
    assert (found.user_name(7), found.user_name(8), found.group_name(10)) == ("svc", "8", "wheel")


def test_seed_lets_old_ids_win(tmp_path: Path) -> None:
    with Root(tmp_path) as tree:
        tree.makedirs("etc")
        tree.write("etc/passwd", PASSWD)
        tree.write("etc/group", GROUP)
        seed(tree, "", "")
        assert tree.read_text("etc/passwd") == PASSWD
        seed(tree, "svc:x:55:55:::\n", "gone:x:66:\n")
        assert [(entry.name, entry.uid) for entry in parse_passwd(tree.read_text("etc/passwd"))] == [
            ("svc", 55),
            ("root", 0),
        ]
        assert [entry.name for entry in parse_group(tree.read_text("etc/group"))] == ["gone", "root", "wheel"]
