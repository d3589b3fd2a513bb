# SPDX-License-Identifier: GPL-2.0-or-later
"""File capabilities from text to extended attribute."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.rpm.capabilities import XATTR, capability_xattr

TEXTS = (
    "cap_net_raw=ep",
    "cap_net_raw=p",
    "= cap_chown,cap_checkpoint_restore+ep",
    "cap_net_bind_service,cap_net_admin=eip",
    "cap_setuid=ep cap_setgid=ep",
    "cap_setuid,cap_setgid=ep cap_setgid-ep",
    "CAP_SYS_ADMIN=ei",
    "=ep",
    "all=ep cap_sys_admin-ep",
)


def test_layout() -> None:
    assert capability_xattr("cap_net_raw=ep").hex() == "0100000200200000000000000000000000000000"
    assert capability_xattr("cap_net_raw=p").hex() == "0000000200200000000000000000000000000000"
    assert capability_xattr("cap_bpf=i").hex() == "0000000200000000000000000000000080000000"


@pytest.mark.needs("root", "setcap")
@pytest.mark.parametrize("text", TEXTS)
def test_same_as_libcap(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    command.run(["setcap", text, str(path)])
    assert capability_xattr(text) == os.getxattr(path, XATTR)


@pytest.mark.parametrize(
    "text", ["cap_nothing=ep", "cap_chown", "+ep", "cap_chown=x", "cap_chown,,cap_kill=p", "cap_chown=e cap_kill=p"]
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="capabilit"):
        capability_xattr(text)
