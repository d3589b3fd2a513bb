# SPDX-License-Identifier: GPL-2.0-or-later
"""`status --jsonpath`."""

from __future__ import annotations

from typing import Any

import pytest

from layering.jsonpath import query
from rpmtree.errors import UsageError

DOCUMENT = {
    "deployments": [
        {"version": "2", "base-checksum": "b", "packages": ["vim", "nano"], "pinned": False},
        {"version": "1", "packages": []},
    ],
    "transaction": None,
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("$", [DOCUMENT]),
        ("$.deployments[0].version", ["2"]),
        ("$.deployments[-1].version", ["1"]),
        ("$.deployments[*].version", ["2", "1"]),
        ("$.deployments[0].base-checksum", ["b"]),
        ("$['deployments'][0][\"base-checksum\"]", ["b"]),
        ("$.deployments[0].packages[*]", ["vim", "nano"]),
        ("$.deployments[*].packages", [["vim", "nano"], []]),
        ("$..version", ["2", "1"]),
        ("$..packages[1]", ["nano"]),
        ("$.deployments..version", ["2", "1"]),
        ("$.deployments[1].*", ["1", []]),
        ("$.transaction", [None]),
        ("$.deployments[0].pinned", [False]),
        ("$.missing", []),
        ("$.deployments[7].version", []),
        ("$.deployments.version", []),
        ("$.transaction[0]", []),
    ],
)
def test_what_is_found(expression: str, found: list[Any]) -> None:
    assert query(DOCUMENT, expression) == found


@pytest.mark.parametrize(
    "expression",
    ["", "deployments", "$deployments", "$.", "$..", "$[", "$[x]", "$.a[0", "$[?(@.booted)]", "$.a b", "$...a"],
)
def test_what_is_no_path(expression: str) -> None:
    with pytest.raises(UsageError):
        query(DOCUMENT, expression)
