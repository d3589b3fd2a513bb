# SPDX-License-Identifier: GPL-2.0-or-later
"""The boot menu's text: what libostree wrote is kept to the letter, and our entry comes and goes."""

from __future__ import annotations

import pytest

from layering.bootmenu import ARGUMENTS, LABEL, Entry, entries, with_trial, without_trial

MENU = """\
SERIAL 0 115200
TIMEOUT 20
DEFAULT Granite 12.1 (ostree:0)
LABEL Granite 12.1 (ostree:0)
\tKERNEL /boot/ostree/granite-11/vmlinuz-6.1
\tINITRD /boot/ostree/granite-11/initramfs-6.1.img
\tAPPEND root=UUID=1 rw ostree=/ostree/boot.1/granite/11/0
LABEL Granite 12.0 (ostree:1)
\tKERNEL /boot/ostree/granite-22/vmlinuz-6.0
\tAPPEND root=UUID=1 rw ostree=/ostree/boot.1/granite/22/0
LABEL memtest
\tLINUX /memtest
LABEL local
\tLOCALBOOT 0
"""
_ONE, _TWO = "/boot/ostree/granite-11", "/boot/ostree/granite-22"
NEW = Entry(
    "Granite 12.1 (ostree:0)",
    f"{_ONE}/vmlinuz-6.1",
    f"{_ONE}/initramfs-6.1.img",
    "root=UUID=1 rw ostree=/ostree/boot.1/granite/11/0",
)
OLD = Entry("Granite 12.0 (ostree:1)", f"{_TWO}/vmlinuz-6.0", None, "root=UUID=1 rw ostree=/ostree/boot.1/granite/22/0")


def test_entries_with_a_kernel_are_read() -> None:
    assert entries(MENU) == (NEW, OLD, Entry("memtest", "/memtest", None, ""))
    assert entries("") == ()


@pytest.mark.parametrize("entry", [NEW, OLD])
def test_our_entry_boots_the_same_with_what_ends_in_a_reboot(entry: Entry) -> None:
    text = with_trial(MENU, entry)
    assert text.startswith(MENU)
    ours = entries(text)[-1]
    assert (ours.label, ours.kernel, ours.initrd) == (LABEL, entry.kernel, entry.initrd)
    assert ours.append.split() == [*entry.append.split(), *ARGUMENTS]
    assert "panic=10" in ARGUMENTS  # a kernel that panics would wait for ever


def test_our_entry_is_there_once_and_goes_without_a_trace() -> None:
    twice = with_trial(with_trial(MENU, OLD), NEW)
    assert twice == with_trial(MENU, NEW)
    assert without_trial(twice) == MENU
    assert without_trial(MENU) == MENU


def test_the_name_is_one_word() -> None:
    assert LABEL.split() == [LABEL]
