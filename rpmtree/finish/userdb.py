# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts as JSON records, which nss-systemd reads from /usr/lib/userdb without any service. Pure.

The form is that of https://systemd.io/USER_RECORD and GROUP_RECORD; names of files are those of
userdb drop-ins (nss-systemd(8)): NAME.user, UID.user, NAME.group, GID.group, USER:GROUP.membership.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rpmtree.root.accounts import GroupEntry, PasswdEntry

DIRECTORY = "usr/lib/userdb"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}")
#: nss-systemd makes these up and looks for no record of them; systemd-sysusers, which asks it not to, would find none
#: and make them once more, beside their lines in /etc/shadow and gshadow: it fails with that.
SYNTHETIC = frozenset(("root", "nobody", "nogroup"))


@dataclass(frozen=True, slots=True)
class Records:
    """Files by name, and links by name with their target; all in one directory."""

    files: Mapping[str, str]
    links: Mapping[str, str]


def can_hold(name: str) -> bool:
    """Whether systemd takes the name, in its strict form (systemd.io/USER_NAMES)."""
    return _NAME.fullmatch(name) is not None


def records(users: Iterable[PasswdEntry], groups: Iterable[GroupEntry]) -> Records:
    """The records of accounts whose names `can_hold` has passed."""
    files: dict[str, str] = {}
    links: dict[str, str] = {}
    for user in users:
        files[f"{user.name}.user"] = _json(_user(user))
        links.setdefault(f"{user.uid}.user", f"{user.name}.user")
    for group in groups:
        files[f"{group.name}.group"] = _json({"groupName": group.name, "gid": group.gid})
        links.setdefault(f"{group.gid}.group", f"{group.name}.group")
        # Not empty: systemd takes an empty file for a masked one.
        files.update({f"{member}:{group.name}.membership": "{}\n" for member in group.members if can_hold(member)})
    return Records(files, links)


def _user(user: PasswdEntry) -> dict[str, object]:
    record: dict[str, object] = {"userName": user.name, "uid": user.uid, "gid": user.gid}
    if user.gecos and user.gecos.isprintable():
        record["realName"] = user.gecos
    record["homeDirectory"] = posixpath.normpath(user.home) if user.home.startswith("/") else "/"
    # An empty field means this shell to passwd(5); a record without one would mean nologin.
    record["shell"] = user.shell if user.shell.startswith("/") else "/bin/sh"
    return record


def _json(record: Mapping[str, object]) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"
