# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees of commits are put on top of packages' trees. Works on trees in memory, as `rpmtree.root.merge` does.

A directory that is there keeps its owner and mode, as in `ostree checkout --union`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rpmtree.errors import ConflictError, ToolError
from rpmtree.ostree import tree
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.paths import Fate, place
from rpmtree.root.spec import LayerCommit
from rpmtree.rpm.package import Package

_ETC = "etc"


@dataclass(frozen=True, slots=True)
class TreeLayer:
    """A tree by the name that people know it by. With `override` its files take the place of others."""

    name: str
    root: Directory
    override: bool = False

    def __str__(self) -> str:
        return f"the layer {self.name}"


def read_layer(store: Store, layer: LayerCommit) -> TreeLayer:
    """The tree of a commit in `store`, with configuration at /etc. Raises StoreError, ToolError."""
    commit = store.commit(layer.checksum)
    root = _plain(tree.look_at(store, commit.tree, commit.meta))
    usr = root.dirs.get("usr")
    if usr is not None and _ETC in usr.dirs:
        if _ETC in root.dirs:
            raise ToolError(f"the layer {layer.name} has /usr/etc beside /etc", hint="only one of the two is wanted")
        root.dirs[_ETC] = usr.dirs.pop(_ETC)
    return TreeLayer(layer.name, root, layer.override)


def put_on(root: Directory, packages: Sequence[Package], layers: Sequence[TreeLayer]) -> None:
    """Put `layers`, one after the other, on the tree of `packages`. Raises ConflictError."""
    for number, layer in enumerate(layers):
        _put(root, layer.root, "", _Placing(layer, layers[:number], packages))


@dataclass(frozen=True, slots=True)
class _Placing:
    """A layer that is being put on others and on packages."""

    layer: TreeLayer
    below: Sequence[TreeLayer]
    packages: Sequence[Package]

    def conflict(self, path: str, hint: str) -> ConflictError:
        return ConflictError(f"/{path}", [self._owner(path), str(self.layer)], hint=hint)

    def _owner(self, path: str) -> str:
        """Whose file or directory it is that is in the way: the last to bring it."""
        parent, _, name = path.rpartition("/")
        for layer in reversed(self.below):
            directory = layer.root.directory(parent)
            if directory is not None and (name in directory.files or name in directory.dirs):
                return str(layer)
        return next((str(package.nevra) for package in self.packages if _has(package, path)), "a package")


def _put(into: Directory, added: Directory, path: str, placing: _Placing) -> None:
    for name, checksum in added.files.items():
        present = into.files.get(name)
        if name in into.dirs:
            raise placing.conflict(f"{path}{name}", "one has a directory there: leave it out of the other")
        if present is not None and present != checksum and not placing.layer.override:
            raise placing.conflict(f"{path}{name}", "what is named in ostree-override-layers may replace files")
        into.files[name] = checksum
    for name, directory in added.dirs.items():
        if name in into.files:
            raise placing.conflict(f"{path}{name}", "one has a directory there: leave it out of the other")
        if name in into.dirs:
            _put(into.dirs[name], directory, f"{path}{name}/", placing)
        else:
            into.dirs[name] = _plain(directory)


def _plain(directory: Directory) -> Directory:
    """The same tree, read whole, which knows nothing of the objects that it came from and may be changed."""
    twin = Directory(directory.meta)
    twin.files = dict(directory.files)
    twin.dirs = {name: _plain(below) for name, below in directory.dirs.items()}
    return twin


def _has(package: Package, path: str) -> bool:
    placed = (place(file.path[1:]) for file in package.files if not file.is_ghost)
    return any(
        found.fate is Fate.KEEP and (found.path == path or found.path.startswith(f"{path}/")) for found in placed
    )
