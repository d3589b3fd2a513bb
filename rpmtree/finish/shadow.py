# SPDX-License-Identifier: GPL-2.0-or-later
"""/etc/shadow and gshadow: a line for each account, readable by nobody, without the day of the compose.

root needs no permission to read them."""

from __future__ import annotations

import stat
from collections.abc import Iterable

from rpmtree.files import Root
from rpmtree.finish.check_accounts import groups_of, users_of
from rpmtree.finish.tree import is_file, put
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

_SECONDS_A_DAY = 86400
_DAY = 2  # the field "date of last password change" of shadow(5), counted from 0


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Set both modes to 0000, give every account a line, and make the days a function of the inputs.

    An account that was there before its package's script ran (see `preserve-passwd`) has no line yet: with
    one, a compose does not depend on whether there was an earlier commit.
    """
    users = (f"{user.name}:!:::::::" for user in users_of(root))
    groups = (f"{group.name}:!::{','.join(group.members)}" for group in groups_of(root))
    for path, accounts in (("etc/shadow", users), ("etc/gshadow", groups)):
        if is_file(root, path):
            text = completed(root.read_text(path), accounts)
            put(root, path, reproducible(text, spec.source_date_epoch) if path == "etc/shadow" else text)
            if stat.S_IMODE(root.lstat(path).st_mode) != 0:
                root.chmod(path, 0)


def completed(text: str, lines: Iterable[str]) -> str:
    """A shadow(5) or gshadow(5) text with those of `lines` behind it whose account has none."""
    present = text.splitlines()
    names = {line.partition(":")[0] for line in present}
    return "".join(f"{line}\n" for line in (*present, *(line for line in lines if line.partition(":")[0] not in names)))


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
