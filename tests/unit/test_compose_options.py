# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of `compose`: which verb has which option of rpm-ostree's, and what is shown."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from compose.cli import build_parser
from rpmtree.app import Parser
from rpmtree.errors import UsageError

#: The options of section 2.2 of rpm-ostree's behaviour, a verb each; one with a value ends in "=".
INSTALL = (
    "--unified-core --ex-unified-core --cachedir= --cache-only --force-nocache --source-root= --proxy= --download-only "
    "--download-only-rpms --dry-run --print-only --disable-selinux --touch-if-changed= --previous-commit= "
    "--previous-inputhash= --previous-version= --workdir= --workdir-tmpfs --ex-write-lockfile-to= --ex-lockfile= "
    "--ex-lockfile-strict --repo= -r= --layer-repo="
)
COMMIT = (
    "--add-metadata-string= --add-metadata-from-json= --write-commitid-to= --write-composejson-to= --no-parent "
    "--parent= --repo= -r="
)
OPTIONS = {
    "tree": (f"{INSTALL} {COMMIT}", ["t.yaml"]),
    "install": (f"{INSTALL} --postprocess", ["t.yaml", "dest"]),
    "postprocess": ("--unified-core --disable-selinux", ["rootfs"]),
    "commit": (f"{COMMIT} --unified-core", ["t.yaml", "rootfs"]),
    "extensions": ("--base-rev= --rootfs= --cachedir= --layer-repo= --touch-if-changed= --repo=",
                   ["--output-dir=out", "t.yaml", "ext.yaml"]),
    "rootfs": ("--cachedir= --ostree-repo= --source-root= --source-root-rw= --lockfile=", ["t.yaml", "dest"]),
}  # fmt: skip
CASES = [(verb, option, words) for verb, (options, words) in OPTIONS.items() for option in options.split()]


@pytest.mark.parametrize(("verb", "option", "words"), CASES)
def test_options_of_rpm_ostree_are_taken(verb: str, option: str, words: list[str]) -> None:
    given = [option.removesuffix("="), "x"] if option.endswith("=") else [option]
    assert build_parser().parse_args([verb, *given, *words]).action is not None


def help_of(verb: str) -> str:
    parsers = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    parser = parsers.choices[verb]
    assert isinstance(parser, Parser)
    return parser.format_help()


@pytest.mark.parametrize(
    ("verb", "option", "shown"),
    [
        ("tree", "--layer-repo", True), ("install", "--layer-repo", True), ("rootfs", "--layer-repo", True),
        ("extensions", "--layer-repo", False), ("lock", "--layer-repo", False), ("rootfs", "--ostree-repo", False),
        ("rootfs", "--lockfile", True),
    ],
)  # fmt: skip
def test_an_option_is_shown_where_it_acts(verb: str, option: str, shown: bool) -> None:
    assert (option in help_of(verb)) is shown


def test_the_repository_of_a_root() -> None:
    args = build_parser().parse_args(["rootfs", "--ostree-repo=/r", "t.yaml", "dest"])
    assert (args.repo, args.force_nocache, args.disable_selinux) == (Path("/r"), True, True)


@pytest.mark.parametrize(
    "words",
    [
        ["lock", "-o", "l", "--layer-repo=x", "t.yaml"], ["extensions", "t.yaml", "e.yaml"],
        ["extensions", "--output-dir=o", "--base-rev=a", "--rootfs=b", "t.yaml", "e.yaml"],
        ["tree", "--no-parent", "--parent=x", "t.yaml"], ["tree"], ["install", "t.yaml"], ["commit", "t.yaml"],
        ["rootfs", "--source-root=a", "--source-root-rw=b", "t.yaml", "dest"], ["tree", "--cache", "t.yaml"],
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        build_parser().parse_args(words)
