# SPDX-License-Identifier: GPL-2.0-or-later
"""/etc/shadow and gshadow: readable by nobody (root needs no permission), and without the day of the compose."""

from __future__ import annotations

import stat

from rpmtree.files import Root
from rpmtree.finish.tree import is_file, put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

_SECONDS_A_DAY = 86400
_DAY = 2  # the field "date of last password change" of shadow(5), counted from 0


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Set both modes to 0000 and make the days of password changes a function of the inputs."""
    for path in ("etc/shadow", "etc/gshadow"):
        if is_file(root, path):
            text = root.read_text(path)
            put(root, path, reproducible(text, spec.source_date_epoch) if path == "etc/shadow" else text)
            if stat.S_IMODE(root.lstat(path).st_mode) != 0:
                root.chmod(path, 0)


def reproducible(text: str, source_date_epoch: int) -> str:
    """shadow(5) without days for locked accounts, and with none later than the epoch's day for others.

    No day means that ages of passwords are not looked at; day 0 would ask for a new password at once.
    """
    last = source_date_epoch // _SECONDS_A_DAY
    return "".join(f"{_line(line, last)}\n" for line in text.splitlines())


def _line(line: str, last: int) -> str:
    parts = line.split(":")
    if len(parts) <= _DAY:
        return line
    locked, day = parts[1].startswith(("!", "*")), parts[_DAY]
    if locked or (day.isdecimal() and int(day) > last):
        parts[_DAY] = str(last) if last and not locked else ""
    return ":".join(parts)
