# SPDX-License-Identifier: GPL-2.0-or-later
"""Boot once, with the real extlinux on a real ext4 file system: what lies in the boot loader's own sectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from layering import bootmenu
from rpmtree import command
from rpmtree.errors import StoreError

pytestmark = pytest.mark.needs("root", "extlinux", "mke2fs")

_OSTREE = "/ostree/boot.1/granite/11/0"
_MENU = f"TIMEOUT 20\nLABEL new\n\tKERNEL /vmlinuz\n\tAPPEND rw ostree={_OSTREE}\n"


@contextmanager
def _disk(path: Path) -> Iterator[Path]:
    image, top = path / "disk", path / "sysroot"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    command.run(["mke2fs", "-q", "-t", "ext4", "-O", "^64bit,^metadata_csum", str(image)])
    top.mkdir()
    command.run(["mount", "-o", "loop", str(image), str(top)])
    try:
        yield top
    finally:
        command.run(["umount", str(top)])


@pytest.fixture
def sysroot(tmp_path: Path) -> Iterator[Path]:
    with _disk(tmp_path) as top:
        boot = top / "boot"
        (boot / "syslinux").mkdir(parents=True)
        (boot / "loader.1").mkdir()
        (boot / "loader").symlink_to("loader.1")
        (boot / "loader.1" / "syslinux.cfg").write_text(_MENU)
        (boot / "syslinux" / "syslinux.cfg").symlink_to("../loader/syslinux.cfg")
        command.run(["extlinux", "--install", str(boot / "syslinux")])
        yield top


def _once(sysroot: Path) -> bytes:
    """What is to be booted once: two copies of 512 bytes, of tag, length and text (syslinux: libinstaller/advio)."""
    data = (sysroot / "boot/syslinux/ldlinux.sys").read_bytes()[-1024:]
    found = []
    for copy in (data[:512], data[512:]):
        at, end = 8, len(copy) - 4
        while at + 2 <= end and copy[at]:
            tag, length = copy[at], copy[at + 1]
            if tag == 1:
                found.append(copy[at + 2 : at + 2 + length])
            at += 2 + length
    return b"|".join(found)


def test_a_deployment_is_booted_once(sysroot: Path) -> None:
    assert bootmenu.is_there(sysroot)
    assert _once(sysroot) == b""
    bootmenu.arm(sysroot, _OSTREE)
    assert _once(sysroot) == b"strata-trial|strata-trial"
    menu = (sysroot / "boot/loader.1/syslinux.cfg").read_text()
    assert menu.startswith(_MENU)
    assert (sysroot / "boot/syslinux/syslinux.cfg").is_symlink()
    assert bootmenu.entries(menu)[-1].kernel == "/vmlinuz"
    bootmenu.disarm(sysroot)
    assert _once(sysroot) == b""
    assert (sysroot / "boot/loader.1/syslinux.cfg").read_text() == _MENU
    bootmenu.disarm(sysroot)


def test_what_is_not_in_the_menu_is_not_armed(sysroot: Path) -> None:
    with pytest.raises(StoreError):
        bootmenu.arm(sysroot, "/ostree/boot.0/granite/22/0")
    assert _once(sysroot) == b""
    assert (sysroot / "boot/loader.1/syslinux.cfg").read_text() == _MENU


def test_without_extlinux_nothing_can_be_booted_once(tmp_path: Path) -> None:
    assert not bootmenu.is_there(tmp_path)
