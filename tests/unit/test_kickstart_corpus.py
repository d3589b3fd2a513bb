# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstart files that others have written: each is accepted, or refused for a reason that is known."""

from __future__ import annotations

import pytest

from tests import corpus, kickstart_corpus

pytestmark = pytest.mark.skipif(not corpus.rows(), reason="the collection of kickstart files is not beside this tree")


def test_kickstart_files() -> None:
    found = kickstart_corpus.outcomes()
    assert [one for one in found if one.strict and one.reason is None] == []
    assert sum(one.strict is None for one in found) >= 13
    assert sum(one.lenient is None for one in found) >= 40
    # A place leads to what is wrong.
    assert all(one.strict.startswith("kickstart/") for one in found if one.strict)


def test_what_was_accepted_says_something() -> None:
    installations = [one.installation for one in kickstart_corpus.outcomes() if one.installation]
    assert sum(one.source is not None for one in installations) >= 30
    assert sum(bool(one.kernel_arguments) for one in installations) >= 30
    assert sum(bool(one.post) for one in installations) >= 30
    # A root on LVM became the default layout; all others have one of their own.
    for one in installations:
        assert not one.partitions or "/" in [partition.mountpoint for partition in one.partitions]
