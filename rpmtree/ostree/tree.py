# SPDX-License-Identifier: GPL-2.0-or-later
"""Directory trees in memory: read from a store, changed, written back. Files are checksums here, never content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rpmtree.ostree import objects
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.variant import parse, serialise

DEFAULT_META = objects.dirmeta(0o755)


class Directory:
    """A directory of a tree. `meta` is its dirmeta object, `files` maps names to content checksums.

    The one mutable value of the engine: a tree of a distribution has tens of thousands of names, and
    putting it together means changing it.
    """

    __slots__ = ("_copied_from", "_stored", "dirs", "files", "meta")

    def __init__(self, meta: bytes = DEFAULT_META) -> None:
        self.meta = meta
        self.files: dict[str, bytes] = {}
        self.dirs: dict[str, Directory] = {}
        #: The checksums of the objects that it was loaded from, or that what it is a copy of was.
        self._stored: tuple[bytes, bytes] | None = None
        self._copied_from: Directory | None = None

    def directory(self, path: str) -> Directory | None:
        """The directory at `path` (no leading slash; empty is this one), without following links."""
        found: Directory | None = self
        for name in path.split("/") if path else ():
            found = found.dirs.get(name) if found else None
        return found

    def make(self, path: str) -> Directory:
        """The directory at `path`, made with its parents where missing. Raises NotADirectoryError."""
        found = self
        for name in path.split("/") if path else ():
            if name in found.files:
                raise NotADirectoryError(path)
            below = found.dirs.get(name)
            if below is None:
                below = found.dirs[name] = Directory()
            found = below
        return found

    def copy(self) -> Directory:
        """The same tree, which can be changed without changing this one. This one is not to be changed from then on."""
        twin = Directory(self.meta)
        twin._copied_from = self
        twin.files = dict(self.files)
        twin.dirs = {name: below.copy() for name, below in self.dirs.items()}
        return twin

    def forget(self) -> None:
        """Be a tree of its own: to be called on one that was loaded and is then changed."""
        self._stored = None

    def unchanged(self, below: Mapping[str, tuple[bytes, bytes]]) -> tuple[bytes, bytes] | None:
        """Its checksums, if it is a copy of what was loaded and holds the same; its directories are `below`."""
        first = self._copied_from
        if first is None or first._stored is None or first.meta != self.meta or first.files != self.files:
            return None
        if first.dirs.keys() != below.keys():
            return None
        return first._stored if all(first.dirs[name]._stored == sums for name, sums in below.items()) else None

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Directory]]:
        """Each directory from here on with its path, sorted, parents first."""
        yield prefix, self
        for name in sorted(self.dirs):
            yield from self.dirs[name].walk(f"{prefix}/{name}" if prefix else name)


_PACKED = "(ayaayayayay)"


def pack(directory: Directory) -> bytes:
    """A whole tree in one piece, which is read a good deal faster than its thousands of objects.

    Paths of directories (NUL between them), their distinct dirmetas, a number (2 bytes) of one for each
    directory; paths of files, their checksums.
    """
    directories, numbers, files, checksums = [], bytearray(), [], bytearray()
    metas: dict[bytes, int] = {}
    for path, found in directory.walk():
        directories.append(path)
        numbers += metas.setdefault(found.meta, len(metas)).to_bytes(2, "big")
        for name in sorted(found.files):
            files.append(f"{path}/{name}" if path else name)
            checksums += found.files[name]
    return serialise(_PACKED, (_joined(directories), list(metas), numbers, _joined(files), checksums))


def unpack(data: bytes) -> Directory:
    """The inverse of `pack`. Raises ValueError for what `pack` did not make."""
    directories, metas, numbers, files, checksums = parse(_PACKED, data)
    root = Directory()
    places = {"": root}
    for at, path in enumerate(_split(directories)):
        if path:
            parent, _, name = path.rpartition("/")
            places[path] = places[parent].dirs[name] = Directory()
        places[path].meta = metas[int.from_bytes(numbers[2 * at : 2 * at + 2], "big")]
    names = _split(files) if checksums else []
    if len(names) * 32 != len(checksums):
        raise ValueError("not a packed tree")
    for at, path in enumerate(names):
        parent, _, name = path.rpartition("/")
        places[parent].files[name] = checksums[32 * at : 32 * at + 32]
    return root


def _joined(paths: list[str]) -> bytes:
    return "\0".join(paths).encode("utf-8", "surrogateescape")


def _split(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogateescape").split("\0")


def load(store: Store, tree: bytes, meta: bytes, *, whole: bool = True) -> Directory:
    """Read the tree with these dirtree and dirmeta checksums. Raises StoreError.

    Unless it is to be `whole`, directories that the store has not got are left out.
    """
    metas: dict[bytes, bytes] = {}

    def load_one(tree: bytes, meta: bytes) -> Directory:
        if meta not in metas:
            metas[meta] = store.read(Kind.DIRMETA, meta)
        found = Directory(metas[meta])
        found._stored = tree, meta
        found.files, below = objects.parse_dirtree(store.read(Kind.DIRTREE, tree))
        found.dirs = {
            name: load_one(*checksums)
            for name, checksums in below.items()
            if whole or store.has(Kind.DIRTREE, checksums[0])
        }
        return found

    return load_one(tree, meta)


@dataclass(frozen=True, slots=True)
class Written:
    """A tree that was staged: the root's checksums, and all metadata objects of the tree."""

    tree: bytes
    meta: bytes
    dirtrees: frozenset[bytes]
    dirmetas: frozenset[bytes]


def write(staging: Staging, directory: Directory) -> Written:
    """Stage a tree's directory objects; those of its files must be staged or stored."""
    dirtrees: set[bytes] = set()
    metas: dict[bytes, bytes] = {}

    def write_one(directory: Directory) -> tuple[bytes, bytes]:
        below = {name: write_one(found) for name, found in directory.dirs.items()}
        if (known := directory.unchanged(below)) is not None:
            dirtrees.add(known[0])
            metas.setdefault(directory.meta, known[1])
            return known
        tree = staging.add_metadata(Kind.DIRTREE, objects.dirtree(directory.files, below))
        dirtrees.add(tree)
        if directory.meta not in metas:
            metas[directory.meta] = staging.add_metadata(Kind.DIRMETA, directory.meta)
        return tree, metas[directory.meta]

    tree, meta = write_one(directory)
    return Written(tree, meta, frozenset(dirtrees), frozenset(metas.values()))
