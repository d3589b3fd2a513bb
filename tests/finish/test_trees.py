# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree language itself: what it writes down is all there is, and what it makes is what was said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.trees import canonical, describe, plant

EVERYTHING = r"""
etc/passwd
| root:x:0:0:root:/root:/bin/bash
|
| daemon:x:1:1::/:/bin/false
usr/bin/sh -> bash
usr/bin/tool 4755 3:4 "no newline"
usr/empty/
usr/private/ 0700 1:2
usr/private/file 0000
usr/same == usr/bin/tool
usr/spaces "a \n\n b"
"""


def test_a_description_plants_the_tree_it_was_made_from(tmp_path: Path) -> None:
    text = describe(plant(tmp_path / "one", EVERYTHING))
    assert text == EVERYTHING.lstrip()
    assert describe(plant(tmp_path / "two", text)) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "usr/bin/tool").chmod(0o755),
        lambda top: os.chown(top / "usr/private", 1, 3),
        lambda top: (top / "usr/empty").rmdir(),
        lambda top: (top / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash"),
        lambda top: ((top / "usr/same").unlink(), (top / "usr/same").write_text("no newline")),
        lambda top: ((top / "usr/bin/sh").unlink(), (top / "usr/bin/sh").symlink_to("dash")),
        lambda top: (top / "usr/.hidden").touch(),
        lambda top: (top / "usr/spaces").write_text("a \n\n b "),
    ],
)
def test_every_kind_of_change_shows(tmp_path: Path, change) -> None:
    plant(tmp_path / "tree", EVERYTHING)
    assert describe(tmp_path / "tree") == canonical(EVERYTHING)
    change(tmp_path / "tree")
    assert describe(tmp_path / "tree") != canonical(EVERYTHING)


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match="not a tree line"):
        canonical("usr/bin/tool mode=0755")
