# SPDX-License-Identifier: GPL-2.0-or-later
"""A composed commit as what packages are layered on: its tree, its packages, its rpm database."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.ostree import tree
from rpmtree.ostree.objects import Commit, Kind
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory
from rpmtree.root.rpmdb import HOME, HOMES
from rpmtree.root.spec import OptUsrLocal
from rpmtree.rpm.database import DATABASE_FILE, read_records
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import Package, installed_from_header, provides_of
from rpmtree.rpm.signatures import read_header_blob

_STATE_OVERLAY = "usr/lib/systemd/system/local-fs.target.requires/ostree-state-overlay@usr-local.service"


@dataclass(frozen=True, slots=True)
class Base:
    """A commit in `store`. In `root` configuration is at /etc, as programs see it; it is not to be changed.

    `numbers` are those of the packages' records in the file `database`, which is an object and not to be opened
    for writing; `provides` is `name` or `name = [epoch:]version[-release]`.
    """

    store: Store
    checksum: bytes
    commit: Commit
    root: Directory
    database: Path
    packages: tuple[Package, ...]
    numbers: Mapping[Nevra, int] = field(default_factory=dict)
    provides: Mapping[Nevra, tuple[str, ...]] = field(default_factory=dict)

    @property
    def version(self) -> str | None:
        """The commit's version."""
        found = self.commit.metadata.get("version")
        return found.value if found is not None and found.signature == "s" else None

    @property
    def opt_usrlocal(self) -> OptUsrLocal:
        """What /opt and /usr/local are."""
        usr = self.root.dirs["usr"]
        if "local" not in usr.dirs:
            return OptUsrLocal.VAR
        where, _, name = _STATE_OVERLAY.rpartition("/")
        overlays = self.root.directory(where)
        has_overlay = overlays is not None and name in overlays.files
        return OptUsrLocal.STATE_OVERLAY if has_overlay else OptUsrLocal.ROOT

    @property
    def kernel(self) -> str | None:
        """The version of the kernel; None without one."""
        modules = self.root.directory("usr/lib/modules")
        found = [name for name, below in (modules.dirs if modules else {}).items() if "vmlinuz" in below.files]
        return found[0] if len(found) == 1 else None

    def read(self, path: str) -> bytes | None:
        """The content of the file at `path` (no leading slash; links within /etc and /usr are followed), or None."""
        for _ in range(40):
            parent, _, name = path.rpartition("/")
            directory = self.root.directory(parent)
            if directory is None or name not in directory.files:
                return None
            target = self.target(directory.files[name])
            if target is None:
                return self._content(directory.files[name])
            path = os.path.normpath(os.path.join("/", parent, target)).lstrip("/")
        return None

    def text(self, path: str) -> str:
        """As `read`; empty where there is no file."""
        return (self.read(path) or b"").decode("utf-8", "surrogateescape")

    def names(self, path: str) -> tuple[str, ...]:
        """The files of a directory, sorted; none where there is no directory."""
        directory = self.root.directory(path)
        return tuple(sorted(directory.files)) if directory else ()

    def target(self, checksum: bytes) -> str | None:
        """The target of the link with this checksum; None for what is no link."""
        try:
            return os.readlink(self.store.object_path(Kind.FILE, checksum))
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise StoreError(f"{self.store.path}: object {checksum.hex()} can't be read: {error.strerror}") from error

    def _content(self, checksum: bytes) -> bytes:
        try:
            return Path(self.store.object_path(Kind.FILE, checksum)).read_bytes()
        except OSError as error:
            raise StoreError(f"{self.store.path}: object {checksum.hex()} can't be read: {error.strerror}") from error


def read_base(store: Store, checksum: bytes, *, whole: bool = True) -> Base:
    """Read a commit to layer packages on. Raises StoreError if it is not whole, or has no rpm database.

    Unless it is to be `whole`, the rpm database and what else a solve reads is enough.
    """
    commit = store.commit(checksum)
    root = read_root(store, commit, whole=whole)
    if "usr" not in root.dirs:
        raise StoreError(f"the commit {checksum.hex()} has no /usr")
    database = _database(store, checksum, root)
    packages, numbers, provides = [], {}, {}
    for record in read_records(database):
        header = read_header_blob(record.header)
        package = installed_from_header(header, record.header)
        packages.append(package)
        numbers[package.nevra] = record.number
        provides[package.nevra] = provides_of(header)
    return Base(store, checksum, commit, root, database, tuple(packages), numbers, provides)


def read_root(store: Store, commit: Commit, *, whole: bool = True) -> Directory:
    """The tree of a commit with its configuration at /etc, as programs see it. Raises StoreError."""
    root = tree.look_at(store, commit.tree, commit.meta, whole=whole)
    usr = root.dirs.get("usr")
    if usr is not None and "etc" in usr.dirs:
        root.dirs["etc"] = usr.dirs.pop("etc")
        usr.forget()
        root.forget()
    return root


def _database(store: Store, checksum: bytes, root: Directory) -> Path:
    for home in HOMES:
        directory = root.directory(home)
        if directory is not None and DATABASE_FILE in directory.files:
            path = Path(store.object_path(Kind.FILE, directory.files[DATABASE_FILE]))
            if path.is_file():
                return path
            raise StoreError(f"{store.path} lacks the rpm database of {checksum.hex()}", hint="`layer repair` gets it")
    raise StoreError(
        f"the commit {checksum.hex()} has no rpm database in sqlite form at /{HOME}",
        hint="packages can be layered on systems that are made of RPMs",
    )
