# SPDX-License-Identifier: GPL-2.0-or-later
"""What pulls that were killed have staged goes, whatever part of it is there; what a pull is at stays."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

import pytest

from rpmtree.ostree.repo import remove_staging

_WHOLE = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


@pytest.mark.parametrize("there", [("a",), ("a-lock",), ("a", "a-lock")], ids=" ".join)
def test_remains_go(tmp_path: Path, there: tuple[str, ...]) -> None:
    for name in there:
        path = tmp_path / f"staging-{name}"
        if name.endswith("-lock"):
            path.touch()
        else:
            (path / "objects").mkdir(parents=True)
    remove_staging(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    (tmp_path / "staging-a").mkdir()
    with (tmp_path / "staging-a-lock").open("wb") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _WHOLE)
        remove_staging(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
    remove_staging(tmp_path)
    assert list(tmp_path.iterdir()) == []
