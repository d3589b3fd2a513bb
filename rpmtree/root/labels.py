# SPDX-License-Identifier: GPL-2.0-or-later
"""The SELinux labels of a commit: every path gets the one that the policy in the very tree has for it.

Which policy that is is known when a root is finished, and not before. A compose imports packages without labels; what
a label makes of a file is another object. Which one, and of which label, is noted beside the packages: so a policy asks
for those files alone to be copied whose labels are new to the cache, and nothing is asked twice. A client, whose base
has a policy, imports packages with its labels, and they are what was wanted but where a package changes the policy.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import Root, sync_filesystem, write_atomically
from rpmtree.ostree import objects
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.relabel import Order, label_of, relabel, relabel_all, relabel_directory
from rpmtree.ostree.selinux import Labeller, Policy, read_policy
from rpmtree.ostree.store import Staging
from rpmtree.ostree.tree import Directory
from rpmtree.ostree.variant import parse, serialise

#: The notes, in the repository of the package cache: who removes that removes them.
NOTES = "strata-labels"
#: Notes of so many policies are kept.
_KEPT = 4
_PACKED = "(ayaayay)"
_ROW = 66
_MENDING = "on a host `layer repair` gets it back; a cache of composes may be removed"
#: Stands for the checksum where a label alone is noted: of a directory, or of what scripts made.
_NONE = b"\0" * 32


@dataclass(frozen=True, slots=True)
class Labels:
    """By what a commit is labelled.

    `base` is a tree that has labels, with configuration at /etc: those of this policy, if `same_policy`. `imported` are
    files that have labels, too, of packages. Notes are kept if `noted`.
    """

    policy: Policy
    base: Directory | None = None
    same_policy: bool = False
    imported: frozenset[bytes] = frozenset()
    noted: bool = False


def policy_in(root: Root) -> Policy | None:
    """The policy that is in force in a root."""

    def read(path: str) -> bytes | None:
        if not root.exists(path) or not stat.S_ISREG(root.stat(path).st_mode):
            return None
        with os.fdopen(root.open(path), "rb") as file:
            return file.read()

    return read_policy(read)


def has_label(meta: bytes) -> bool:
    """Whether a directory (its dirmeta object) has a label."""
    return any(name == objects.LABEL for name, _ in objects.parse_dirmeta_xattrs(meta)[3])


@dataclass(slots=True)
class _Notes:
    """(path, checksum) of a file without its label → its label, and its checksum with it."""

    rows: dict[tuple[str, bytes], tuple[bytes | None, bytes]] = field(default_factory=dict)

    def pack(self) -> bytes:
        labels: dict[bytes | None, int] = {}
        paths, rows = [], bytearray()
        for (path, source), (label, result) in sorted(self.rows.items(), key=lambda row: row[0]):
            paths.append(path)
            rows += source + result + labels.setdefault(label, len(labels)).to_bytes(2, "big")
        names = [label or b"" for label in labels]
        data = serialise(_PACKED, ("\0".join(paths).encode("utf-8", "surrogateescape"), names, rows))
        return hashlib.sha256(data).digest() + data

    @classmethod
    def read(cls, path: Path) -> _Notes:
        """What was noted; nothing where that was cut short, or is not there."""
        try:
            data = path.read_bytes()
        except OSError:
            return cls()
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            return cls()
        paths, names, rows = parse(_PACKED, data[32:])
        found = cls()
        if rows:
            labels = [name or None for name in names]
            for at, name in enumerate(paths.decode("utf-8", "surrogateescape").split("\0")):
                row = rows[_ROW * at : _ROW * (at + 1)]
                found.rows[name, row[:32]] = labels[int.from_bytes(row[64:], "big")], row[32:64]
        return found


class Labelling:
    """Labels of one commit, while it is made. Use `labelling` to get one."""

    def __init__(self, staging: Staging, labels: Labels, labeller: Labeller) -> None:
        self._staging = staging
        self._labels = labels
        self._labeller = labeller
        self._directory = staging.store.path / NOTES
        self._own = self._directory / labels.policy.checksum
        self._notes = _Notes.read(self._own) if labels.noted else _Notes()
        self._metas: dict[tuple[bytes, bytes | None], bytes] = {}
        self._waiting: list[tuple[Directory, str, str, bytes]] = []
        #: How many were not known.
        self.new = 0

    def label(self, path: str, mode: int) -> bytes | None:
        """The label of a path of the root, as `Policy.place` takes it. Raises ToolError."""
        key = f"{path}/{stat.S_IFMT(mode):o}", _NONE
        known = self._notes.rows.get(key)
        if known is None:
            known = self._notes.rows[key] = self._ask(path, mode), _NONE
            self.new += 1
        return known[0]

    def _ask(self, path: str, mode: int) -> bytes | None:
        return self._labeller.label_in_root(path, mode)

    def relabel(self, checksum: bytes, label: bytes | None) -> bytes:
        """A file or link with another label. Raises StoreError."""
        return self._whole(checksum, relabel(self._staging, checksum, label))

    def label_tree(self, root: Directory) -> None:
        """Give all in a tree, with configuration at /etc, its labels; the tree is changed. Raises StoreError."""
        self._walk("", root, self._labels.base)
        orders: dict[Order, None] = {}
        asked: list[tuple[Directory, str, str, Order]] = []
        for directory, name, path, checksum in self._waiting:
            order = checksum, self._ask(path, self._staging.mode_of(checksum))
            orders[order] = None
            asked.append((directory, name, path, order))
        done = self._made(list(orders))
        for directory, name, path, order in asked:
            directory.files[name] = done[order]
            self._notes.rows[path, order[0]] = order[1], done[order]
        self.new += len(asked)
        self._waiting.clear()

    def keep_notes(self) -> None:
        """Write down what was found out, after what was staged has got its names. Raises StoreError."""
        if not self._labels.noted or not self.new:
            return
        try:
            self._directory.mkdir(exist_ok=True)
            sync_filesystem(self._directory)  # the names of the objects that the notes speak of
            write_atomically(self._own, self._notes.pack())
            by_age = sorted(self._directory.iterdir(), key=lambda path: -path.stat().st_mtime)
            for path in by_age[_KEPT:]:
                path.unlink()
        except OSError as error:
            raise StoreError(f"{self._own} can't be written: {error.strerror}") from error

    def _walk(self, path: str, directory: Directory, base: Directory | None) -> None:
        """Label directories, and the files that are known; the others are put on the list of those that wait."""
        same = base is not None and self._labels.same_policy
        if same and base is not None and directory.unread is not None and directory.same_as(base):
            return
        if not (same and base is not None and base.meta == directory.meta):
            directory.meta = self._meta(path, directory.meta)
        store, rows = self._staging.store, self._notes.rows
        for name, checksum in directory.files.items():
            below = f"{path}/{name}"
            if base is not None and base.files.get(name) == checksum and (same or self._is_right(below, checksum)):
                continue
            if checksum in self._labels.imported and self._is_right(below, checksum):
                continue
            known = rows.get((below, checksum))
            if known is not None and store.has(Kind.FILE, known[1]):
                directory.files[name] = known[1]
            else:
                self._waiting.append((directory, name, below, checksum))
        for name, found in directory.dirs.items():
            self._walk(f"{path}/{name}", found, base.dirs.get(name) if base is not None else None)

    def _meta(self, path: str, meta: bytes) -> bytes:
        key = meta, self.label(path, stat.S_IFDIR)
        if key not in self._metas:
            self._metas[key] = relabel_directory(*key)
        return self._metas[key]

    def _is_right(self, path: str, checksum: bytes) -> bool:
        """Whether a file that has its label, and not one by the kernel, has the right one."""
        return label_of(self._staging.path_of(checksum)) == self.label(path, self._staging.mode_of(checksum))

    def _made(self, orders: list[Order]) -> dict[Order, bytes]:
        """The objects for orders: one that was made for another policy, or another path, or a new one."""
        wanted, store = set(orders), self._staging.store
        done: dict[Order, bytes] = {}
        others = self._directory.glob("*") if orders and self._labels.noted else ()
        for notes in (self._notes, *(_Notes.read(path) for path in sorted(others) if path != self._own)):
            for (_, source), (label, result) in notes.rows.items():
                if (source, label) in wanted and (source, label) not in done and store.has(Kind.FILE, result):
                    done[source, label] = result
        missing = [order for order in orders if order not in done]
        for order, made in zip(missing, relabel_all(self._staging, missing), strict=True):
            done[order] = self._whole(order[0], made)
        return done

    def _whole(self, checksum: bytes, made: bytes | None) -> bytes:
        """What an object was made into. Raises StoreError where it is damaged."""
        if made is None:
            path = self._staging.path_of(checksum)
            raise StoreError(f"the object {path} was changed after it was made", hint=_MENDING)
        return made


@contextmanager
def labelling(staging: Staging, labels: Labels) -> Iterator[Labelling]:
    """Labels for the commit that is made in `staging`. Raises StoreError, ToolError."""
    with Labeller(labels.policy) as labeller:
        yield Labelling(staging, labels, labeller)
