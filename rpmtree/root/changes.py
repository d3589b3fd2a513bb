# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree that an overlay shows, from the tree below and the upper directory: only what changed is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from rpmtree.errors import StoreError, ToolError
from rpmtree.ostree import objects
from rpmtree.ostree.objects import LABEL, WHITEOUT_PREFIX, FileMeta, Xattrs, is_whiteout, labelled
from rpmtree.ostree.store import Staging
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.paths import MAX_DEPTH
from rpmtree.progress import Reporter
from rpmtree.root.labels import Labelling

_OVERLAY = "trusted.overlay."
#: What a commit may hold, after rpm-ostree's filter; user.ima is stored under its effective name.
_KEPT_XATTRS = {"security.capability": b"security.capability", "user.pax.flags": b"user.pax.flags",
                "user.ima": b"security.ima"}  # fmt: skip


def apply_upper(
    staging: Staging,
    base: Directory,
    upper: str,
    dropped: Callable[[str], None],
    labelling: Labelling | None = None,
) -> Directory:
    """The tree of `base` with the changes in the overlay's upper directory; new files are staged, with labels.

    The overlay must be unmounted, for staged files share their inodes with the upper directory, which is of
    no further use. Devices, pipes and sockets are left out: `dropped` is called with the path of each.
    Format: whiteouts are 0:0 character devices, `trusted.overlay.opaque` hides what is below
    (Documentation/filesystems/overlayfs.rst). A whiteout where nothing is below is none of this overlay's, but of an
    image for containers, say: it is kept as the file that `ostree checkout` makes a whiteout of. Raises StoreError;
    ToolError for names that OSTree can't hold.
    """
    try:
        return _apply(_Taken(staging, dropped, labelling), base, upper, "")
    except OSError as error:
        raise StoreError(f"can't read the changed tree at {upper}: {error.strerror or error}") from error


def warn_of_dropped(paths: Iterable[str], reporter: Reporter) -> None:
    """Say what an image, or a copy of one, does without."""
    for path in paths:
        reporter.warning(f"{path} is a device, a pipe or a socket, and not part of the image")


@dataclass(frozen=True, slots=True)
class _Taken:
    """What goes along while a tree is read."""

    staging: Staging
    dropped: Callable[[str], None]
    labelling: Labelling | None
    #: Inode → label and checksum of the files with several names: one name is staged, and changed, for all.
    links: dict[int, tuple[bytes | None, bytes]] = field(default_factory=dict)

    def label(self, path: str, mode: int) -> bytes | None:
        return self.labelling.label(path, mode) if self.labelling else None


def _apply(taken: _Taken, base: Directory | None, upper: str, path: str) -> Directory:
    if path.count("/") > MAX_DEPTH:
        raise ToolError(f"the tree has directories deeper than {MAX_DEPTH}, below {path[:100]!r}")
    opaque = _xattr(upper, f"{_OVERLAY}opaque") == b"y"
    result = Directory()
    if base is not None and not opaque:
        result.files, result.dirs = dict(base.files), dict(base.dirs)
    info = os.lstat(upper)
    xattrs = labelled(_kept_xattrs(upper), taken.label(path, info.st_mode))
    result.meta = objects.dirmeta(info.st_mode, info.st_uid, info.st_gid, xattrs)
    with os.scandir(upper) as entries:
        for entry in sorted(entries, key=lambda found: found.name):
            below = f"{path}/{entry.name}"
            _check_name(below, entry.name)
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                previous = result.dirs.get(entry.name)
                result.files.pop(entry.name, None)
                result.dirs[entry.name] = _apply(taken, previous, entry.path, below)
                continue
            was_there = result.dirs.pop(entry.name, None) is not None or entry.name in result.files
            if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode):
                result.files[entry.name] = _take(taken, entry.path, below, found)
                continue
            result.files.pop(entry.name, None)
            if not is_whiteout(found.st_mode, found.st_rdev):
                taken.dropped(below)
            elif not was_there:
                meta = FileMeta(stat.S_IFREG | stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)
                result.files[f"{WHITEOUT_PREFIX}{entry.name}"] = taken.staging.add_file(meta, b"")
    return result


def _check_name(path: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ToolError(
            f"{path!r} is, or leads to, a name that is not UTF-8, and OSTree holds no other",
            hint="a package's script or a treefile's made it",
        ) from None


def _take(taken: _Taken, path: str, shown: str, found: os.stat_result) -> bytes:
    if stat.S_ISLNK(found.st_mode):
        _check_name(shown, os.readlink(path))
    label = taken.label(shown, found.st_mode)
    if stat.S_ISLNK(found.st_mode) or found.st_nlink == 1:
        return _stage(taken.staging, path, found, label)
    first, checksum = taken.links.setdefault(found.st_ino, (label, b""))
    if not checksum:
        checksum = _stage(taken.staging, path, found, label)
        taken.links[found.st_ino] = label, checksum
    return checksum if first == label or taken.labelling is None else taken.labelling.relabel(checksum, label)


def _stage(staging: Staging, path: str, found: os.stat_result, label: bytes | None) -> bytes:
    if stat.S_ISLNK(found.st_mode):
        meta = FileMeta(found.st_mode, found.st_uid, found.st_gid, os.readlink(path), labelled((), label))
        return staging.add_link(meta)
    xattrs = labelled(_kept_xattrs(path), label)
    for name in os.listxattr(path, follow_symlinks=False):
        if os.fsencode(name) not in dict(xattrs):
            os.removexattr(path, name, follow_symlinks=False)
    for key, value in xattrs:
        if key in (b"security.ima", LABEL):
            os.setxattr(path, key, value)
    return staging.adopt(FileMeta(found.st_mode, found.st_uid, found.st_gid, xattrs=xattrs), path)


def _kept_xattrs(path: str) -> Xattrs:
    names = os.listxattr(path, follow_symlinks=False)
    return tuple(
        sorted((_KEPT_XATTRS[n], os.getxattr(path, n, follow_symlinks=False)) for n in names if n in _KEPT_XATTRS)
    )


def _xattr(path: str, name: str) -> bytes:
    with suppress(OSError):
        return os.getxattr(path, name, follow_symlinks=False)
    return b""
