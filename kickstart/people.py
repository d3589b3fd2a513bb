# SPDX-License-Identifier: GPL-2.0-or-later
"""Directives about who may log in: rootpw, user, group, sshkey."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kickstart import passwords, values
from kickstart.document import Directive
from kickstart.draft import Draft
from kickstart.installation import Account, Group

MAX_ACCOUNTS = 256
#: `--groups=wheel,media(5002)`.
_GROUP_WITH_NUMBER = re.compile(r"([^()]*)\(([0-9]{1,10})\)")


def rootpw(draft: Draft, directive: Directive, said: Any) -> None:
    """`rootpw --iscrypted $6$…`, `rootpw --lock`."""
    if said.allow_ssh:
        hint = "give root a key: sshkey --username=root"
        draft.unsupported("rootpw --allow-ssh is not supported", directive.at("--allow-ssh"), hint)
    password, locked = _password(draft, directive, said.password, said.isCrypted)
    draft.root = replace(draft.root, password=password, locked=bool(said.lock) or locked)


def _password(draft: Draft, directive: Directive, text: str, is_hash: bool) -> tuple[str | None, bool]:
    """The hash, and whether it is a word that stands for none and so locks the account."""
    if not text:
        return None, False
    place = directive.at(text)
    if is_hash:
        found = draft.checked(values.password_hash, text, place)
        return found, found is None
    if draft.checked(_plain, text, place) is None:
        return None, False
    draft.hashed += 1
    if draft.hashed > MAX_ACCOUNTS:  # each takes milliseconds
        draft.wrong(f"more than {MAX_ACCOUNTS} passwords in plain text", place)
        return None, False
    hint = "write the hash with --iscrypted; then the same file gives the same image, and is no secret"
    draft.note("the password stands here for all to read; it is hashed with a new salt", place, hint)
    return passwords.hashed(text), False


def _plain(text: str) -> str:
    if text.startswith("$") and values.password_hash(text):
        raise ValueError("a hash where a password should be: add --iscrypted")
    return values.password(text)


def user(draft: Draft, directive: Directive, said: Any) -> None:
    """`user --name=core --groups=wheel --iscrypted --password=$6$…`."""
    name = draft.checked(values.user_name, said.name, directive.at(said.name))
    if name is None:
        return
    if name == "root" or name in draft.users:
        message = "root is there already" if name == "root" else f"a second user {name}"
        draft.wrong(message, directive.at(name), "rootpw sets root's password" if name == "root" else None)
        return
    if len(draft.users) >= MAX_ACCOUNTS:
        draft.wrong(f"more than {MAX_ACCOUNTS} users", directive.place)
        return
    password, locked = _password(draft, directive, said.password, said.isCrypted)
    uid = _number(draft, directive, said.uid, "--uid")
    if uid is not None and uid in [other.uid for other in draft.users.values()]:
        draft.wrong(f"a second user with the number {uid}", directive.at("--uid"))
    draft.users[name] = Account(
        name,
        password,
        bool(said.lock) or locked,
        _groups(draft, directive, said.groups),
        uid,
        _number(draft, directive, said.gid, "--gid"),
        draft.checked(values.path, said.homedir, directive.at(said.homedir)) if said.homedir else None,
        draft.checked(values.path, said.shell, directive.at(said.shell)) if said.shell else None,
        draft.checked(values.gecos, said.gecos, directive.at("--gecos")) or "" if said.gecos else "",
    )


def _number(draft: Draft, directive: Directive, number: int | None, option: str) -> int | None:
    return None if number is None else draft.checked(values.number_of_account, number, directive.at(option))


def _groups(draft: Draft, directive: Directive, texts: list[str]) -> tuple[str, ...]:
    """A user's groups; those with a number are made with it."""
    found = []
    for text in texts:
        match = _GROUP_WITH_NUMBER.fullmatch(text)
        name = draft.checked(values.group_name, match[1] if match else text, directive.at(text))
        if name is None:
            continue
        found.append(name)
        if match and (number := _number(draft, directive, int(match[2]), text)) is not None:
            _add_group(draft, directive, Group(name, number))
    return tuple(dict.fromkeys(found))


def group(draft: Draft, directive: Directive, said: Any) -> None:
    """`group --name=media --gid=5002`."""
    name = draft.checked(values.group_name, said.name, directive.at(said.name))
    if name is not None:
        _add_group(draft, directive, Group(name, _number(draft, directive, said.gid, "--gid")))


def _add_group(draft: Draft, directive: Directive, wanted: Group) -> None:
    known = draft.groups.get(wanted.name)
    if known is not None and known != wanted:
        draft.wrong(f"a second group {wanted.name}, with another number", directive.at(wanted.name))
    elif wanted.gid is not None and any(
        other.gid == wanted.gid for other in draft.groups.values() if other.name != wanted.name
    ):
        draft.wrong(f"a second group with the number {wanted.gid}", directive.at(str(wanted.gid)))
    elif len(draft.groups) >= MAX_ACCOUNTS:
        draft.wrong(f"more than {MAX_ACCOUNTS} groups", directive.place)
    else:
        draft.groups[wanted.name] = wanted


def sshkey(draft: Draft, directive: Directive, said: Any) -> None:
    """`sshkey --username=core "ssh-ed25519 AAAA…"`."""
    key = draft.checked(values.ssh_key, said.key, directive.at(said.key))
    name = "root" if said.username == "root" else draft.checked(values.user_name, said.username, directive.place)
    if key is not None and name is not None:
        draft.keys.append((name, key, directive.at(name)))


def accounts(draft: Draft) -> tuple[Account, tuple[Account, ...]]:
    """Root and the users, with their keys, when all was said."""
    found = {"root": draft.root, **draft.users}
    for name, key, place in draft.keys:
        if name not in found:
            draft.wrong(f"a key for {name}, who is not made here", place, f"add: user --name={name}")
        elif key not in found[name].keys:
            found[name] = replace(found[name], keys=(*found[name].keys, key))
    return found.pop("root"), tuple(found.values())


DIRECTIVES: Mapping[str, Callable[[Draft, Directive, Any], None]] = {
    "rootpw": rootpw,
    "user": user,
    "group": group,
    "sshkey": sshkey,
}
