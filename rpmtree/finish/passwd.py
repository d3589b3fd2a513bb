# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts of packages belong to the image: from /etc to /usr/lib, so that upgrades bring new ones.

Root stays in /etc, with the groups that an admin adds people to. shadow(5) stays whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rpmtree.files import Root
from rpmtree.finish import userdb
from rpmtree.finish.lookup import Lookup, available, enable
from rpmtree.finish.tree import put, put_link, read_if_file
from rpmtree.progress import Reporter
from rpmtree.root.accounts import GroupEntry, PasswdEntry, merge, parse_group, parse_passwd, render
from rpmtree.root.spec import FinishSpec

_ROOT = "root"
_Entry = TypeVar("_Entry", PasswdEntry, GroupEntry)


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Move accounts to /usr/lib/{passwd,group} and have nsswitch.conf find them there.

    An image without a library for that keeps them in /etc, and a warning says so. Groups of
    spec.etc_group_members are in both places.
    """
    if spec.container:
        return
    lookup = available(root)
    if lookup is Lookup.NONE:
        reporter.warning(
            "accounts stay in /etc/passwd, since the image has neither libnss-altfiles nor nss-systemd: "
            "machines whose /etc/passwd has been edited will not get accounts that later versions add"
        )
        return
    users = _move_users(root, lookup)
    groups = _move_groups(root, lookup, frozenset(spec.etc_group_members))
    if not users and not groups:
        return
    enable(root, lookup)
    if lookup is Lookup.USERDB:
        _write_records(root, users, groups)


def _stays(name: str, lookup: Lookup) -> bool:
    """Root, and names that the lookup can't find elsewhere, stay in /etc and nowhere else."""
    in_records = userdb.can_hold(name) and name not in userdb.SYNTHETIC
    return name == _ROOT or (lookup is Lookup.USERDB and not in_records)


def _updated(before: Sequence[_Entry], new: Sequence[_Entry]) -> list[_Entry]:
    """All entries, each name once and in its old place; what is new counts. In one file, a name's first line does."""
    entries = {entry.name: entry for entry in merge([], before)}
    entries.update({entry.name: entry for entry in merge([], new)})
    return list(entries.values())


def _move_users(root: Root, lookup: Lookup) -> list[PasswdEntry]:
    found = parse_passwd(read_if_file(root, "etc/passwd") or "", "etc/passwd")
    before = parse_passwd(read_if_file(root, "usr/lib/passwd") or "", "usr/lib/passwd")
    moved = _updated(before, [user for user in found if not _stays(user.name, lookup)])
    if moved:
        put(root, "usr/lib/passwd", render(moved), 0o644)
        put(root, "etc/passwd", render(user for user in found if _stays(user.name, lookup)))
    return moved


def _move_groups(root: Root, lookup: Lookup, in_both: frozenset[str]) -> list[GroupEntry]:
    found = parse_group(read_if_file(root, "etc/group") or "", "etc/group")
    before = parse_group(read_if_file(root, "usr/lib/group") or "", "usr/lib/group")
    moved = _updated(before, [group for group in found if not _stays(group.name, lookup)])
    if moved:
        put(root, "usr/lib/group", render(moved), 0o644)
        put(root, "etc/group", render(group for group in found if group.name in in_both or _stays(group.name, lookup)))
    return moved


def _write_records(root: Root, users: list[PasswdEntry], groups: list[GroupEntry]) -> None:
    records = userdb.records(users, groups)
    for name, text in records.files.items():
        put(root, f"{userdb.DIRECTORY}/{name}", text, 0o644)
    for name, target in records.links.items():
        put_link(root, target, f"{userdb.DIRECTORY}/{name}")
