# SPDX-License-Identifier: GPL-2.0-or-later
"""How the image's programs find accounts that are not in /etc, and what nsswitch.conf has to say for it.

Decided by what is in the image: libnss-altfiles reads /usr/lib/passwd as it is; without it, nss-systemd
finds records in /usr/lib/userdb (nss-systemd(8)); without both, accounts have to stay in /etc.
"""

from __future__ import annotations

import re
from enum import Enum

from rpmtree.files import Root
from rpmtree.finish.tree import put, read_if_file, resolve

NSSWITCH = "etc/nsswitch.conf"
_DATABASES = ("passwd", "group")
_LINE = re.compile(r"(?P<head>\s*(?P<database>\w+):\s*)(?P<services>[^#]*?)(?P<tail>\s*(?:#.*)?)")
_SERVICE = re.compile(r"(?P<name>[\w-]+)(?P<action>\s*\[[^]]*\])?")


class Lookup(Enum):
    """The way accounts outside /etc are found; the value is the service's name in nsswitch.conf."""

    ALTFILES = "altfiles"
    USERDB = "systemd"
    NONE = "files"


def available(root: Root) -> Lookup:
    """The best way that the image has a library for."""
    places = ["usr/lib64", "usr/lib"]
    places += [f"usr/lib/{name}" for name in root.listdir("usr/lib") if "-linux-" in name]
    for lookup in (Lookup.ALTFILES, Lookup.USERDB):
        if any(root.exists(f"{place}/libnss_{lookup.value}.so.2") for place in places):
            return lookup
    return Lookup.NONE


def enable(root: Root, lookup: Lookup) -> None:
    """Have nsswitch.conf name the service; a link at its place stays, and what it leads to is changed."""
    path = resolve(root, NSSWITCH)
    put(root, path, with_service(read_if_file(root, path) or "", lookup.value))


def with_service(text: str, service: str) -> str:
    """nsswitch.conf with `service` after `files` for accounts and groups, and lines for both."""
    lines: list[str] = []
    seen: set[str] = set()
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None or found["database"] not in _DATABASES:
            lines.append(line)
            continue
        seen.add(found["database"])
        lines.append(found["head"] + _insert(found["services"], service) + found["tail"])
    lines += [f"{database}: files {service}" for database in _DATABASES if database not in seen]
    return "".join(f"{line}\n" for line in lines)


def _insert(services: str, service: str) -> str:
    """The list of services with one more: after `files`, with its action (merging of groups), else at the end."""
    found = list(_SERVICE.finditer(services))
    if any(entry["name"] == service for entry in found):
        return services
    for entry in found:
        if entry["name"] == "files":
            action = entry["action"] or ""
            return f"{services[: entry.end()]} {service}{action}{services[entry.end() :]}"
    return f"{services.rstrip()} {service}".strip()
