# SPDX-License-Identifier: GPL-2.0-or-later
"""What decides about automatic updates: the settings, when to reboot, what is passed over, the note for `status`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from layering import last_look, updates
from layering.automatic import reboot_time
from layering.last_look import LastLook
from layering.packagelists import Notice
from layering.settings import FILE, Policy, Settings, read_settings
from layering.state import STATE, identity
from layering.windows import parse
from rpmtree.errors import ConfigError
from rpmtree.ostree.objects import Commit
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.packagediff import difference

ONE, TWO = "1" * 64, "2" * 64


def settings(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return read_settings(tmp_path)


@pytest.mark.parametrize(
    ("word", "policy"),
    [("none", Policy.NONE), ("off", Policy.NONE), ("check", Policy.CHECK), ("stage", Policy.STAGE),
     ("ex-stage", Policy.STAGE), ("apply", Policy.APPLY), ("apply ", Policy.APPLY)],
)  # fmt: skip
def test_policies(tmp_path: Path, word: str, policy: Policy) -> None:
    assert settings(tmp_path, f"[Daemon]\nAutomaticUpdatePolicy={word}\n").policy is policy


def test_what_is_not_said(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == settings(tmp_path, "[Daemon]\nIdleExitTimeout=60\n") == Settings()
    assert read_settings(None) == Settings()
    # Ours is not looked for where rpm-ostree's are.
    assert settings(tmp_path, "[Daemon]\nMaintenanceWindow=Sat 02:00-04:00\n") == Settings()


def test_windows_and_the_others(tmp_path: Path) -> None:
    text = "[Daemon]\nLockLayering=true\nRecommends=false\n[Strata]\nMaintenanceWindow=Sat 02:00-04:00; 05:00-05:10\n"
    found = settings(tmp_path, text)
    assert found == Settings(False, True, Policy.NONE, parse("Sat 02:00-04:00;05:00-05:10"))
    assert len(found.windows) == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[Daemon]\nAutomaticUpdatePolicy=always\n", 2),
        ("[Daemon]\n\nAutomaticUpdatePolicy=\n", 3),
        ("[Strata]\n# when\nMaintenanceWindow=Caturday 02:00-04:00\n", 3),
        ("[Daemon]\nLockLayering=maybe\n", 2),
        ("AutomaticUpdatePolicy=check\n", 1),
    ],
)
def test_what_is_wrong_has_a_place(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)
    place = caught.value.place
    assert place is not None
    assert (place.file, place.line) == (str(tmp_path / FILE), line)


def test_when_a_machine_may_reboot() -> None:
    saturday = datetime(2026, 11, 7, 3, 0)
    assert reboot_time((), saturday) == saturday
    assert reboot_time(parse("Sat 02:00-04:00"), saturday) == saturday
    assert reboot_time(parse("Sun 02:00-04:00"), saturday) == datetime(2026, 11, 8, 2, 0)


def test_what_a_commit_is_known_by() -> None:
    assert identity(ONE, Commit(b"", b"", 0)) == ONE
    assert identity(ONE, Commit(b"", b"", 0, {STATE: Variant("s", "abc")})) == "abc"


def test_the_note_comes_back(tmp_path: Path) -> None:
    assert last_look.read(tmp_path) is None
    look = LastLook(1_700_000_000, {"strata": {"from-checksum": ONE}}, "check", "failed: …", TWO)
    last_look.write(tmp_path, look)
    assert last_look.read(tmp_path) == look
    assert look.update_of(ONE) == look.update
    assert look.update_of(TWO) is None
    assert LastLook(1).update_of(ONE) is None
    assert last_look.looked(look, 1_700_000_001, None) == LastLook(1_700_000_001, None, None, None, TWO)
    assert last_look.looked(None, 5, None) == LastLook(5)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"when": 1, "update": [], "policy": 1, "message": 1, "staged": 1}']
)
def test_a_note_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / last_look.FILE).parent.mkdir(parents=True)
    (tmp_path / last_look.FILE).write_text(text)
    assert last_look.read(tmp_path) is None


def test_what_an_update_brings() -> None:
    old, new = (
        [Nevra.parse(f"{name}-1.noarch") for name in names.split()]
        for names in ("bash-1 ed-1 jq-1 vi-2", "bash-2 jq-2 nano-1 vi-1")
    )
    base = [Nevra.parse(text) for text in ("bash-1-1.noarch", "bash-2-1.noarch", "ed-1-1.noarch", "vi-1-1.noarch")]
    update = {
        "rpm-diff": updates.diff_json(difference(old, new), base),
        "advisories": updates.notices_json(
            [
                Notice("A-1", 1, 4, ("bash-2-1.noarch",), (("CVE-1", "urn:x"),)),
                Notice("A-2", 1, 4, ("jq-2-1.noarch",)),
                Notice("A-3", 1, 0, ("jq-2-1.noarch",)),
                Notice("A-4", 3, 4, ("nano-1-1.noarch",)),
            ]
        ),
    }
    assert update["rpm-diff"] == {
        "upgraded": [
            [0, "bash", ["1-1", "noarch"], ["2-1", "noarch"]],
            [1, "jq", ["1-1", "noarch"], ["2-1", "noarch"]],
        ],
        "downgraded": [[0, "vi", ["2-1", "noarch"], ["1-1", "noarch"]]],
        "removed": [[0, "ed", "1-1", "noarch"]],
        "added": [[1, "nano", "1-1", "noarch"]],
    }
    assert updates.diff_summary(update) == "2 upgraded, 1 downgraded, 1 removed, 1 added"
    assert updates.security_summary(update) == "1 unknown severity, 2 critical"
    assert updates.notice_lines(update)[0] == "A-1 (security critical): CVE-1"
    assert updates.diff_summary({}) == updates.security_summary({}) == ""
