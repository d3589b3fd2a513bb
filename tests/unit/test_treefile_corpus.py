# SPDX-License-Identifier: GPL-2.0-or-later
"""Treefiles and lockfiles that others have written: each loads, or fails with the place of what is wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from compose import lockfile
from compose.load import load
from compose.problems import NotSupportedYet
from rpmtree.errors import ConfigError

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"


def listed(*kinds: str) -> list[Path]:
    manifest = CORPUS / "manifest.tsv"
    if not manifest.exists():
        pytest.skip("the collection of treefiles is not beside this source tree")
    rows = [line.split("\t") for line in manifest.read_text().splitlines()]
    return [CORPUS / row[-1] for row in rows if row[1] in kinds]


def outcome(path: Path) -> tuple[str, ConfigError | None]:
    try:
        assert load(path, basearch="x86_64").to_text()
    except NotSupportedYet as error:
        return "not yet", error
    except ConfigError as error:
        return "wrong", error
    return "loaded", None


def test_treefiles() -> None:
    found = [outcome(path) for path in listed("treefile-yaml", "treefile-json")]
    for error in (error for _, error in found if error is not None):
        assert error.place is not None, error
        assert error.place.line is not None, error
    outcomes = Counter(kind for kind, _ in found)
    # Most that are wrong name a file that is a link in their repository, have a key twice, or are not JSON at all.
    assert outcomes["loaded"] > 400, outcomes
    assert outcomes["wrong"] < 80, outcomes


def test_lockfiles() -> None:
    paths = listed("lockfile")[::4]
    assert sum(len(lockfile.read([path]).packages) for path in paths) > 1000
