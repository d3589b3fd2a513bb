# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree of a deployment together with its /var, for writing to both as the machine will see them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import ConfigError
from rpmtree.files import Root

#: What programs expect in /var, and systemd makes at the first boot.
_DIRECTORIES = {"lib": 0o755, "log": 0o755, "tmp": 0o1777}
_LINKS = {"run": "../run", "lock": "../run/lock"}


@dataclass(frozen=True, slots=True)
class Deployed:
    """`tree` is the deployment, of which /etc may be written to; `var` is what will be at /var."""

    tree: Root
    var: Root

    def text(self, path: str) -> str:
        """The text of a file of the tree; empty without one."""
        return self.tree.read_text(path) if self.tree.exists(path) else ""

    def write(self, path: str, text: str) -> None:
        """Write a file of /etc; one that is there keeps owner and mode."""
        before = self.tree.lstat(path) if self.tree.lexists(path) else None
        self.tree.makedirs(path.rpartition("/")[0])
        self.tree.write(path, text)
        if before is not None and stat.S_ISREG(before.st_mode):
            self.tree.chown(path, before.st_uid, before.st_gid)
            self.tree.chmod(path, stat.S_IMODE(before.st_mode))  # a change of owner can take bits away

    def fill_var(self) -> None:
        """Make what is missing of that which scripts expect in /var.

        libostree makes it with a stateroot in 2022; in 2025 it leaves that to systemd, where the first deployment has
        nothing in /var itself, which it would copy.
        """
        for name, mode in _DIRECTORIES.items():
            if not self.var.lexists(name):
                self.var.mkdir(name, mode)
        for name, target in _LINKS.items():
            if not self.var.lexists(name):
                self.var.symlink(target, name)

    def in_var(self, path: str) -> str:
        """The path below /var that an absolute path leads to, by the links at the top. Raises ConfigError."""
        top, _, rest = path.strip("/").partition("/")
        if self.tree.is_symlink(top):
            target = self.tree.readlink(top).strip("/")
            path = f"/{target}/{rest}" if rest else f"/{target}"
        parts = [part for part in path.split("/") if part]
        if len(parts) < 2 or parts[0] != "var" or ".." in parts:
            raise ConfigError(f"{path} is not below /var, where alone directories can be made")
        return "/".join(parts[1:])


@contextmanager
def open_deployed(tree: Path, var: Path) -> Iterator[Deployed]:
    """Open both."""
    with Root(tree) as opened, Root(var) as state:
        yield Deployed(opened, state)
