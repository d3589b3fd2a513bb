# SPDX-License-Identifier: GPL-2.0-or-later
"""The schema and the page that are made of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from compose import reference
from compose.document import read
from compose.layer import KNOWN
from compose.nodes import plain
from compose.spelling import normalise
from tests import corpus

VALIDATOR = jsonschema.Draft202012Validator(reference.schema())
PAGE = Path(__file__).parents[2] / "docs/treefile.md"


def test_the_page_is_that_of_the_model() -> None:
    assert PAGE.read_text() == reference.page(), "run: compose schema --markdown >docs/treefile.md"
    assert all(f"| `{key}` |" in PAGE.read_text() for key in KNOWN)


@pytest.mark.parametrize(
    ("document", "right"),
    [
        ({"include": "a.yaml", "packages": ["a"], "packages-x86_64": ["b"]}, True),
        ({"include": ["a.yaml"], "arch-include": {"x86_64": "b.yaml"}, "edition": "2024"}, True),
        ({"conditional-include": [{"if": "a == 1", "include": {"repos": ["a"]}}]}, True),
        ({"conditional-include": [{"if": ["a == 1"], "include": ["b.yaml"]}]}, True),
        ({"pakages": ["a"]}, False),
        ({"packages": "a"}, False),
        ({"packages": [1]}, False),
        ({"edition": "1999"}, False),
        ({"packages-x86_64": "b"}, False),
        ({"conditional-include": [{"if": "a == 1"}]}, False),
    ],
)
def test_the_schema_tells_right_from_wrong(document: dict[str, Any], right: bool) -> None:
    assert VALIDATOR.is_valid(document) is right


def test_the_schema_takes_what_others_have_written() -> None:
    found = [row for row in corpus.rows() if row.role == "treefile-yaml"][::10]
    if not found:
        pytest.skip("the collection of treefiles is not beside this source tree")
    wrong = []
    for row in found:
        root = read(str(corpus.CORPUS / row.stored))
        if isinstance(root.value, Mapping):
            # Old spellings, and entries of which nothing is said, are not what an editor should offer.
            document = plain(normalise(root, KNOWN, basearch="x86_64", lenient=False).node)
            wrong += [(row.path, fault.message) for fault in VALIDATOR.iter_errors(document)]
    assert wrong == []
