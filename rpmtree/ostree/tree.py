# SPDX-License-Identifier: GPL-2.0-or-later
"""Directory trees in memory: read from a store, changed, written back. Files are checksums here, never content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rpmtree.ostree import objects
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.variant import parse, serialise

DEFAULT_META = objects.dirmeta(0o755)
#: Of a dirtree and a dirmeta object.
Checksums = tuple[bytes, bytes]
_Read = Callable[[], "tuple[dict[str, bytes], dict[str, Directory]]"]


class Directory:
    """A directory of a tree. `meta` is its dirmeta object, `files` maps names to content checksums.

    The one mutable value of the engine: a tree of a distribution has tens of thousands of names, and
    putting it together means changing it.
    """

    __slots__ = ("_copied_from", "_read", "_stored", "dirs", "files", "meta")
    files: dict[str, bytes]
    dirs: dict[str, Directory]

    def __init__(
        self, meta: bytes = DEFAULT_META, *, stored: Checksums | None = None, read: _Read | None = None
    ) -> None:
        """With `read`, names are read when they are first looked at; `stored` are then the checksums of the objects."""
        self.meta = meta
        self._copied_from: Directory | None = None
        self._stored = stored
        self._read = read
        if read is None:
            self.files, self.dirs = {}, {}

    def __getattr__(self, name: str) -> Any:
        """`files` or `dirs` before they are read. Raises StoreError."""
        if name not in ("files", "dirs"):
            raise AttributeError(name)
        assert self._read is not None
        self.files, self.dirs = self._read()
        self._read = None
        return getattr(self, name)

    @property
    def unread(self) -> bytes | None:
        """The checksum of the dirtree, where nobody has looked at the names, let alone changed them."""
        return self._stored[0] if self._read is not None and self._stored is not None else None

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
        twin = Directory(self.meta, stored=self._stored if self._read else None, read=self._read)
        twin._copied_from = self
        if self._read is not None:
            return twin
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

    def same_as(self, other: Directory) -> bool:
        """Whether two trees hold the same; what nobody has looked at is compared by its checksum."""
        if self.meta != other.meta:
            return False
        if (other.unread is not None and self._stored and self._stored[0] == other.unread) or self is other:
            return True
        return (
            self.files == other.files
            and self.dirs.keys() == other.dirs.keys()
            and all(below.same_as(other.dirs[name]) for name, below in self.dirs.items())
        )

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Directory]]:
        """Each directory from here on with its path, sorted, parents first."""
        yield prefix, self
        for name in sorted(self.dirs):
            yield from self.dirs[name].walk(f"{prefix}/{name}" if prefix else name)

    def all_files(self) -> frozenset[bytes]:
        """The checksums of all files and links from here on."""
        return frozenset(checksum for _, below in self.walk() for checksum in below.files.values())


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


def load(store: Store, tree: bytes, meta: bytes) -> Directory:
    """Read the tree with these dirtree and dirmeta checksums. Raises StoreError."""
    root = look_at(store, tree, meta)
    for _ in root.walk():
        pass
    return root


def look_at(store: Store, tree: bytes, meta: bytes, *, whole: bool = True) -> Directory:
    """The tree with these dirtree and dirmeta checksums, whose directories are read when somebody looks at them.

    Unless it is to be `whole`, directories that the store has not got are left out. Raises StoreError, then too.
    """
    metas: dict[bytes, bytes] = {}

    def one(tree: bytes, meta: bytes) -> Directory:
        if meta not in metas:
            metas[meta] = store.read(Kind.DIRMETA, meta)

        def read() -> tuple[dict[str, bytes], dict[str, Directory]]:
            files, below = objects.parse_dirtree(store.read(Kind.DIRTREE, tree))
            there = (item for item in below.items() if whole or store.has(Kind.DIRTREE, item[1][0]))
            return files, {name: one(*checksums) for name, checksums in there}

        return Directory(metas[meta], stored=(tree, meta), read=read)

    return one(tree, meta)


@dataclass(frozen=True, slots=True)
class Written:
    """A tree that was staged: the root's checksums, and its metadata objects; not those below what nobody looked at."""

    tree: bytes
    meta: bytes
    dirtrees: frozenset[bytes]
    dirmetas: frozenset[bytes]


def write(staging: Staging, directory: Directory) -> Written:
    """Stage a tree's directory objects; those of its files must be staged or stored."""
    dirtrees: set[bytes] = set()
    metas: dict[bytes, bytes] = {}

    def write_one(directory: Directory) -> tuple[bytes, bytes]:
        if (unread := directory.unread) is not None:
            dirtrees.add(unread)
            return unread, write_meta(directory)
        below = {name: write_one(found) for name, found in directory.dirs.items()}
        if (known := directory.unchanged(below)) is not None:
            dirtrees.add(known[0])
            metas.setdefault(directory.meta, known[1])
            return known
        tree = staging.add_metadata(Kind.DIRTREE, objects.dirtree(directory.files, below))
        dirtrees.add(tree)
        return tree, write_meta(directory)

    def write_meta(directory: Directory) -> bytes:
        if directory.meta not in metas:
            metas[directory.meta] = staging.add_metadata(Kind.DIRMETA, directory.meta)
        return metas[directory.meta]

    tree, meta = write_one(directory)
    return Written(tree, meta, frozenset(dirtrees), frozenset(metas.values()))
