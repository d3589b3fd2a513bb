# SPDX-License-Identifier: GPL-2.0-or-later
"""Treefiles, lockfiles and extensions that others have written: each loads, or is refused for a known reason."""

from __future__ import annotations

import pytest

from compose import extensions, lockfile
from tests import corpus

pytestmark = pytest.mark.skipif(not corpus.rows(), reason="the collection of treefiles is not beside this source tree")


def test_treefiles() -> None:
    found = corpus.outcomes()
    assert [one for one in found if not one.accepted and one.reason is None] == []
    assert sum(one.accepted for one in found) > 770
    # A place leads to what is wrong.
    assert all(one.said.startswith("treefile/") for one in found if not one.accepted)


def test_documents_of_extensions() -> None:
    paths = [corpus.CORPUS / row.stored for row in corpus.rows() if row.role == "extensions"]
    assert len(paths) > 10
    for basearch in ("x86_64", "s390x"):
        assert all(extensions.read(path, basearch).extensions for path in paths)


def test_lockfiles() -> None:
    paths = [corpus.CORPUS / row.stored for row in corpus.rows() if row.role == "lockfile"][::4]
    assert sum(len(lockfile.read([path]).packages) for path in paths) > 1000
