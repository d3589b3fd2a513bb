# SPDX-License-Identifier: GPL-2.0-or-later
"""The spec file and what it ships, against the source: version, requirements, settings, units."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rpmtree
from layering.settings import FILE, Policy, Settings, read_settings
from layering.windows import parse
from rpmtree.app import BINDINGS
from tests.conftest import TOP

SPEC = (TOP / "packaging/strata.spec").read_text()
OURS = ("compose", "kickstart", "layering", "rpmtree")


def needed(*rooms: str) -> set[str]:
    """Foreign modules that rooms import, without those that come along with others."""
    trees = (ast.parse(path.read_text()) for room in rooms for path in (TOP / room).rglob("*.py"))
    found = {name.partition(".")[0] for tree in trees for name in _imported(tree)}
    return found - set(sys.stdlib_module_names) - set(OURS) - {"pydantic_core"}


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def section(name: str) -> set[str]:
    """Names that a subpackage requires or recommends, on Debian or on Fedora."""
    text = SPEC.partition(f"%package {name}\n")[2].partition("%description")[0]
    return set(re.findall(r"(?m)^(?:Requires|Recommends): (\S+)", text))


def test_the_version_is_the_programs() -> None:
    assert re.findall(r"(?m)^Version:\s+(\S+)$", SPEC) == [rpmtree.__version__]


def test_what_is_imported_is_required() -> None:
    layer = needed("layering", "rpmtree")
    assert {"gi", "rpm", "rich", "nacl"} <= layer
    assert {package for name in layer for package in BINDINGS[name]} <= section("layer")
    # What is new there: the layer's packages come along.
    more = needed("compose", "kickstart") - layer
    assert {"pydantic", "yaml"} <= more
    known = {package for name in more & set(BINDINGS) for package in BINDINGS[name]}
    assert known <= section("compose")


def test_the_settings_that_are_shipped_are_the_defaults(tmp_path: Path) -> None:
    text = (TOP / "packaging/rpm-ostreed.conf").read_text()
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_text(text)
    assert read_settings(tmp_path) == Settings()
    (tmp_path / FILE).write_text(re.sub(r"(?m)^#(?=\S)", "", text))
    assert read_settings(tmp_path) == Settings(True, False, Policy.NONE, parse("Sat,Sun 02:00-04:00"))


def test_the_unit_runs_what_there_is() -> None:
    from layering.cli import build_parser

    text = (TOP / "packaging/rpm-ostreed-automatic.service").read_text()
    program, *words = re.findall(r"(?m)^ExecStart=(.*)$", text)[0].split()
    assert program == "/usr/bin/layer"
    args = build_parser().parse_args(words)
    assert (args.title, args.quiet, args.trigger_automatic_update_policy, args.wait) == (
        "layer upgrade",
        True,
        True,
        600,
    )


@pytest.mark.parametrize("name", ["rpm-ostreed-automatic.service", "rpm-ostreed-automatic.timer", "rpm-ostreed.conf"])
def test_what_is_named_is_there(name: str) -> None:
    assert (TOP / "packaging" / name).exists()
    assert f"packaging/{name}" in SPEC
    documents = re.findall(r"file:///usr/share/doc/strata-layer/(\S+)", (TOP / "packaging" / name).read_text())
    assert all(f"docs/{document}" in SPEC and (TOP / "docs" / document).exists() for document in documents)
