# SPDX-License-Identifier: GPL-2.0-or-later
"""Users and groups as passwd(5) and group(5) have them: parsing, rendering, and names to ids in a tree.

Deciding which file an account belongs in is `rpmtree.finish`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rpmtree.errors import ToolError
from rpmtree.files import Root

PASSWD_FILES = ("etc/passwd", "usr/lib/passwd")
GROUP_FILES = ("etc/group", "usr/lib/group")


@dataclass(frozen=True, slots=True)
class PasswdEntry:
    """A line of passwd(5)."""

    name: str
    password: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str

    @classmethod
    def parse(cls, line: str) -> PasswdEntry:
        """Read one line; raises ValueError."""
        fields = line.split(":")
        if len(fields) != 7 or not fields[0]:
            raise ValueError("a user needs 7 fields separated by colons")
        name, password, uid, gid, gecos, home, shell = fields
        return cls(name, password, _id(uid), _id(gid), gecos, home, shell)

    def __str__(self) -> str:
        return f"{self.name}:{self.password}:{self.uid}:{self.gid}:{self.gecos}:{self.home}:{self.shell}"


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A line of group(5)."""

    name: str
    password: str
    gid: int
    members: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> GroupEntry:
        """Read one line; raises ValueError."""
        fields = line.split(":")
        if len(fields) != 4 or not fields[0]:
            raise ValueError("a group needs 4 fields separated by colons")
        name, password, gid, members = fields
        return cls(name, password, _id(gid), tuple(member for member in members.split(",") if member))

    def __str__(self) -> str:
        return f"{self.name}:{self.password}:{self.gid}:{','.join(self.members)}"


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"not a number: {text!r}")
    return int(text)


_Entry = TypeVar("_Entry", PasswdEntry, GroupEntry)


def parse_passwd(text: str, name: str = "passwd") -> list[PasswdEntry]:
    """The users of a passwd(5) text, in its order; raises ToolError with `name` and the line."""
    return _parse(text, name, PasswdEntry.parse)


def parse_group(text: str, name: str = "group") -> list[GroupEntry]:
    """The groups of a group(5) text, in its order; raises ToolError with `name` and the line."""
    return _parse(text, name, GroupEntry.parse)


def _parse(text: str, name: str, parse_line: Callable[[str], _Entry]) -> list[_Entry]:
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        # "+" and "-" are NIS inclusions: they name no account of this file.
        if not line.strip() or line[0] in "#+-":
            continue
        try:
            entries.append(parse_line(line))
        except ValueError as error:
            raise ToolError(f"{name}, line {number}: {error}") from error
    return entries


def render(entries: Iterable[PasswdEntry] | Iterable[GroupEntry]) -> str:
    """The text of passwd(5) or group(5)."""
    return "".join(f"{entry}\n" for entry in entries)


def merge(base: Iterable[_Entry], added: Iterable[_Entry]) -> list[_Entry]:
    """`base`, then what `added` has of names that are not in it; an account of both is that of `base`."""
    merged = list(base)
    known = {entry.name for entry in merged}
    for entry in added:
        if entry.name not in known:
            known.add(entry.name)
            merged.append(entry)
    return merged


def seed(tree: Root, passwd: str, group: str) -> None:
    """Put the accounts of a previous image (its passwd and group texts) into the tree's /etc, if they are given.

    They come first and win over those of the same name that packages bring, so that ids stay what they were
    and programs that make accounts find their ids taken. Raises ToolError for a text that can't be read.
    """
    if passwd:
        own = _text(tree, "etc/passwd")
        tree.write("etc/passwd", render(merge(parse_passwd(passwd), parse_passwd(own, "etc/passwd"))))
    if group:
        own = _text(tree, "etc/group")
        tree.write("etc/group", render(merge(parse_group(group), parse_group(own, "etc/group"))))


@dataclass(frozen=True, slots=True)
class Accounts:
    """Ids by name, as the programs of a tree would find them; root is always 0."""

    uids: Mapping[str, int]
    gids: Mapping[str, int]

    @classmethod
    def of_tree(cls, tree: Root) -> Accounts:
        """Read the tree's /etc, then /usr/lib; the first to name an account wins."""
        users: list[PasswdEntry] = []
        for path in PASSWD_FILES:
            users = merge(users, parse_passwd(_text(tree, path), path))
        groups: list[GroupEntry] = []
        for path in GROUP_FILES:
            groups = merge(groups, parse_group(_text(tree, path), path))
        return cls(
            {"root": 0, **{user.name: user.uid for user in users}},
            {"root": 0, **{group.name: group.gid for group in groups}},
        )

    def user_name(self, uid: int) -> str:
        """The user's name, or the number as text: tmpfiles.d(5) takes both."""
        return next((name for name, number in self.uids.items() if number == uid), str(uid))

    def group_name(self, gid: int) -> str:
        """The group's name, or the number as text."""
        return next((name for name, number in self.gids.items() if number == gid), str(gid))


def _text(tree: Root, path: str) -> str:
    try:
        return tree.read_text(path) if tree.exists(path) else ""
    except IsADirectoryError as error:
        raise ToolError(f"/{path} of the root is a directory", hint="a package or script put it there") from error
