# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts of an installation, written into the texts of passwd(5), group(5), shadow(5) and gshadow(5). Pure.

An image has accounts of its own in /usr/lib, which upgrades change; what is made here goes to /etc and keeps clear of
them. A group of the image gets a line in /etc when somebody joins it, with the members that it had.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kickstart.installation import Account, Group
from rpmtree.errors import ConfigError
from rpmtree.root.accounts import GroupEntry, PasswdEntry, parse_group, parse_passwd, render

#: The first id for people where login.defs(5) names none, and the end of those.
_FIRST, _LAST = 1000, 60000
#: Days as shadow(5) has them: a password may be changed at any time, and is never too old.
_AGES = "0:99999:7:::"


@dataclass(frozen=True, slots=True)
class Files:
    """The four files of /etc, and the two of the image's own accounts, as texts."""

    passwd: str
    group: str
    shadow: str
    gshadow: str
    image_passwd: str = ""
    image_group: str = ""


@dataclass(frozen=True, slots=True)
class Home:
    """A home directory to make. `path` is as passwd has it; `keys` are lines of authorized_keys."""

    path: str
    uid: int
    gid: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What useradd(8) would take: where homes are made, the shell, the first id; and the day, counted from 1970."""

    homes: str
    shell: str
    first: int
    day: int


def defaults(useradd: str, login_defs: str, day: int) -> Defaults:
    """Read from the texts of /etc/default/useradd and /etc/login.defs; either may be empty."""
    said = dict(re.findall(r"(?m)^\s*(HOME|SHELL)=(/\S*)\s*$", useradd))
    first = re.search(r"(?m)^\s*UID_MIN\s+(\d+)\s*$", login_defs)
    homes, shell = said.get("HOME", "/home"), said.get("SHELL", "/bin/sh")
    return Defaults(homes.rstrip("/"), shell, int(first[1]) if first else _FIRST, day)


def add_accounts(
    files: Files, root: Account | None, users: Sequence[Account], groups: Sequence[Group], how: Defaults
) -> tuple[Files, tuple[Home, ...]]:
    """The files with the accounts added, and the homes to make. Raises ConfigError for names and ids that are taken,
    and for groups that there are none of.
    """
    book = _Book(files, how)
    if root is not None:
        book.set_password(root)
    for group in groups:
        book.add_group(group.name, group.gid)
    homes = [book.add_user(user) for user in users]
    if root is not None and root.keys:
        entry = next((one for one in book.users if one.name == "root"), None)
        homes.append(Home(entry.home if entry else "/root", 0, 0, root.keys))
    return book.files(), tuple(homes)


class _Book:
    """The accounts while they are added."""

    def __init__(self, files: Files, how: Defaults) -> None:
        self._before = files
        self._how = how
        self.users = parse_passwd(files.passwd, "/etc/passwd")
        self.groups = parse_group(files.group, "/etc/group")
        self._image_users = parse_passwd(files.image_passwd, "/usr/lib/passwd")
        self._image_groups = parse_group(files.image_group, "/usr/lib/group")
        self._shadow = files.shadow.splitlines()
        self._gshadow = files.gshadow.splitlines()

    def files(self) -> Files:
        """The texts."""
        return replace(
            self._before,
            passwd=render(self.users),
            group=render(self.groups),
            shadow="".join(f"{line}\n" for line in self._shadow),
            gshadow="".join(f"{line}\n" for line in self._gshadow),
        )

    def set_password(self, account: Account) -> None:
        """Give an account its line in shadow, in the place of the one that it has."""
        line = f"{account.name}:{_password(account)}:{self._how.day}:{_AGES}"
        _put(self._shadow, account.name, line)

    def add_group(self, name: str, gid: int | None) -> GroupEntry:
        """Make a group."""
        if self._find_group(name) is not None:
            raise ConfigError(f"the group {name} is there already")
        taken = {group.gid for group in (*self.groups, *self._image_groups)}
        if gid in taken:
            raise ConfigError(f"the group {name} can't have the number {gid}: another group has it")
        made = GroupEntry(name, "x", self._free(taken) if gid is None else gid, ())
        self.groups.append(made)
        _put(self._gshadow, name, f"{name}:!::")
        return made

    def add_user(self, user: Account) -> Home:
        """Make a user, with a group of the same name unless another one is named."""
        everybody = [*self.users, *self._image_users]
        if any(one.name == user.name for one in everybody):
            raise ConfigError(f"the user {user.name} is there already")
        taken = {one.uid for one in everybody}
        if user.uid in taken:
            raise ConfigError(f"the user {user.name} can't have the number {user.uid}: another user has it")
        numbers = taken | {group.gid for group in (*self.groups, *self._image_groups)}
        uid = self._free(numbers) if user.uid is None else user.uid
        gid = self._primary(user, uid)
        home = user.home or f"{self._how.homes}/{user.name}"
        self.users.append(PasswdEntry(user.name, "x", uid, gid, user.gecos, home, user.shell or self._how.shell))
        self.set_password(user)
        for group in user.groups:
            self._join(user.name, group)
        return Home(home, uid, gid, user.keys)

    def _primary(self, user: Account, uid: int) -> int:
        present = [*self.groups, *self._image_groups]
        if user.gid is not None and any(group.gid == user.gid for group in present):
            return user.gid
        if (same := self._find_group(user.name)) is not None and user.gid is None:
            return same.gid
        free = uid if all(group.gid != uid for group in present) else None
        return self.add_group(user.name, user.gid if user.gid is not None else free).gid

    def _join(self, user: str, group: str) -> None:
        found = self._find_group(group)
        if found is None:
            raise ConfigError(
                f"the user {user} is to be in the group {group}, and there is none", hint="make it: group"
            )
        if found not in self.groups:  # the image's: its line in /etc counts from now on
            self.groups.append(found)
        grown = replace(found, members=tuple(dict.fromkeys((*found.members, user))))
        self.groups[self.groups.index(found)] = grown
        _put(self._gshadow, group, f"{group}:!::{','.join(grown.members)}")

    def _find_group(self, name: str) -> GroupEntry | None:
        return next((group for group in (*self.groups, *self._image_groups) if group.name == name), None)

    def _free(self, taken: Iterable[int]) -> int:
        numbers = set(taken)
        found = next((number for number in range(self._how.first, _LAST + 1) if number not in numbers), None)
        if found is None:
            raise ConfigError(f"there is no number left between {self._how.first} and {_LAST}")
        return found


def _password(account: Account) -> str:
    """The second field of shadow(5): `*` is matched by no password, `!` before it says that it is locked."""
    return f"{'!' if account.locked else ''}{account.password or '*'}"


def _put(lines: list[str], name: str, line: str) -> None:
    """Put a line in the place of the one of that name, or at the end."""
    for index, present in enumerate(lines):
        if present.partition(":")[0] == name:
            lines[index] = line
            return
    lines.append(line)
