# SPDX-License-Identifier: GPL-2.0-or-later
"""A root becomes a plain directory tree, or a plain tree a copy of its own: owners, modes, xattrs, times are kept.

Where the file system can, contents are shared until one of the two is written to.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree.errors import StoreError, ToolError
from rpmtree.ostree.objects import WHITEOUT_PREFIX, is_whiteout
from rpmtree.pkgcache.paths import MAX_DEPTH, Fate, place
from rpmtree.root.assemble import AssembledRoot
from rpmtree.rpm.package import Package

#: What belongs to where a tree lies, and not to the tree.
_OF_THE_PLACE = ("security.selinux", "trusted.overlay.")
#: Errors of copy_file_range(2) for files that it can't copy; read and write can.
_NOT_IN_KERNEL = frozenset((errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS))


def copy_assembled(assembled: AssembledRoot, target: Path, dropped: Callable[[str], None]) -> None:
    """Copy a root that is mounted to the new directory `target`; see `copy_tree`.

    Packages' files of one content are one object below the overlay. In the copy only those names stay together
    that a package or a script made for one file: who edits one of the others must not edit all.
    """
    groups = _link_groups(assembled.packages)
    upper = str(assembled.upper)

    def together(path: str) -> Hashable:
        return "new" if os.path.lexists(f"{upper}/{path}") else groups.get(path)

    copy_tree(assembled.tree.path, target, dropped, together)


def copy_tree(
    source: Path,
    target: Path,
    dropped: Callable[[str], None],
    together: Callable[[str], Hashable] = lambda _: "",
) -> None:
    """Copy the directory `source` to the new directory `target`.

    Names of one file stay names of one file where `together`, given their paths, answers the same for them, and not
    None. A device that stands for a deletion in a layered image becomes a file with OSTree's name for that; other
    devices, pipes and sockets are left out: `dropped` is called with the path of each.
    Raises StoreError; ToolError for a file system that is mounted inside.
    """
    try:
        top = os.path.realpath(source)
        _copy_directory(_Copying(dropped, together, os.stat(top).st_dev), top, str(target), "")
    except OSError as error:
        where = f" {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        raise StoreError(f"can't copy {source} to {target}:{where} {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Copying:
    """What goes along while a tree is copied."""

    dropped: Callable[[str], None]
    together: Callable[[str], Hashable]
    device: int
    #: Inode and group → the copy that the next such name becomes a link to.
    links: dict[tuple[int, int, Hashable], str] = field(default_factory=dict)


def _copy_directory(copying: _Copying, source: str, target: str, path: str) -> None:
    found = os.lstat(source)
    if found.st_dev != copying.device:
        raise ToolError(f"another file system is mounted at {source}", hint="unmount it, then run this again")
    if path.count("/") > MAX_DEPTH:
        raise ToolError(f"the tree has directories deeper than {MAX_DEPTH}, below {path[:100]!r}")
    os.mkdir(target, 0o700)
    with os.scandir(source) as entries:
        for entry in sorted(entries, key=lambda found: found.name):
            below = f"{path}/{entry.name}" if path else entry.name
            info = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                _copy_directory(copying, entry.path, f"{target}/{entry.name}", below)
            elif stat.S_ISREG(info.st_mode):
                _copy_file(copying, entry.path, f"{target}/{entry.name}", below, info)
            elif stat.S_ISLNK(info.st_mode):
                os.symlink(os.readlink(entry.path), f"{target}/{entry.name}")
                _dress(entry.path, f"{target}/{entry.name}", info)
            elif is_whiteout(info.st_mode, info.st_rdev):
                with open(f"{target}/{WHITEOUT_PREFIX}{entry.name}", "xb") as file:
                    os.fchown(file.fileno(), info.st_uid, info.st_gid)
                    os.fchmod(file.fileno(), stat.S_IMODE(info.st_mode))
            else:
                copying.dropped(f"/{below}")
    _dress(source, target, found)


def _copy_file(copying: _Copying, source: str, target: str, path: str, info: os.stat_result) -> None:
    group = copying.together(path) if info.st_nlink > 1 else None
    identity = info.st_dev, info.st_ino, group
    if group is not None and identity in copying.links:
        os.link(copying.links[identity], target)
        return
    with open(source, "rb", buffering=0) as reader, open(target, "xb", buffering=0) as writer:
        if not _copied_in_kernel(reader.fileno(), writer.fileno(), info.st_size):
            shutil.copyfileobj(reader, writer, 1 << 20)
    _dress(source, target, info)
    if group is not None:
        copying.links[identity] = target


def _copied_in_kernel(reader: int, writer: int, size: int) -> bool:
    """Copy by copy_file_range(2), which shares blocks where it can; whether it did, and if not, nothing is copied."""
    done = 0
    try:
        while count := os.copy_file_range(reader, writer, max(size - done, 1 << 20)):
            done += count
    except OSError as error:
        if done or error.errno not in _NOT_IN_KERNEL:
            raise
        return False
    return done > 0 or size == 0


def _dress(source: str, target: str, found: os.stat_result) -> None:
    """Owner, mode, xattrs and times; the owner first, since a new one takes capabilities and setuid bits away."""
    os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(target, stat.S_IMODE(found.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        if not name.startswith(_OF_THE_PLACE):
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _link_groups(packages: tuple[Package, ...]) -> Mapping[str, Hashable]:
    """The package and its number of a file with several names, by each of their places in a root."""
    groups: dict[str, Hashable] = {}
    for package in packages:
        for file in package.files:
            if file.link_group:
                placement = place(file.path.strip("/"))
                if placement.fate is Fate.KEEP:
                    groups[placement.path] = package.nevra, file.link_group
    return groups
