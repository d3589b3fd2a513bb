# SPDX-License-Identifier: GPL-2.0-or-later
"""What several finishing steps do to a tree: replace on change, move, list what is left.

A file that is written is hashed again at commit, so steps read first and write only what differs.
"""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterable, Iterator

from rpmtree.errors import ToolError
from rpmtree.files import Root

_MAX_LINKS = 40  # as the kernel allows in one path
_NAMES_IN_A_WARNING = 10


def is_file(root: Root, path: str) -> bool:
    """Whether the entry itself is a regular file."""
    return root.lexists(path) and stat.S_ISREG(root.lstat(path).st_mode)


def is_real_dir(root: Root, path: str) -> bool:
    """Whether the entry itself is a directory, and not a link to one."""
    return root.lexists(path) and stat.S_ISDIR(root.lstat(path).st_mode)


def read_if_file(root: Root, path: str) -> str | None:
    """The text of what `path` leads to inside the tree, or None if that is no regular file."""
    if not root.exists(path) or not stat.S_ISREG(root.stat(path).st_mode):
        return None
    return root.read_text(path)


def resolve(root: Root, path: str) -> str:
    """Where the links at `path` end inside the tree: the path to write in order to keep the links.

    Raises ToolError on a loop.
    """
    for _ in range(_MAX_LINKS):
        if not root.is_symlink(path):
            return path
        path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), root.readlink(path)))
    raise ToolError(f"/{path.lstrip('/')} is a loop of symbolic links")


def put(root: Root, path: str, text: str, mode: int | None = None) -> bool:
    """Make `path` a regular file of this text, with missing parents; whether that changed anything.

    A link at `path` is replaced, not followed. `mode` None keeps the mode of a file that is there.
    """
    if is_file(root, path):
        same_mode = mode is None or stat.S_IMODE(root.lstat(path).st_mode) == mode
        if same_mode and root.read_text(path) == text:
            return False
    else:
        root.makedirs(posixpath.dirname(path.strip("/")) or "/")
    root.write(path, text, mode)
    return True


def put_link(root: Root, target: str, path: str) -> bool:
    """Make `path` a link to `target`, with missing parents; whether that changed anything."""
    if root.is_symlink(path) and root.readlink(path) == target:
        return False
    root.makedirs(posixpath.dirname(path.strip("/")) or "/")
    root.symlink(target, path)
    return True


def move(root: Root, source: str, path: str) -> None:
    """Move an entry with all below it, into a directory that is there already where both are directories.

    Directories are made anew, since overlayfs can't rename those of its lower layer (EXDEV); files are renamed.
    """
    if not is_real_dir(root, source):
        root.rename(source, path)
        return
    if not root.is_dir(path):
        found = root.lstat(source)
        root.mkdir(path, stat.S_IMODE(found.st_mode))
        root.chown(path, found.st_uid, found.st_gid)
    for name in root.listdir(source):
        move(root, f"{source}/{name}", f"{path}/{name}")
    root.remove(source)


def empty(root: Root, path: str) -> None:
    """Remove all below a directory."""
    for name in root.listdir(path):
        root.remove(f"{path}/{name}")


def leaves(root: Root, path: str) -> Iterator[str]:
    """The entries at or below `path` that hold nothing themselves: files, links, empty directories."""
    if not is_real_dir(root, path):
        yield path.strip("/")
        return
    names = root.listdir(path)
    if not names:
        yield path.strip("/")
    for name in names:
        yield from leaves(root, f"{path}/{name}")


def some_of(paths: Iterable[str]) -> str:
    """A few paths for a sentence, and how many more there are."""
    names = [f"/{path.lstrip('/')}" for path in paths]
    more = len(names) - _NAMES_IN_A_WARNING
    return ", ".join(names[:_NAMES_IN_A_WARNING]) + (f" and {more} more" if more > 0 else "")
