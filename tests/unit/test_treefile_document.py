# SPDX-License-Identifier: GPL-2.0-or-later
"""YAML and JSON as nodes: what is read, what is refused and where, and that nothing is slow or crashes."""

from __future__ import annotations

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compose import document
from compose.nodes import Limits, plain
from rpmtree.errors import ConfigError

#: An alias bomb of nine levels: 9**9 values from 10 lines.
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + level, 98 + level, b",".join([b"*%c" % (97 + level)] * 9)) for level in range(8)
)
#: Levels that no bracket shows: each line nests the one before 40 levels deeper.
DEEP_BY_ALIAS = b"a: &a0 " + b"[" * 40 + b"]" * 40 + b"\nb: " + b"[" * 40 + b"*a0" + b"]" * 40


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"", None),
        (b"# nothing\n", None),
        (b"a: b", {"a": "b"}),
        (b"\xef\xbb\xbfa: b\r\nc: d\r\n", {"a": "b", "c": "d"}),
        (b"[a, {b: c}]", ["a", {"b": "c"}]),
        (b"a: &x [b]\nc: *x", {"a": ["b"], "c": ["b"]}),
        (
            b"[no, yes, off, 1:30, 012, 0x10, 1.10, 1e3, .inf, 2024-01-01, 1_0]",
            ["no", "yes", "off", "1:30", "012", "0x10", "1.10", "1e3", ".inf", "2024-01-01", "1_0"],
        ),
        (b"[true, False, TRUE, null, ~, 0, -5, +7, 36]", [True, False, True, None, None, 0, -5, 7, 36]),
        (b'["true", "36", \'null\']', ["true", "36", "null"]),
        (b"a:\n", {"a": None}),
        (b"a: |\n  36\n", {"a": "36\n"}),
        (b"36: x\ntrue: y", {"36": "x", "true": "y"}),
        (b"a: 18446744073709551615", {"a": 2**64 - 1}),
        ("ä: ü".encode(), {"ä": "ü"}),
    ],
)
def test_yaml(text: bytes, value: object) -> None:
    assert plain(document.parse(text, "t.yaml")) == value


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (b"a: 1\nb: 2\na: 3", 3, 1),
        (b"x:\n  a: 1\n  a: 1", 3, 3),
        (b"a: !x 1", 1, 4),
        (b"a: !!str 1", 1, 4),
        (b"a: !!python/object/apply:os.system [id]", 1, 4),
        (b"a:\n  <<: {b: c}", 2, 3),
        (b"[a]: b", 1, 1),
        (b"a: *nothing", 1, 4),
        (b"a: &a [*a]", 1, 8),
        (b"--- a\n--- b", 2, 1),
        (b"a: b: c", 1, 5),
        (b"a:\n\tb", 2, 1),
        (b"a: %b", 1, 4),
        (b"a: \x07", 1, 4),
        (b"a: b\nc: \x00", 2, 4),
        (b'a: "\\0"', 1, 4),
        (b"a: b\nc\xff", 2, 2),
        (b"\xff\xfea\x00:\x00", 1, 1),
        (b"a: 18446744073709551616", 1, 4),
        (b"a: " + b"9" * 100_000, 1, 4),
        (b"[" * 3000, 1, 66),
        (b"- " * 3000, 1, 131),
        (b"{a: " * 3000, 1, 258),
        (b"- a\n" * 10_001, 10_000, 3),
        (BOMB, 5, 8),
        (DEEP_BY_ALIAS, 2, 44),
    ],
)
def test_yaml_refused(text: bytes, line: int, column: int) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        document.parse(text, "t.yaml")
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line, caught.value.place.column) == ("t.yaml", line, column)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b"[]", []),
        (b' \t\r\n{"a"\t:\n[1, -2, 1.5, 1e3, true, false, null]}\n', {"a": [1, -2, 1.5, 1000.0, True, False, None]}),
        (b'{"a": "\\ud83d\\ude00\\/\\n\\u00e9"}', {"a": "😀/\né"}),
        (b'\xef\xbb\xbf"a"', "a"),
        (b'{"a": "no", "b": "012"}', {"a": "no", "b": "012"}),
    ],
)
def test_json(text: bytes, value: object) -> None:
    assert plain(document.parse(text, "t.json")) == value


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (b"", 1, 1),
        (b"{", 1, 2),
        (b'{"a": 1,}', 1, 9),
        (b"[1, 2", 1, 6),
        (b"[,]", 1, 2),
        (b'{"a": 1\n "b": 2}', 2, 2),
        (b'{"a" 1}', 1, 6),
        (b"{1: 2}", 1, 2),
        (b"{'a': 1}", 1, 2),
        (b'{"a": 1, "a": 2}', 1, 10),
        (b"// x\n{}", 1, 1),
        (b"[] []", 1, 4),
        (b'{"a": "x\ny"}', 1, 7),
        (b'{"a": "\\x"}', 1, 7),
        (b'{"a": "\\ud83d"}', 1, 7),
        (b'{"\\u0000": 1}', 1, 2),
        (b'{"a": 01}', 1, 7),
        (b'{"a": NaN}', 1, 7),
        (b'{"a": 1e999}', 1, 7),
        (b'{"a": truex}', 1, 7),
        (b"[" * 100_000, 1, 66),
        (b"[" + b"1," * 10_000 + b"1]", 1, 20_000),
        (b'["' + b"\\" * 500_000, 1, 2),
    ],
)
def test_json_refused(text: bytes, line: int, column: int) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError) as caught:
        document.parse(text, "t.json")
    assert caught.value.place is not None
    assert (caught.value.place.line, caught.value.place.column) == (line, column)
    assert time.process_time() - started < 1


def test_limits_are_exact() -> None:
    limits = Limits(size=40, depth=2, nodes=5)
    assert plain(document.parse(b"[[1], 2, 3]", "t.yaml", limits=limits)) == [[1], 2, 3]
    assert plain(document.parse(b"[[1], 2, 3]", "t.json", limits=limits)) == [[1], 2, 3]
    for text in (b"[[1], 2, 3, 4]", b"[[[1]]]", b"[1]" + b" " * 38):
        for name in ("t.yaml", "t.json"):
            with pytest.raises(ConfigError):
                document.parse(text, name, limits=limits)


def test_keys_and_values_have_places() -> None:
    for name, text in (("t.yaml", b"a:\n  - b: c\n"), ("t.json", b'{\n  "a": [{"b": "c"}]}')):
        node = document.parse(text, name)
        assert isinstance(node.value, dict)
        items = node.value["a"].value
        assert isinstance(items, tuple)
        assert items[0].keys["b"].line == 2
    assert str(items[0].keys["b"]) == "t.json:2:10"


def test_only_regular_files_are_read(tmp_path: os.PathLike[str]) -> None:
    good, fifo = os.path.join(tmp_path, "a.yaml"), os.path.join(tmp_path, "b.yaml")
    with open(good, "w") as stream:
        stream.write("a: b")
    os.mkfifo(fifo)
    assert plain(document.read(good)) == {"a": "b"}
    for bad in (fifo, "/dev/zero", os.fspath(tmp_path), os.path.join(tmp_path, "none.yaml"), "a\0b", good + "/x"):
        with pytest.raises(ConfigError):
            document.read(bad)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(value=JSON_VALUES, indent=st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_the_json_module_does(value: object, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    assert plain(document.parse(text.encode(), "t.json")) == value


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    text=st.text(st.sampled_from("ab01:-[]{},&*!|>'\"#%@`?~<\\ \n\t\0é"), max_size=40) | st.binary(max_size=30),
    name=st.sampled_from(["t.yaml", "t.json"]),
)
def test_anything_else_is_an_error_with_a_place(text: str | bytes, name: str) -> None:
    data = text if isinstance(text, bytes) else text.encode()
    try:
        document.parse(data, name)
    except ConfigError as error:
        place = error.place
    else:
        return
    assert place is not None
    assert place.file == name
