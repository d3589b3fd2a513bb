# SPDX-License-Identifier: GPL-2.0-or-later
"""All that a compose knows before anything is solved or built: what went before, what the commit is to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from compose import document, metadata, plan
from compose.load import LoadedTreefile
from compose.nodes import Limits, plain
from compose.options import TreeOptions
from compose.plan import Previous
from compose.publish import GpgKey, check_target
from compose.versioning import next_version
from rpmtree.errors import ConfigError, Place, UsageError
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signing import find_gpg_key
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.request import Solution

#: Of a file with metadata, which a program may have made.
_LIMITS = Limits(size=16 * 1024 * 1024, depth=64, nodes=400_000)


@dataclass(frozen=True, slots=True)
class Intent:
    """What a commit is to be made of, and where it goes."""

    options: TreeOptions
    loaded: LoadedTreefile
    repo: Repository
    previous: Previous
    #: What the user adds to the commit.
    metadata: dict[str, Variant]
    version: str | None
    #: What signs the commit.
    key: GpgKey | None
    #: The commit to be the parent, if any.
    parent: bytes | None


def intend(options: TreeOptions, loaded: LoadedTreefile) -> Intent:
    """Look at the repository, the commit before and the signing key. Raises ConfigError, StoreError, ToolError."""
    if options.repo is None:
        raise UsageError("--repo is missing", hint="name the repository to commit to: --repo=DIR")
    repo = Repository(options.repo)
    check_target(repo)
    previous = plan.read_previous(repo, loaded.treefile, options)
    extra = _extra_metadata(options, loaded)
    version, key = version_of(loaded, previous, extra), _key(options, loaded)
    return Intent(options, loaded, repo, previous, extra, version, key, _parent(options, repo, previous))


def version_of(loaded: LoadedTreefile, previous: Previous, extra: dict[str, Variant]) -> str | None:
    """The version that `extra` says, or the next automatic one; None without either."""
    if "version" in extra:
        return str(extra["version"].value)
    treefile = loaded.treefile
    if treefile.automatic_version_prefix is None:
        return None
    return next_version(
        treefile.automatic_version_prefix, treefile.automatic_version_suffix, previous.version, datetime.now(UTC)
    )


def _parent(options: TreeOptions, repo: Repository, previous: Previous) -> bytes | None:
    if options.no_parent:
        return None
    if options.parent is None:
        return previous.checksum
    found = repo.resolve(options.parent)
    if found is None:
        raise ConfigError(f"{repo.path} has no commit {options.parent} to be the parent")
    return found


def commit_metadata(intent: Intent, solution: Solution | None, inputhash: str | None) -> dict[str, Variant]:
    """The commit's metadata but for what only the tree can tell; of a tree made elsewhere nobody knows from what."""
    treefile = intent.loaded.treefile
    arguments, command = list(treefile.initramfs_args), list(treefile.container_cmd or ())
    return {
        **(recorded(intent, solution, "inline") if solution else {}),
        **({"rpmostree.initramfs-args": Variant("as", arguments)} if arguments else {}),
        **({"ostree.container-cmd": Variant("as", command)} if command else {}),
        **intent.metadata,
        **({"version": Variant("s", intent.version)} if intent.version else {}),
        **({"rpmostree.inputhash": Variant("s", inputhash)} if inputhash else {}),
    }


def recorded(intent: Intent, solution: Solution, where: str) -> dict[str, Variant]:
    """What is recorded of the repositories and their advisories in that place: "inline" or "detached"."""
    treefile = intent.loaded.treefile
    repos = [(found.id, found.timestamp) for found in solution.repos]
    return {
        **(metadata.repositories(repos) if treefile.repo_metadata == where else {}),
        **(metadata.advisories(solution.advisories) if treefile.advisories_metadata == where else {}),
    }


def _key(options: TreeOptions, loaded: LoadedTreefile) -> GpgKey | None:
    """The key that the treefile names, which is looked for now and not when all is done. Raises ToolError."""
    if loaded.treefile.gpg_key is None or options.dry_run or options.download_only or options.download_only_rpms:
        return None
    return GpgKey(find_gpg_key(loaded.treefile.gpg_key, options.gpg_homedir), options.gpg_homedir)


def _extra_metadata(options: TreeOptions, loaded: LoadedTreefile) -> dict[str, Variant]:
    """What the user adds to the commit: the treefile's, then a JSON file's, then the command line's."""
    place = loaded.places.get("add-commit-metadata")
    found = {key: metadata.from_json(value, place) for key, value in loaded.treefile.add_commit_metadata.items()}
    if options.metadata_json is not None:
        found |= _metadata_in(options.metadata_json)
    return found | metadata.from_strings(options.metadata_strings)


def _metadata_in(path: Path) -> dict[str, Variant]:
    """The values of a JSON file, which may be a pipe. Raises ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", place=Place(str(path))) from error
    root = document.parse(data, str(path), limits=_LIMITS, as_json=True)
    if not isinstance(root.value, Mapping):
        raise ConfigError("is not a JSON object", place=root.place)
    return {key: metadata.from_json(plain(value), value.place) for key, value in root.value.items()}
