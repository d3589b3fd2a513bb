# SPDX-License-Identifier: GPL-2.0-or-later
"""Ids must not move between versions: files in /var and /etc of machines in use carry the old ones."""

from __future__ import annotations

from collections.abc import Mapping

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.finish.tree import read_if_file
from rpmtree.progress import Reporter
from rpmtree.root.accounts import (
    GROUP_FILES,
    PASSWD_FILES,
    GroupEntry,
    PasswdEntry,
    merge,
    parse_group,
    parse_passwd,
)
from rpmtree.root.spec import AccountsCheck, FinishSpec

#: (uid, gid) of a user, (gid,) of a group; None is not compared.
Ids = tuple[int | None, ...]


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Compare users and groups with the references. Raises ToolError that names every difference."""
    if spec.container:
        return
    users, groups = read(root)
    _check("users", ("uid", "gid"), users, spec.check_passwd)
    _check("groups", ("gid",), groups, spec.check_groups)


def read(root: Root) -> tuple[dict[str, Ids], dict[str, Ids]]:
    """Users with (uid, gid) and groups with (gid,), of /etc and /usr/lib."""
    users: dict[str, Ids] = {user.name: (user.uid, user.gid) for user in users_of(root)}
    return users, {group.name: (group.gid,) for group in groups_of(root)}


def users_of(root: Root) -> list[PasswdEntry]:
    """All users, those of /etc first."""
    users: list[PasswdEntry] = []
    for path in PASSWD_FILES:
        users = merge(users, parse_passwd(read_if_file(root, path) or "", path))
    return users


def groups_of(root: Root) -> list[GroupEntry]:
    """All groups, those of /etc first."""
    groups: list[GroupEntry] = []
    for path in GROUP_FILES:
        groups = merge(groups, parse_group(read_if_file(root, path) or "", path))
    return groups


def _check(kind: str, names: tuple[str, ...], present: Mapping[str, Ids], check: AccountsCheck) -> None:
    problems = differences(check.reference or {}, present, names, check.ignored)
    if problems:
        raise ToolError(
            f"{len(problems)} ids of {kind} are not as they were",
            hint="keep them (preserve-passwd, or sysusers.d lines with fixed ids), "
            f"or list names that may go in ignore-removed-{kind}",
            detail="\n".join(problems),
        )


def differences(
    reference: Mapping[str, Ids],
    present: Mapping[str, Ids],
    names: tuple[str, ...],
    ignored: frozenset[str],
) -> list[str]:
    """A line for each account that is gone and not ignored, and for each id that is another."""
    problems: list[str] = []
    for account in sorted(reference):
        if account not in present:
            if account not in ignored and "*" not in ignored:
                problems.append(f"{account} is gone")
            continue
        ids = zip(names, reference[account], present[account], strict=False)
        problems += [f"{account}: {name} was {old} and is {new}" for name, old, new in ids if old not in (None, new)]
    return problems
