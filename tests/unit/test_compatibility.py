# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of what holds here of rpm-ostree's tests: each test that it names is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pytest

from tests.conftest import TOP

TEXT = (TOP / "docs/compatibility.md").read_text()
_NAMED = re.compile(r"`([a-z_]+/test_\w+\.py)((?:::\w+)*)`")
_ANSWERS = ("not yet", "never", "`")


def rows() -> list[tuple[str, str]]:
    """Item and answer of each row."""
    cells = [line.strip("|").split(" | ") for line in TEXT.splitlines() if line.startswith("| ")]
    return [(item.strip(), answer.strip()) for item, answer in cells if item.strip() != "item"]


@lru_cache
def names(path: Path) -> frozenset[str]:
    """Tests and classes of a file, with :: between a class and its tests; empty where there is no file."""
    if not path.is_file():
        return frozenset()
    return frozenset(_names(ast.parse(path.read_text()).body, ""))


def _names(body: Iterable[ast.stmt], prefix: str) -> Iterable[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield f"{prefix}::{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from _names(node.body, f"{prefix}::{node.name}")


def missing(text: str) -> list[str]:
    """The tests that a text names and that are not there."""
    found = _NAMED.findall(text)
    return [f"{file}{name}" for file, name in found if not (known := names(TOP / "tests" / file)) or
            (name and name not in known)]  # fmt: skip


def test_each_test_is_there() -> None:
    assert missing(TEXT) == []
    assert len(_NAMED.findall(TEXT)) > 90


@pytest.mark.parametrize(
    "name", ["unit/test_none.py", "unit/test_compatibility.py::test_none", "unit/test_app.py::X::y"]
)
def test_one_that_is_not_would_be_seen(name: str) -> None:
    assert missing(f"| item | `{name}` |") == [name]


def test_each_item_has_an_answer() -> None:
    assert [item for item, answer in rows() if not any(word in answer for word in _ANSWERS)] == []
    assert len(rows()) > 90
