# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit goes from one `bare` repository to another on the same file system by hard links."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory, Written

_ANEW = "remove {}, then run this again"


#: Objects whose checksum is that of their bytes.
_METADATA = frozenset(f".{kind.value}" for kind in (Kind.DIRTREE, Kind.DIRMETA, Kind.COMMIT))


@dataclass(frozen=True, slots=True)
class Figures:
    """How many objects a repository has, and how many a commit brought, as `ostree` counts them."""

    metadata_total: int
    metadata_written: int
    content_total: int
    content_written: int


def link_commit(source: Store, target: Store, commit: bytes, root: Directory, written: Written) -> Figures:
    """Give all objects of a commit, durable in `source`, a name in `target`.

    Every object is looked for, not only those below new directories: a prune that was interrupted may have
    taken any. The names are durable after the next sync. Raises StoreError; OSError with EXDEV where the two
    are on different file systems.
    """
    wanted = _wanted(commit, root, written)
    present = object_names(target)
    new = dict.fromkeys(Kind, 0)
    for kind in (Kind.FILE, Kind.DIRMETA, Kind.DIRTREE, Kind.COMMIT):
        missing = [checksum for checksum in wanted[kind] if f"{checksum.hex()}.{kind.value}" not in present]
        for checksum in missing:
            _link(source.object_path(kind, checksum), target.object_path(kind, checksum))
        new[kind] = len(missing)
    content = sum(name.endswith(f".{Kind.FILE.value}") for name in present)
    metadata = sum(count for kind, count in new.items() if kind is not Kind.FILE)
    return Figures(len(present) - content + metadata, metadata, content + new[Kind.FILE], new[Kind.FILE])


def _wanted(commit: bytes, root: Directory, written: Written) -> dict[Kind, AbstractSet[bytes]]:
    return {
        Kind.FILE: root.all_files(),
        Kind.DIRMETA: written.dirmetas,
        Kind.DIRTREE: written.dirtrees,
        Kind.COMMIT: {commit},
    }


def object_names(store: Store) -> set[str]:
    """The names of all objects: the checksum in hexadecimal, a dot, the kind."""
    names: set[str] = set()
    with os.scandir(store.path / "objects") as directories:
        for directory in directories:
            names.update(f"{directory.name}{name}" for name in os.listdir(directory.path))
    return names


def _link(source: str, target: str) -> None:
    try:
        try:
            os.link(source, target, follow_symlinks=False)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return
    except FileNotFoundError as error:
        raise StoreError(f"the object {source} has vanished", hint=_ANEW.format(Path(source).parents[2])) from error
    try:
        _check(source)
    except StoreError:
        os.unlink(target)
        raise


def check_commit(source: Store, commit: bytes, root: Directory, written: Written) -> None:
    """Raise StoreError if an object of the commit in `source` was changed since it was made, or is not there."""
    for kind, checksums in _wanted(commit, root, written).items():
        for checksum in checksums:
            _check(source.object_path(kind, checksum))


def _check(path: str) -> None:
    """Far cheaper than to read it: an object is made with the time 0, and whoever writes to it changes that.

    Not so metadata that libostree has pulled here, as those of a layer: they are small, and read.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError as error:
        raise StoreError(f"the object {path} has vanished", hint=_ANEW.format(Path(path).parents[2])) from error
    if stat.S_ISREG(found.st_mode) and found.st_mtime_ns != 0 and not _is_what_it_is_called(Path(path)):
        raise StoreError(f"the object {path} was changed after it was made", hint=_ANEW.format(Path(path).parents[2]))


def _is_what_it_is_called(path: Path) -> bool:
    if path.suffix not in _METADATA:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == f"{path.parent.name}{path.stem}"
