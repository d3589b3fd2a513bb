# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of `compose disk`: what it takes, and which remote comes of it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from compose.cli import build_parser
from compose.verbs.disk import remote_of, size
from kickstart.installation import Source
from rpmtree.errors import UsageError

SAID = Source("http://a/", "their/branch", "theirs", "their-os", gpg=True)
_ONE = ("disk", "--repo=r", "--ref=b", "-o", "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8G", 8 << 30),
        ("512M", 512 << 20),
        ("1T", 1 << 40),
        ("100", 100),
        ("2k", 2048),
        ("1GiB", 1 << 30),
        ("3mb", 3 << 20),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["", "G", "-1G", "1.5G", "8 G", "8X", "٣"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        size(text)


@pytest.mark.parametrize(
    ("words", "said", "expected"),
    [
        ((), None, None),
        ((), SAID, SAID),
        (("--remote=n", "--url=http://b/"), None, Source("http://b/", "b", "n", "", gpg=True)),
        (("--remote=n", "--url=http://b/", "--no-gpg-verify", "--osname=o"), None,
         Source("http://b/", "b", "n", "o", gpg=False)),
        (("--url=http://b/",), SAID, Source("http://b/", "their/branch", "theirs", "their-os", gpg=True)),
        (("--osname=o", "--no-gpg-verify"), SAID, Source("http://a/", "their/branch", "theirs", "o", gpg=False)),
    ],
)  # fmt: skip
def test_the_remote(words: tuple[str, ...], said: Source | None, expected: Source | None) -> None:
    assert remote_of(build_parser().parse_args([*_ONE, *words]), said) == expected


@pytest.mark.parametrize("words", [("--remote=n",), ("--url=http://b/",), ("--no-gpg-verify",), ("--gpg-import=key",)])
def test_half_a_remote(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        remote_of(build_parser().parse_args([*_ONE, *words]), None)


@pytest.mark.parametrize(
    "words",
    [
        ("disk", "--repo=r", "--ref=b"),
        ("disk", "--ref=b", "-o", "x"),
        (*_ONE, "--erase-device=/dev/x"),
        (*_ONE, "--format=vmdk"),
        (*_ONE, "--size=big"),
        (*_ONE, "--erase"),
    ],
)
def test_what_is_no_command_line(words: tuple[str, ...]) -> None:
    build_parser().parse_args(_ONE)  # the control
    with pytest.raises(UsageError):
        build_parser().parse_args(words)


def test_paths_are_taken_from_here() -> None:
    args = build_parser().parse_args(_ONE)
    assert (args.repo, args.output, args.size, args.format) == (Path.cwd() / "r", Path.cwd() / "x", 8 << 30, "raw")
