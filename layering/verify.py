# SPDX-License-Identifier: GPL-2.0-or-later
"""Comparing deployed trees with their commits: each file of /usr, and what else must be there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from rpmtree.errors import StoreError
from rpmtree.ostree import objects
from rpmtree.ostree.checking import Checker, is_directory, read_xattrs
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory, load


class Wrong(Enum):
    """What is wrong with a path."""

    DIFFERS = "differs"
    MISSING = "missing"
    EXTRA = "extra"
    #: The repository can't say what should be there.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """A path of a deployment (from `/` on) that is not as its commit has it, and in what.

    `file` is the object that should be there, `meta` the dirmeta object of a directory.
    """

    path: str
    wrong: Wrong
    what: str = ""
    file: bytes | None = None
    meta: bytes | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.wrong.value}{f' ({self.what})' if self.what else ''}"


def verify(store: Store, deployment: Deployment, checker: Checker) -> Iterator[Finding]:
    """All that is wrong with a deployment, parents before what is below them."""
    try:
        commit = store.commit(bytes.fromhex(deployment.checksum))
        root = load(store, commit.tree, commit.meta)
    except StoreError as error:
        yield Finding("/", Wrong.UNKNOWN, error.message)
        return
    look = _Look(store, str(deployment.path), checker)
    # /etc, /var and mount points belong to the machine: that they are directories is all that is asked.
    for name in sorted(root.dirs):
        if name == "usr":
            yield from look.directory("/usr", root.dirs[name])
        elif not os.path.isdir(f"{look.top}/{name}") or os.path.islink(f"{look.top}/{name}"):
            yield Finding(f"/{name}", look.absence(f"/{name}"), "no directory", meta=root.dirs[name].meta)
    for name in sorted(root.files):
        yield from look.file(f"/{name}", root.files[name])


class _Look:
    def __init__(self, store: Store, top: str, checker: Checker) -> None:
        self.store = store
        self.top = top
        self.checker = checker

    def absence(self, path: str) -> Wrong:
        return Wrong.DIFFERS if os.path.lexists(self.top + path) else Wrong.MISSING

    def directory(self, path: str, wanted: Directory) -> Iterator[Finding]:
        real = self.top + path
        try:
            info = os.lstat(real)
            if not stat.S_ISDIR(info.st_mode):
                yield Finding(path, Wrong.DIFFERS, "no directory", meta=wanted.meta)
                return
            if not is_directory(real, info, wanted.meta):
                yield Finding(path, Wrong.DIFFERS, _how_directory(real, info, wanted.meta), meta=wanted.meta)
            names = set(os.listdir(real))
        except FileNotFoundError:
            yield from self.missing(path, wanted)
            return
        except OSError as error:
            yield Finding(path, Wrong.DIFFERS, f"can't be read: {error.strerror}", meta=wanted.meta)
            return
        for name in sorted(wanted.files):
            yield from self.file(f"{path}/{name}", wanted.files[name])
        for name in sorted(wanted.dirs):
            yield from self.directory(f"{path}/{name}", wanted.dirs[name])
        for name in sorted(names - set(wanted.files) - set(wanted.dirs)):
            yield Finding(f"{path}/{name}", Wrong.EXTRA)

    def missing(self, path: str, wanted: Directory) -> Iterator[Finding]:
        """A directory that is gone, with all that should be in it."""
        for inner, directory in wanted.walk():
            where = f"{path}/{inner}" if inner else path
            yield Finding(where, Wrong.MISSING, meta=directory.meta)
            for name in sorted(directory.files):
                yield Finding(f"{where}/{name}", Wrong.MISSING, file=directory.files[name])

    def file(self, path: str, checksum: bytes) -> Iterator[Finding]:
        real = self.top + path
        try:
            if not self.checker.is_file(real, checksum):
                yield Finding(path, Wrong.DIFFERS, self._how(real, checksum), file=checksum)
        except FileNotFoundError:
            yield Finding(path, Wrong.MISSING, file=checksum)
        except OSError as error:
            yield Finding(path, Wrong.DIFFERS, f"can't be read: {error.strerror}", file=checksum)

    def _how(self, real: str, checksum: bytes) -> str:
        """In what a file differs from its object, where that is a file of its own and whole."""
        info, whole = os.lstat(real), self.store.object_path(Kind.FILE, checksum)
        try:
            other = os.lstat(whole)
            if (info.st_dev, info.st_ino) == (other.st_dev, other.st_ino) or not self.checker.is_file(whole, checksum):
                return "and its object is damaged"
            found = [
                what
                for what, differs in {
                    "kind": stat.S_IFMT(info.st_mode) != stat.S_IFMT(other.st_mode),
                    "mode": stat.S_IMODE(info.st_mode) != stat.S_IMODE(other.st_mode),
                    "owner": (info.st_uid, info.st_gid) != (other.st_uid, other.st_gid),
                    "xattrs": read_xattrs(real) != read_xattrs(whole),
                }.items()
                if differs
            ]
        except OSError:
            return "and its object is missing"
        # Where metadata is all the same, or does not explain it, so does the content.
        if info.st_size != other.st_size or not found:
            found.insert(0, "content")
        return ", ".join(found)


def _how_directory(real: str, info: os.stat_result, meta: bytes) -> str:
    mode, uid, gid, xattrs = objects.parse_dirmeta_xattrs(meta)
    found = {
        "mode": stat.S_IMODE(info.st_mode) != mode,
        "owner": (info.st_uid, info.st_gid) != (uid, gid),
        "xattrs": read_xattrs(real) != xattrs,
    }
    return ", ".join(what for what, differs in found.items() if differs)
