# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts that a root must know while scripts of layered packages run, and which of them stay in it. Pure.

A base keeps its accounts in /usr/lib, where the tools of scripts don't look. A machine has accounts of its own, whose
ids new accounts must not get. And accounts of packages that were layered before keep their ids: they come back
with the packages, as far as these speak of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from rpmtree.root.accounts import GroupEntry, PasswdEntry, merge, parse_group, parse_passwd, render
from rpmtree.rpm.package import Package

#: login.defs(5): ids below are for programs.
_FIRST_PERSON = 1000
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ACCOUNT = re.compile(r"(?:user|group)\(([^)]+)\)")
_Entry = TypeVar("_Entry", PasswdEntry, GroupEntry)


@dataclass(frozen=True, slots=True)
class AccountTexts:
    """passwd(5) and group(5) of one place."""

    passwd: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What goes into /etc of the root before scripts run, and the names that leave it afterwards."""

    texts: AccountTexts
    users: frozenset[str]
    groups: frozenset[str]


def reserve(
    etc: AccountTexts, lib: AccountTexts, layered: AccountTexts, local: AccountTexts, spoken: Collection[str]
) -> Reserved:
    """What to seed /etc with, given the base's accounts in /etc and /usr/lib.

    `layered` are those in /usr/lib of the deployment before, `local` those of the machine's /etc. Of the two, an
    account of a program stays if it is one of `spoken` (see `spoken_of`). Raises ToolError for a text that can't
    be read.
    """
    users = _settle(
        parse_passwd(etc.passwd, "/usr/etc/passwd"),
        parse_passwd(lib.passwd, "/usr/lib/passwd"),
        merge(parse_passwd(layered.passwd, "/usr/lib/passwd"), parse_passwd(local.passwd, "/etc/passwd")),
        spoken,
        lambda user: user.uid,
    )
    own_groups = {user.gid for user in users.seeds if user.name in users.staying}
    was = parse_group(layered.group, "/usr/lib/group")
    gone = {user.name for user in parse_passwd(layered.passwd)} - users.staying - users.known
    old = merge(
        [replace(group, members=tuple(name for name in group.members if name not in gone)) for group in was],
        # The members that the machine gave a group are the machine's own.
        [replace(group, members=()) for group in parse_group(local.group, "/etc/group")],
    )
    groups = _settle(
        parse_group(etc.group, "/usr/etc/group"),
        _rejoined(parse_group(lib.group, "/usr/lib/group"), was, users.staying),
        old,
        {*spoken, *(group.name for group in old if group.gid in own_groups)},  # a user does not come without its group
        lambda group: group.gid,
    )
    return Reserved(AccountTexts(render(users.seeds), render(groups.seeds)), users.leaving, groups.leaving)


def _rejoined(groups: Iterable[GroupEntry], was: Iterable[GroupEntry], staying: Collection[str]) -> list[GroupEntry]:
    """Groups of the base with the packages' accounts that had joined them: no script does it for one that is there."""
    joined = {group.name: [name for name in group.members if name in staying] for group in was}
    return [
        replace(group, members=tuple(dict.fromkeys((*group.members, *joined.get(group.name, ()))))) for group in groups
    ]


@dataclass(frozen=True, slots=True)
class _Settled(Generic[_Entry]):
    """What to seed; the names that the base knows, and those of other machines' and earlier days' that stay or not."""

    known: frozenset[str]
    seeds: list[_Entry]
    staying: frozenset[str]
    leaving: frozenset[str]


def _settle(
    etc: Iterable[_Entry],
    lib: Sequence[_Entry],
    others: Iterable[_Entry],
    spoken: Collection[str],
    number: Callable[[_Entry], int],
) -> _Settled[_Entry]:
    in_etc = {entry.name for entry in etc}
    known = in_etc | {entry.name for entry in lib}
    taken = {number(entry) for entry in lib}
    new = [entry for entry in others if entry.name not in known]
    # Not if the base has given the id to somebody else meanwhile: then it gets another one.
    staying = {e.name for e in new if e.name in spoken and number(e) < _FIRST_PERSON and number(e) not in taken}
    kept = [entry for entry in new if entry.name in staying or entry.name not in spoken or number(entry) not in taken]
    seeds = [entry for entry in merge(lib, kept) if entry.name not in in_etc]
    leaving = frozenset(entry.name for entry in kept if entry.name not in staying)
    return _Settled(frozenset(known), seeds, frozenset(staying), leaving)


def released(texts: AccountTexts, reserved: Reserved) -> AccountTexts:
    """/etc's texts without what was there only so that its ids were taken."""
    return AccountTexts(
        render(user for user in parse_passwd(texts.passwd) if user.name not in reserved.users),
        render(group for group in parse_group(texts.group) if group.name not in reserved.groups),
    )


def spoken_of(packages: Iterable[Package], provides: Iterable[str]) -> frozenset[str]:
    """The names that may be of accounts: owners of files, words of scripts, what is provided as user() or group()."""
    names = {match[1] for text in provides if (match := _ACCOUNT.match(text))}
    for package in packages:
        for file in package.files:
            names.add(file.user)
            names.add(file.group)
        for script in (*package.scriptlets, *(trigger.script for trigger in package.triggers)):
            names.update(_WORD.findall(script.body))
    return frozenset(names)
