# SPDX-License-Identifier: GPL-2.0-or-later
"""tmpfiles.d lines: what they define, and how they are merged (tmpfiles.d(5)). Pure but for reading the tree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from rpmtree.files import Root
from rpmtree.finish.tree import read_if_file

DIRECTORY = "usr/lib/tmpfiles.d"
#: A line a path that some package holds below /var, /run or /opt; made when the package is imported.
PACKAGE_DIRECTORY = "usr/lib/rpm-ostree/tmpfiles.d"
AUTOVAR = "rpm-ostree-autovar.conf"
#: Types that make what they name; the others only change or remove what is there.
_CREATING = frozenset("fFdDvqQpLcbC")
_LINE = re.compile(r"""(?P<type>\S+)\s+(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>\S+))""")
_ESCAPE = re.compile(r"\\(?:x(?P<hex>[0-9a-fA-F]{2})|(?P<char>.))")


def defined_path(line: str) -> str | None:
    """The path that a line makes, without /var/run; None for a comment and for lines that make nothing."""
    found = _LINE.match(line.strip())
    if found is None or line.lstrip().startswith("#") or found["type"][0] not in _CREATING:
        return None
    quoted = found["double"] if found["double"] is not None else found["single"]
    path = found["bare"] if quoted is None else _ESCAPE.sub(_unescape, quoted)
    path = "/" + path.strip("/")
    return path.removeprefix("/var") if path.startswith("/var/run/") or path == "/var/run" else path


def _unescape(found: re.Match[str]) -> str:
    return chr(int(found["hex"], 16)) if found["hex"] else found["char"]


def merged(lines: Iterable[str], defined: Collection[str]) -> list[str]:
    """The lines whose path is not yet defined, each path once (the first line wins), sorted by path."""
    kept: dict[str, str] = {}
    for line in lines:
        path = defined_path(line)
        if path is not None and path not in defined:
            kept.setdefault(path, line.strip())
    return [kept[path] for path in sorted(kept)]


def system_paths(root: Root) -> set[str]:
    """All that the image's own tmpfiles.d makes, the merged file of the packages aside."""
    paths: set[str] = set()
    for name in root.listdir(DIRECTORY):
        if name.endswith(".conf") and name != AUTOVAR:
            text = read_if_file(root, f"{DIRECTORY}/{name}") or ""
            paths.update(path for line in text.splitlines() if (path := defined_path(line)) is not None)
    return paths


def package_lines(root: Root) -> list[str]:
    """The lines of all packages, in the order of the packages' names."""
    lines: list[str] = []
    for name in root.listdir(PACKAGE_DIRECTORY):
        if name.endswith(".conf"):
            lines += (read_if_file(root, f"{PACKAGE_DIRECTORY}/{name}") or "").splitlines()
    return lines
