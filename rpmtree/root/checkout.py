# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree in memory becomes a tree of hard links to objects, or is brought up to date from the last one.

The result is the lower layer of an overlay: nothing ever writes to it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import remove_tree
from rpmtree.ostree import objects, tree
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory


class Checkout:
    """The checkout at `path`, and beside it a note of the tree that it holds."""

    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self.path = path
        self._note = path.with_name(f"{path.name}.tree")

    def update(self, wanted: Directory) -> None:
        """Make the directory hold `wanted`. Raises StoreError.

        What stands there from before is only changed where it differs. One that was interrupted has no note, and
        one with a directory that was changed behind our back is not trusted: both are made anew.
        """
        present = self._present()
        self._note.unlink(missing_ok=True)
        try:
            if present is None:
                remove_tree(self.path)
                self.path.mkdir(parents=True)
                present = Directory()
            _change(self._store, str(self.path), present, wanted)
        except OSError as error:
            raise StoreError(f"can't check out to {self.path}: {error.strerror or error}") from error
        newest = max(os.lstat(f"{self.path}/{name}").st_ctime_ns for name, _ in wanted.walk())
        note = newest.to_bytes(8, "big") + tree.pack(wanted)
        self._note.write_bytes(hashlib.sha256(note).digest() + note)

    def _present(self) -> Directory | None:
        try:
            data = self._note.read_bytes()
            digest, note = data[:32], data[32:]
            if hashlib.sha256(note).digest() != digest:
                return None
            newest, found = int.from_bytes(note[:8], "big"), tree.unpack(note[8:])
            # Every name that comes, goes or moves changes its directory's time.
            changed = any(os.lstat(f"{self.path}/{name}").st_ctime_ns > newest for name, _ in found.walk())
        except OSError:
            return None
        return None if changed else found


def _change(store: Store, path: str, present: Directory, wanted: Directory) -> None:
    """Change the directory at `path` from one tree to another."""
    for name in present.files.keys() - wanted.files.keys():
        os.unlink(f"{path}/{name}")
    for name in present.dirs.keys() - wanted.dirs.keys():
        remove_tree(Path(f"{path}/{name}"))
    for name, checksum in wanted.files.items():
        there = present.files.get(name)
        if there != checksum:
            if there is not None:
                os.unlink(f"{path}/{name}")
            link_object(store.object_path(Kind.FILE, checksum), f"{path}/{name}")
    for name, directory in wanted.dirs.items():
        found = present.dirs.get(name)
        if found is None:
            found = Directory(b"")
            os.mkdir(f"{path}/{name}")
        _change(store, f"{path}/{name}", found, directory)
    if present.meta != wanted.meta:
        mode, uid, gid = objects.parse_dirmeta(wanted.meta)
        os.chown(path, uid, gid)
        os.chmod(path, mode)


def link_object(source: str, target: str) -> None:
    """Give an object a name in a tree, or a copy of it where it has too many already. Raises OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        # A file system has only so many names for a file (65,000 on ext4), and all empty files are one object.
        shutil.copy2(source, target, follow_symlinks=False)
        found = os.lstat(source)
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
        if not os.path.islink(target):
            os.chmod(target, found.st_mode & 0o7777)
            for name in os.listxattr(source):  # after chown, which takes capabilities away
                os.setxattr(target, name, os.getxattr(source, name))
