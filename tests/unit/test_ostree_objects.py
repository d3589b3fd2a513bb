# SPDX-License-Identifier: GPL-2.0-or-later
"""Our serialisation against GLib's own, and the objects' formats."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpmtree.ostree import objects
from rpmtree.ostree.objects import Commit, FileMeta
from rpmtree.ostree.variant import Variant, parse, serialise

GLib = pytest.importorskip("gi.repository.GLib", reason="PyGObject gives the oracle")

CASES: list[tuple[str, Any, Any]] = [
    ("s", "ä", "ä"),
    ("ay", b"", b""),
    ("as", [], []),
    ("(uuuusa(ayay))", (1, 2, 3, 0, "x", [(b"a\0", b"yz")]), (1, 2, 3, 0, "x", [(b"a\0", b"yz")])),
    ("a(sssss)", [("a", "0", "1", "2", "x86")] * 40, [("a", "0", "1", "2", "x86")] * 40),
    ("(sstsss)", ("a", "b", 7, "x", "", "z"), ("a", "b", 7, "x", "", "z")),
    ("a(suuas)", [("a", 1, 2, ["p", "q"]), ("b", 3, 4, [])], [("a", 1, 2, ["p", "q"]), ("b", 3, 4, [])]),
    ("(bt)", (True, 5), (True, 5)),
    ("a{sv}", {"a": Variant("t", 5), "b": Variant("s", "x" * 300)},
     {"a": GLib.Variant("t", 5), "b": GLib.Variant("s", "x" * 300)}),
]  # fmt: skip


@pytest.mark.parametrize(("signature", "value", "theirs"), CASES, ids=[case[0] for case in CASES])
def test_serialises_as_glib(signature: str, value: Any, theirs: Any) -> None:
    data = GLib.Variant(signature, theirs).get_data_as_bytes().get_data() or b""
    assert serialise(signature, value) == data
    assert parse(signature, data) == value


@pytest.mark.parametrize("signature", ["", "z", "a", "(s", "ss", "a{s"])
def test_refuses_what_is_no_type(signature: str) -> None:
    with pytest.raises(ValueError, match="GVariant type"):
        serialise(signature, "")


@given(st.dictionaries(st.text("abcdé.", min_size=1, max_size=250), st.binary(min_size=32, max_size=32), max_size=40))
def test_dirtree_is_the_generic_serialisation(files: dict[str, bytes]) -> None:
    dirs = {f"d{name}"[:250]: (checksum, checksum[::-1]) for name, checksum in files.items()}
    data = objects.dirtree(files, dirs)
    generic = ([(name, files[name]) for name in sorted(files)], [(name, *dirs[name]) for name in sorted(dirs)])
    assert data == serialise("(a(say)a(sayay))", generic)
    assert objects.parse_dirtree(data) == (files, dirs)


def test_file_header_and_dirmeta() -> None:
    xattrs = ((b"security.capability", b"zz"),)
    meta = FileMeta(0o100755, 1, 2, "", xattrs)
    rows = [(b"security.capability\0", b"zz")]
    header = objects.file_header(meta)
    assert header[8:] == serialise("(uuuusa(ayay))", (1, 2, 0o100755, 0, "", rows), big=True)
    assert int.from_bytes(header[:4], "big") == len(header) - 8
    assert objects.dirmeta(0o1777, 1, 2, xattrs) == serialise("(uuua(ayay))", (1, 2, 0o41777, rows), big=True)
    assert objects.parse_dirmeta(objects.dirmeta(0o1777, 1, 2)) == (0o1777, 1, 2)


def test_commit_round_trip() -> None:
    metadata = {
        "version": Variant("s", "1.0"),
        "n": Variant("t", 5),
        "p": Variant("a(sssss)", [("a", "", "1", "2", "3")]),
    }
    value = Commit(os.urandom(32), os.urandom(32), 77, metadata, os.urandom(32), "subject", "body")
    data = objects.commit(value)
    generic = (dict(sorted(metadata.items())), value.parent, [], "subject", "body", 77, value.tree, value.meta)
    assert data == serialise("(a{sv}aya(say)sstayay)", generic, big=True)
    assert objects.parse_commit(data) == value
    first = next(iter(value.metadata), None)
    rest = {key: found for key, found in value.metadata.items() if key != first}
    assert objects.parse_commit(data, without=frozenset({first})).metadata == rest
