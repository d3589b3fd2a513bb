# SPDX-License-Identifier: GPL-2.0-or-later
"""What `layer history` knows: events that are written down, boots out of the journal, and which belongs to which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from layering import history
from layering.history import Entry, Event
from rpmtree.errors import StoreError

ONE, TWO = (f"granite-{digit * 64}.0" for digit in "12")


def test_events_come_back_newest_first(tmp_path: Path) -> None:
    assert history.events(tmp_path) == ()
    old = Event(5, "layer install vim", ONE, "site:a", "12.0", "b" * 64, ("vim",), "1 added")
    new = Event(1_700_000_000, "layer upgrade", TWO)
    at_once = Event(5, "layer kargs", ONE)
    for event in (new, old, at_once):
        history.record(tmp_path, event)
    assert history.events(tmp_path) == (new, at_once, old)


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    for when in range(5):
        history.record(tmp_path, Event(when, "layer upgrade", ONE))
    assert [event.when for event in history.events(tmp_path)] == [4, 3, 2]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"when": 1}', '{"when": "x", "command": "", "id": "", "requested": []}']
)
def test_what_is_no_event_is_left_out(tmp_path: Path, text: str) -> None:
    history.record(tmp_path, Event(1, "layer upgrade", ONE))
    (tmp_path / history.DIRECTORY / "000000000002-x.json").write_text(text)
    assert [event.when for event in history.events(tmp_path)] == [1]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("a file")
    with pytest.raises(StoreError):
        history.record(tmp_path, Event(1, "layer upgrade", ONE))


def line(path: object, when: object = "1700000000000000") -> str:
    return json.dumps({"DEPLOYMENT_PATH": path, "__REALTIME_TIMESTAMP": when, "MESSAGE": "…"})


def test_boots_of_a_journal() -> None:
    path = f"/sysroot/ostree/deploy/granite/deploy/{'1' * 64}.0"
    assert history.parse_boots([line(path), line(path + "/", "5000000")]) == ((5, ONE), (1_700_000_000, ONE))


_OTHER = (None, [1, 2], "/", "ostree/deploy/a/deploy/b.0")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", *map(line, _OTHER), line(f"ostree/deploy/a/deploy/{'1' * 64}.0", "soon")]
)
def test_lines_that_are_no_boots(text: str) -> None:
    assert history.parse_boots([text]) == ()


def test_a_boot_is_the_newest_events_of_its_name() -> None:
    made = [Event(30, "c", ONE), Event(20, "b", TWO), Event(10, "a", ONE)]
    booted = [(5, ONE), (15, ONE), (16, ONE), (25, TWO), (35, ONE), (40, "other-0.0")]
    assert history.joined(made, booted) == (
        Entry(made[0], (35,)),
        Entry(made[1], (25,)),
        Entry(made[2], (15, 16)),
    )
    assert [entry["boots"] for entry in history.to_json(history.joined(made, booted))] == [[35], [25], [15, 16]]


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    assert history.boots(tmp_path / "none") == ()
