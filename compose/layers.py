# SPDX-License-Identifier: GPL-2.0-or-later
"""The commits that a treefile puts on top of its packages: found by name, brought to where the root is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from compose.load import LoadedTreefile
from compose.options import TreeOptions
from rpmtree.errors import ConfigError
from rpmtree.ostree.refs import resolve
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.store import Store
from rpmtree.root.spec import LayerCommit


@dataclass(frozen=True, slots=True)
class Layers:
    """Commits in `source`, in the order in which they are put on."""

    source: Repository | None
    commits: tuple[LayerCommit, ...] = ()

    def contents(self) -> tuple[str, ...]:
        """What stands for them in the digest of a compose's inputs: what each does, and its content checksum.

        Raises StoreError.
        """
        if self.source is None:
            return ()
        kinds = ("override " if layer.override else "" for layer in self.commits)
        contents = (_content(self.source, layer.checksum) for layer in self.commits)
        return tuple(f"{kind}{content}" for kind, content in zip(kinds, contents, strict=True))

    def fetch(self, store: Store) -> None:
        """Copy them to `store`. Raises StoreError."""
        if self.source is not None:
            for layer in self.commits:
                Repository(store.path).pull_commit(self.source.path, layer.checksum)


def find_layers(loaded: LoadedTreefile, options: TreeOptions, repo: Repository | None) -> Layers:
    """The layers of a treefile, in --layer-repo if it is given, in `repo` if not. Raises ConfigError, StoreError."""
    treefile = loaded.treefile
    named = [(name, "ostree-layers") for name in treefile.ostree_layers]
    named += [(name, "ostree-override-layers") for name in treefile.ostree_override_layers]
    source = repo if not named or options.layer_repo is None else Repository(options.layer_repo)
    commits = []
    for name, key in named:
        if source is None:
            raise ConfigError(
                f"{name} is in no repository",
                place=loaded.places.get(key),
                hint="name the one that has it: --layer-repo",
            )
        checksum = resolve(source.path, name)
        if checksum is None:
            hint = None if options.layer_repo else "--layer-repo=REPO names the repository that has the layers"
            raise ConfigError(f"{source.path} has no {name}", place=loaded.places.get(key), hint=hint)
        commits.append(LayerCommit(name, checksum, key == "ostree-override-layers"))
    return Layers(source, tuple(commits))


def _content(repo: Repository, checksum: bytes) -> str:
    """What `ostree` calls the content checksum: the same for two commits of one tree."""
    commit = repo.commit(checksum)
    return hashlib.sha256(commit.tree + commit.meta).hexdigest()
