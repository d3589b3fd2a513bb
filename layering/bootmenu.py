# SPDX-License-Identifier: GPL-2.0-or-later
"""The boot menu of extlinux: an entry that is booted once, and the default again after that.

libostree writes the menu (its syslinux backend) and leaves entries of others alone. The name of the entry to boot once
lies in the boot loader's own sectors, which it clears itself before it boots: no program has to run for the next boot
to be the default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rpmtree import command
from rpmtree.errors import StoreError
from rpmtree.files import sync_filesystem, write_atomically

#: No blanks: extlinux takes the first word for the name, the rest for kernel arguments.
LABEL = "strata-trial"
#: What makes a failure end in a reboot, and not in a machine that waits for somebody.
ARGUMENTS = (
    "panic=10", "oops=panic", "rd.shell=0", "rd.emergency=reboot", "systemd.crash_reboot=1", "strata.trial=1",
)  # fmt: skip
_DIRECTORY = "boot/syslinux"
_KEYWORD = re.compile(r"\s*(\w+)\s+(.*)")


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the menu: paths as the boot loader sees them, and the kernel's command line."""

    label: str
    kernel: str
    initrd: str | None
    append: str


def is_there(sysroot: Path) -> bool:
    """Whether the sysroot is booted by extlinux, and its program is here: else nothing can be booted just once."""
    directory = sysroot / _DIRECTORY
    return (directory / "ldlinux.sys").exists() and _menu(sysroot).exists() and command.is_program("extlinux")


def arm(sysroot: Path, ostree: str) -> None:
    """Have the deployment whose kernel argument `ostree=` is `ostree` booted once, with ARGUMENTS. Durable.

    Raises StoreError, CommandFailed.
    """
    menu = _menu(sysroot)
    text = _read(menu)
    found = next((entry for entry in entries(text) if f"ostree={ostree}" in entry.append.split()), None)
    if found is None:
        raise StoreError(f"{menu} has no entry of the deployment {ostree}")
    write_atomically(menu, with_trial(text, found))
    sync_filesystem(menu.parent)  # before it is named
    _tell(sysroot, f"--once={LABEL}")


def disarm(sysroot: Path) -> None:
    """Have nothing booted just once. Durable. Raises StoreError, CommandFailed."""
    _tell(sysroot, "--clear-once")
    menu = _menu(sysroot)
    text = _read(menu)
    if (left := without_trial(text)) != text:
        write_atomically(menu, left)
        sync_filesystem(menu.parent)


def entries(text: str) -> tuple[Entry, ...]:
    """The entries of a menu that have a kernel (syslinux.cfg, of the syslinux wiki: Config)."""
    found = []
    for block in _blocks(text)[1:]:
        words = {match[1].upper(): match[2].strip() for line in block if (match := _KEYWORD.fullmatch(line))}
        kernel = words.get("KERNEL") or words.get("LINUX")
        if kernel is not None:
            found.append(Entry(words["LABEL"], kernel, words.get("INITRD"), words.get("APPEND", "")))
    return tuple(found)


def with_trial(text: str, entry: Entry) -> str:
    """The menu with an entry of ours for what `entry` boots."""
    lines = [f"LABEL {LABEL}", f"\tKERNEL {entry.kernel}"]
    if entry.initrd is not None:
        lines.append(f"\tINITRD {entry.initrd}")
    lines.append("\tMENU HIDE")
    lines.append(f"\tAPPEND {' '.join((entry.append, *ARGUMENTS)).strip()}")
    return without_trial(text).rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def without_trial(text: str) -> str:
    """The menu without the entry of ours."""
    kept = (block for block in _blocks(text) if not block or block[0].split() != ["LABEL", LABEL])
    return "".join(f"{line}\n" for block in kept for line in block)


def _blocks(text: str) -> list[list[str]]:
    """The lines before the first entry, then each entry's."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.split()[:1] == ["LABEL"]:
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def _menu(sysroot: Path) -> Path:
    # libostree's link leads to ../loader, a link itself: which of the two menus is in force changes below us.
    return (sysroot / _DIRECTORY / "syslinux.cfg").resolve()


def _read(menu: Path) -> str:
    try:
        return menu.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise StoreError(f"can't read {menu}: {error.strerror}") from error


def _tell(sysroot: Path, option: str) -> None:
    """Have extlinux write an option into its own sectors, durably."""
    directory = sysroot / _DIRECTORY
    command.run(["extlinux", option, str(directory)])
    sync_filesystem(directory)
