# SPDX-License-Identifier: GPL-2.0-or-later
"""A tree in memory becomes a tree of hard links to objects, or is brought up to date from the last one.

The result is the lower layer of an overlay: nothing ever writes to it.
"""

from __future__ import annotations

import os
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

    def update(self, wanted: Directory, checksums: tuple[bytes, bytes]) -> None:
        """Make the directory hold `wanted`, whose dirtree and dirmeta checksums are given. Raises StoreError.

        What stands there from before is only changed where it differs. A checkout that was interrupted
        has no note, and is made anew.
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
        self._note.write_text(" ".join(checksum.hex() for checksum in checksums))

    def _present(self) -> Directory | None:
        try:
            checksums = [bytes.fromhex(text) for text in self._note.read_text().split()]
            return tree.load(self._store, checksums[0], checksums[1])
        except (FileNotFoundError, IndexError, ValueError, StoreError):
            return None


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
            os.link(store.object_path(Kind.FILE, checksum), f"{path}/{name}", follow_symlinks=False)
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
