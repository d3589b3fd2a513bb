# SPDX-License-Identifier: GPL-2.0-or-later
"""Differences of package lists, and what commit metadata says of packages."""

from __future__ import annotations

import pytest

from layering import commits
from layering.classify import Dormant
from layering.gather import summary
from layering.packagediff import block_lines, diff_lines
from rpmtree.ostree.objects import Commit
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.packagediff import Kind, difference, to_json


def packages(text: str) -> list[Nevra]:
    return [Nevra.parse(word) for word in text.split()]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("", "", []),
        ("a-1-1.x86_64", "a-1-1.x86_64", []),
        ("", "a-1-1.x86_64", ["+a-1-1.x86_64"]),
        ("a-1-1.x86_64", "", ["-a-1-1.x86_64"]),
        ("a-1-1.x86_64", "a-2-1.x86_64", ["!a-1-1.x86_64", "=a-2-1.x86_64"]),
        ("a-1-1.x86_64", "a-1-1.noarch", ["!a-1-1.x86_64", "=a-1-1.noarch"]),
        (
            "a-1-1.x86_64 a-1-1.i686",
            "a-2-1.x86_64 a-2-1.i686",
            ["!a-1-1.i686", "=a-2-1.i686", "!a-1-1.x86_64", "=a-2-1.x86_64"],
        ),
        ("k-1-1.x86_64 k-2-1.x86_64", "k-2-1.x86_64 k-3-1.x86_64", ["!k-1-1.x86_64", "=k-3-1.x86_64"]),
        ("k-1-1.x86_64", "k-2-1.x86_64 k-3-1.x86_64", ["!k-1-1.x86_64", "=k-3-1.x86_64", "+k-2-1.x86_64"]),
    ],
)
def test_lines_of_a_difference(old: str, new: str, lines: list[str]) -> None:
    assert list(diff_lines(difference(packages(old), packages(new)))) == lines


def test_all_kinds() -> None:
    changes = difference(
        packages("up-1-1.x86_64 down-1:1-1.x86_64 gone-1-1.x86_64 same-1-1.x86_64 arch-1-1.x86_64"),
        packages("up-2-1.x86_64 down-9-1.x86_64 come-1-1.x86_64 same-1-1.x86_64 arch-2-1.noarch"),
    )
    assert [(change.name, change.kind) for change in changes] == [
        ("arch", Kind.UPGRADED),
        ("come", Kind.ADDED),
        ("down", Kind.DOWNGRADED),
        ("gone", Kind.REMOVED),
        ("up", Kind.UPGRADED),
    ]
    assert list(block_lines(changes)) == [
        "Upgraded:",
        "  arch 1-1 -> 2-1 (x86_64 -> noarch)",
        "  up 1-1 -> 2-1",
        "Downgraded:",
        "  down 1:1-1 -> 9-1",
        "Removed:",
        "  gone-1-1.x86_64",
        "Added:",
        "  come-1-1.x86_64",
    ]
    assert to_json(changes)[1:3] == [
        ["come", 0, {"NewPackage": ["come", "1-1", "x86_64"]}],
        ["down", 3, {"PreviousPackage": ["down", "1:1-1", "x86_64"], "NewPackage": ["down", "9-1", "x86_64"]}],
    ]
    assert summary(changes) == "2 upgraded, 1 downgraded, 1 removed, 1 added"
    assert summary(()) is None


VIM, NANO, NANO_2 = packages("vim-2:9-1.x86_64 nano-7-1.noarch nano-8-1.noarch")


def nevra(found: Nevra) -> Variant:
    return Variant("(sstsss)", (str(found), found.name, found.epoch, found.version, found.release, found.arch))


def test_metadata_of_a_layered_commit() -> None:
    pair = Variant("a(vv)", [(nevra(NANO_2), nevra(NANO))])
    commit = Commit(
        *(b"", b"", 0),
        {
            "rpmostree.clientlayer": Variant("b", True),
            "rpmostree.packages": Variant("as", ["powerline"]),
            "rpmostree.removed-base-packages": Variant("av", [nevra(VIM)]),
            "rpmostree.replaced-base-packages": pair,
            "rpmostree.replaced-base-remote-packages": Variant("a{sv}", {"updates": pair}),
            "strata.inactive": Variant("a{saas}", {"requests": [["vi", "already provided by vim"]]}),
            "rpmostree.rpmdb.pkglist": Variant("a(sssss)", [("vim", "2", "9", "1", "x86_64")]),
        },
    )
    assert commits.layers(commit) == commits.Layers(
        packages=("powerline",),
        removed=(VIM,),
        replaced=((NANO_2, NANO),),
        replaced_from={"updates": ((NANO_2, NANO),)},
        inactive_requests=(Dormant("vi", "already provided by vim"),),
    )
    assert commits.is_layered(commit)
    assert commits.package_list(commit) == (VIM,)
    found = commits.to_json(commit.metadata)
    assert "rpmostree.rpmdb.pkglist" not in found
    assert found["rpmostree.removed-base-packages"] == [["vim-2:9-1.x86_64", "vim", 2, "9", "1", "x86_64"]]


def test_metadata_of_another_type_counts_as_missing() -> None:
    keys = ("packages", "removed-base-packages", "replaced-base-packages", "rpmdb.pkglist", "clientlayer")
    commit = Commit(b"", b"", 0, {f"rpmostree.{key}": Variant("s", "x") for key in keys})
    assert commits.layers(commit) == commits.Layers()
    assert commits.package_list(commit) is None
    assert not commits.is_layered(commit)
    assert commits.to_json({"a": Variant("ay", b"\x01"), "b": Variant("(sb)", ("x", True))}) == {
        "a": "01",
        "b": ["x", True],
    }
