# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts write below /var: seen, attributed to the package, and dropped or made tmpfiles.d lines.

/var is not part of an image: a new machine starts with an empty one. Scripts get a scratch directory as
/var that holds what they may expect, the directories that packages own there; what appears beside these
is a package's doing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.accounts import Accounts
from rpmtree.root.spec import VarPolicy
from rpmtree.rpm.package import Package

TMPFILES_DIRECTORY = "usr/lib/rpm-ostree/tmpfiles.d"
#: Present in every image's /var by its tmpfiles.d; each with its mode.
_BASE = {"cache": 0o755, "lib": 0o755, "lib/rpm-state": 0o755, "log": 0o755, "spool": 0o755, "tmp": 0o1777}
_LINKS = {"run": "../run", "lock": "../run/lock", "lib/rpm": "../../usr/share/rpm"}
#: Nothing is said of these: scratch that rpm offers to scripts, and a cache that the image's ldconfig remakes.
_UNREPORTED = ("lib/rpm-state", "tmp", "cache/ldconfig")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class VarWrite:
    """Something below /var that `phase` of `package` made or changed. `line` is its tmpfiles.d line or empty."""

    package: str
    phase: str
    path: str
    line: str = ""


class VarScratch:
    """The directory that scripts see as /var, and what was in it when last looked."""

    def __init__(self, path: Path, packages: Sequence[Package]) -> None:
        path.mkdir(mode=0o755)
        self.root = Root(path)
        self._base = f"{path}/"
        for name, mode in _BASE.items():
            self.root.mkdir(name, mode)
        owned = {file.path: file.mode for package in packages for file in package.files_below("/var/") if file.is_dir}
        for name, mode in sorted(owned.items()):
            self._own(name.removeprefix("/var/"), stat.S_IMODE(mode))
        for name, target in _LINKS.items():
            if not self.root.lexists(name):
                self.root.symlink(target, name)
        self._seen = self._scan()

    def _own(self, name: str, mode: int) -> None:
        if name.partition("/")[0] in _LINKS or name in _LINKS:
            return  # /var/run and /var/lock are of the running system
        self.root.makedirs(name)
        self.root.chmod(name, mode)

    def accept(self) -> None:
        """Take what is there now for the starting point (owners were changed by us)."""
        self._seen = self._scan()

    def changes(self) -> list[str]:
        """Paths below /var that are new or changed since the last call, sorted, without the leading /var/."""
        if all(_mark(f"{self._base}{name}") == mark for name, mark in self._seen.items()):
            return []
        now = self._scan()
        found = sorted(name for name, mark in now.items() if _differs(self._seen.get(name), mark))
        self._seen = now
        return found

    def _scan(self) -> dict[str, tuple[int, ...]]:
        names = ["", *(name for name in self.root.walk() if not name.startswith(_UNREPORTED))]
        # A directory that changes between two looks makes `changes` look at everything.
        return {name: _mark(f"{self._base}{name}") for name in names}

    def line(self, name: str, accounts: Accounts) -> str:
        """The tmpfiles.d line that makes what is at `name`; empty for what no line can make (files)."""
        found = self.root.lstat(name)
        if stat.S_ISLNK(found.st_mode):
            return f"L /var/{_escaped(name)} - - - - {_escaped(self.root.readlink(name))}"
        if not stat.S_ISDIR(found.st_mode):
            return ""
        user, group = accounts.user_name(found.st_uid), accounts.group_name(found.st_gid)
        return f"d /var/{_escaped(name)} {stat.S_IMODE(found.st_mode):04o} {user} {group} - -"


def _mark(path: str) -> tuple[int, ...]:
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    return (found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns, found.st_ino)


def _differs(before: tuple[int, ...] | None, now: tuple[int, ...]) -> bool:
    if before is None or not now:
        return True
    # Of a directory only owner and mode: what is made inside it is found by its own name.
    return before[:3] != now[:3] if stat.S_ISDIR(now[0]) else before != now


def _escaped(text: str) -> str:
    """As tmpfiles.d(5) reads it: `%` starts a specifier, spaces end a field."""
    return text.replace("\\", "\\\\").replace("%", "%%").replace(" ", "\\x20").replace("\n", "\\n")


def settle(
    tree: Root, writes: Iterable[VarWrite], policies: Mapping[str, VarPolicy], reporter: Reporter
) -> tuple[VarWrite, ...]:
    """Act on `writes` as each package's policy says: warn, say nothing, or append tmpfiles.d lines to the tree.

    Returns the writes that were dropped.
    """
    by_package: dict[str, list[VarWrite]] = {}
    for write in writes:
        by_package.setdefault(write.package, []).append(write)
    dropped: list[VarWrite] = []
    for name, theirs in by_package.items():
        policy = policies.get(name, VarPolicy.WARN)
        kept = [write for write in theirs if write.line] if policy is VarPolicy.TMPFILES else []
        _append_lines(tree, name, [write.line for write in kept])
        lost = [write for write in theirs if write not in kept]
        dropped += lost
        if lost and policy is not VarPolicy.IGNORE:
            reporter.warning(_warning(name, lost))
    return tuple(dropped)


def _warning(name: str, writes: list[VarWrite]) -> str:
    paths = list(dict.fromkeys(write.path for write in writes))
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    phases = " and ".join(f"%{phase}" for phase in dict.fromkeys(write.phase for write in writes))
    return f"{phases} of {name} wrote below /var, which is not part of the image: {', '.join(paths[:_SHOWN])}{more}"


def _append_lines(tree: Root, name: str, lines: list[str]) -> None:
    if not lines:
        return
    path = f"{TMPFILES_DIRECTORY}/{name}.conf"
    tree.makedirs(TMPFILES_DIRECTORY)
    present = tree.read_text(path) if tree.exists(path) else ""
    new = [line for line in dict.fromkeys(lines) if line not in present.splitlines()]
    tree.write(path, present + "".join(f"{line}\n" for line in new))
