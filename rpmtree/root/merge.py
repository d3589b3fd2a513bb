# SPDX-License-Identifier: GPL-2.0-or-later
"""Many package trees become one. Works on trees in memory; nothing on disk is read but objects.

Packages come in install order. As in rpm, a directory gets the mode of the last package that owns it,
and two packages may own one path if they have the same file there. Links of one package lead the files
of another, as on a running system, but never out of the tree.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from rpmtree.errors import ConflictError, ToolError
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.importer import TMPFILES_DIRECTORY
from rpmtree.pkgcache.paths import Fate, Placement, place
from rpmtree.root.spec import FileFilter
from rpmtree.rpm.filestates import left_out
from rpmtree.rpm.package import File, Package

_MAX_LINKS = 40
_MODULES = "usr/lib/modules"


def left_out_of(chosen: FileFilter, package: Package) -> frozenset[str]:
    """The paths of the package that are not installed: by rpm's rules, and those that the treefile removes."""
    out = left_out(package.files, install_langs=chosen.languages, documentation=chosen.documentation)
    expressions = chosen.removed.get(package.name)
    if not expressions:
        return out
    return out.union(file.path for file in package.files if any(found.search(file.path) for found in expressions))


class Merger:
    """Takes packages one by one into `root`, which may hold the tree of a base that `packages` are in already.

    A file of the base stays where a package has the same: a script of the base may have changed it since.
    `target_of` gives the target of a link in that tree by its checksum, None for what is no link.
    """

    def __init__(
        self,
        file_filter: FileFilter,
        root: Directory | None = None,
        packages: Sequence[Package] = (),
        target_of: Callable[[bytes], str | None] = lambda checksum: None,
    ) -> None:
        self.root = Directory() if root is None else root
        self._filter = file_filter
        #: Links of packages by their path in the tree.
        self._links: dict[str, str] = {}
        self._target_of = target_of
        self._packages = list(packages)
        self._below = len(packages)
        self._overriding = False

    def add(self, package: Package, tree: Directory, *, override: bool = False) -> None:
        """Take a package's tree, which is changed by it; with `override` its files replace those of others.

        Raises ConflictError, ToolError.
        """
        skipped, owned = self._describe(package)
        if skipped:
            _drop(tree, skipped)
        self._overriding = override
        self._merge("", self.root, tree, package, owned)
        self._packages.append(package)

    def remove(self, packages: Collection[Package]) -> None:
        """Take packages of the base out of the tree, but for what others of the base own, too."""
        names = {package.nevra for package in packages}
        self._packages = [package for package in self._packages if package.nevra not in names]
        self._below = len(self._packages)
        homes: dict[str, str] = {}
        shared = {path for other in self._packages for path in self._paths(other, homes)}
        gone = {path for package in packages for path in self._paths(package, homes)} - shared
        _drop(self.root, [*gone, *(f"{TMPFILES_DIRECTORY}/{package.name}.conf" for package in packages)])
        _drop_kernels(self.root, gone, shared)

    def _paths(self, package: Package, homes: dict[str, str]) -> Iterator[str]:
        """Where the files of a package are in the tree, links on the way followed; `homes` holds what is known."""
        for file in package.files:
            placement = _place(file.path)
            if placement.fate is Fate.KEEP:
                parent, _, name = placement.path.rpartition("/")
                if parent not in homes:
                    resolved = self._resolve(parent, 0)
                    homes[parent] = parent if resolved is None else resolved
                yield f"{homes[parent]}/{name}" if homes[parent] else name

    def _describe(self, package: Package) -> tuple[list[str], set[str]]:
        """Places of files that are left out, and of directories that the package owns; notes its links."""
        skipped, owned = [], set()
        out = left_out_of(self._filter, package)
        for file in package.files:
            kind = stat.S_IFMT(file.mode)
            if kind == stat.S_IFREG and not out:
                continue
            placement = _place(file.path)
            if placement.fate is not Fate.KEEP:
                continue
            if file.path in out:
                skipped.append(placement.path)
            elif kind == stat.S_IFDIR:
                owned.add(placement.path)
            elif kind == stat.S_IFLNK:
                self._links.setdefault(placement.path, file.target)
        return skipped, owned

    def _merge(self, path: str, into: Directory, tree: Directory, package: Package, owned: set[str]) -> None:
        for name, checksum in tree.files.items():
            present = into.files.get(name)
            below = f"{path}/{name}" if path else name
            if present is None and name not in into.dirs:
                into.files[name] = checksum
            elif present != checksum:
                into.files[name] = self._settle(below, present, checksum, package)
        for name, directory in tree.dirs.items():
            below = f"{path}/{name}" if path else name
            found = into.dirs.get(name)
            if found is None:
                if name in into.files:
                    found = self._through_link(below, into.files[name], package)
                else:
                    into.dirs[name] = directory
                    continue
            if below in owned:
                found.meta = directory.meta
            self._merge(below, found, directory, package, owned)

    def _settle(self, path: str, present: bytes | None, checksum: bytes, package: Package) -> bytes:
        """Which of two different files stays: the later one, if they differ in no more than mode or owner."""
        mine = _file_at(package, path)
        if self._overriding and present is not None:
            return checksum
        for number, other in enumerate(self._packages):
            theirs = _file_at(other, path)
            if theirs is None or mine is None:
                continue
            if present is None or (mine.digest, mine.target) != (theirs.digest, theirs.target):
                raise ConflictError(
                    f"/{path}",
                    [str(other.nevra), str(package.nevra)],
                    hint="exclude one of the packages, or name the file in remove-from-packages",
                )
            if number < self._below:
                return present
        if present is None:
            raise self._conflict_of_kinds(path, package)
        return checksum

    def _conflict_of_kinds(self, path: str, package: Package) -> ConflictError:
        """A directory and something else at one path."""
        owners = (other for other in self._packages if any(_is_at_or_below(file, path) for file in other.files))
        owner = next((str(other.nevra) for other in owners), "an earlier package")
        return ConflictError(f"/{path}", [owner, str(package.nevra)], hint="exclude one of the packages")

    def _through_link(self, path: str, checksum: bytes, package: Package) -> Directory:
        """The directory that the link at `path` leads to. Raises ConflictError where there is a file and no link."""
        if self._target(path, checksum) is None:
            raise self._conflict_of_kinds(path, package)
        target = self._resolve(path, 0)
        if target is None:
            raise ToolError(
                f"{package.nevra} has files below /{path}, which is not a directory in the tree",
                hint="it is a file or a link of another package",
            )
        return self.root.make(target)

    def _target(self, path: str, checksum: bytes) -> str | None:
        """The target of the link at `path`, of a package or of the base; None for what is no link."""
        return self._links.get(path) or self._target_of(checksum)

    def _resolve(self, path: str, depth: int) -> str | None:
        """`path` with all links followed inside the tree; None where a file or a loop is in the way."""
        done: list[str] = []
        rest = path.split("/")[::-1]
        while rest:
            part = rest.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            here = "/".join([*done, part])
            parent = self.root.directory("/".join(done))
            if parent is None or part not in parent.files:
                done.append(part)
                continue
            depth += 1
            target = self._target(here, parent.files[part])
            if target is None or depth > _MAX_LINKS:
                return None
            if target.startswith("/"):
                done = []
            rest += target.split("/")[::-1]
        resolved = "/".join(done)
        return resolved if place(resolved).fate is Fate.KEEP else None


def _place(path: str) -> Placement:
    return place(path[1:])


def _file_at(package: Package, path: str) -> File | None:
    """The package's file that is placed at `path`."""
    return next((file for file in package.files if not file.is_ghost and _place(file.path).path == path), None)


def _is_at_or_below(file: File, path: str) -> bool:
    placed = _place(file.path).path
    return not file.is_ghost and (placed == path or placed.startswith(f"{path}/"))


def _drop(tree: Directory, paths: Iterable[str]) -> None:
    """Take files out of a tree, and directories of the list that are empty then."""
    for path in sorted(paths, reverse=True):
        parent, _, name = path.rpartition("/")
        directory = tree.directory(parent)
        if directory is None:
            continue
        directory.files.pop(name, None)
        below = directory.dirs.get(name)
        if below is not None and not below.files and not below.dirs:
            del directory.dirs[name]


def _drop_kernels(tree: Directory, gone: Collection[str], left: Collection[str]) -> None:
    """Take out what was made for a kernel that is gone: its initramfs, the index of its modules."""
    modules = tree.directory(_MODULES)
    if modules is None:
        return
    for version in sorted(modules.dirs):
        prefix = f"{_MODULES}/{version}/"
        if any(path.startswith(prefix) for path in gone) and not any(path.startswith(prefix) for path in left):
            del modules.dirs[version]
