# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose tree`: a treefile becomes a commit on a branch. The pipeline, from left to right."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from compose import metadata, plan
from compose.inputhash import digest_externals, input_hash
from compose.layers import Layers, find_layers
from compose.load import LoadedTreefile
from compose.lockfile import read as read_locks
from compose.options import TreeOptions
from compose.plan import Previous
from compose.publish import GpgKey, check_target, publish
from compose.report import Outcome, transaction, write_documents, write_lockfile
from compose.versioning import next_version
from compose.workspace import Workspace, open_workspace
from rpmtree.collector import without_collector
from rpmtree.errors import ConfigError, Place, ToolError
from rpmtree.files import Root
from rpmtree.finish.steps import COMPOSE_STEPS, finish_root
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signing import find_gpg_key
from rpmtree.ostree.variant import Variant
from rpmtree.pkgcache.cache import CachedPackage, PackageCache
from rpmtree.pkgcache.ensure import ensure_imported
from rpmtree.progress import Reporter, step
from rpmtree.root.assemble import assemble_root
from rpmtree.root.commit import CommittedRoot, commit_root
from rpmtree.root.labels import Labels, policy_in
from rpmtree.root.sandbox import check_host
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import Solution
from rpmtree.rpm.solver import PackageSource, open_source

NO_CHANGES = "No apparent changes since previous commit; use --force-nocache to override"


@dataclass(frozen=True, slots=True)
class Intent:
    """All that is known before anything is solved."""

    options: TreeOptions
    loaded: LoadedTreefile
    repo: Repository
    repos: tuple[Repo, ...]
    previous: Previous
    #: What the user adds to the commit.
    metadata: dict[str, Variant]
    version: str | None
    #: What signs the commit.
    key: GpgKey | None
    layers: Layers


def compose_tree(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Outcome:
    """Compose and commit. Raises every ToolError there is; the repository is then as it was before."""
    if os.geteuid() != 0:
        raise ToolError("composing needs root: owners, file capabilities and mounts", hint="run it with sudo")
    with without_collector():
        return _compose(options, loaded, basearch, reporter)


def _compose(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Outcome:
    intent = _intend(options, loaded, basearch, reporter)
    lock = read_locks(options.lockfiles)
    request = plan.package_request(loaded.treefile, intent.repos, lock, options, basearch)
    with open_workspace(options.repo, options.cachedir) as workspace:
        with open_source(
            request, workspace.metadata, offline=options.cache_only, proxy=options.proxy, reporter=reporter
        ) as source:
            solution = _solve(source, reporter)
            outcome = Outcome((), tuple(str(found.nevra) for found in solution.packages), _hash(intent, solution))
            write_lockfile(options, solution)
            if options.dry_run:
                return replace(outcome, lines=transaction(solution))
            if outcome.inputhash == intent.previous.inputhash and not options.force_nocache:
                return replace(outcome, lines=(NO_CHANGES,))
            choices = plan.import_choices(loaded.treefile)
            packages = ensure_imported(PackageCache(workspace.store), source, solution, reporter, choices=choices)
            intent.layers.fetch(workspace.store)
        if options.download_only:
            return outcome
        committed = _build(workspace, packages, intent, _metadata(intent, solution, outcome.inputhash), reporter)
        ref = None if options.write_commitid_to else loaded.treefile.ref
        with step(reporter, "Publishing"):
            detached = _recorded(intent, solution, "detached")
            figures = publish(intent.repo, workspace.store, committed, ref, key=intent.key, detached=detached)
    commit = committed.checksum.hex()
    line = f"{ref} => {commit}" if ref else f"Wrote commit: {commit}"
    outcome = replace(outcome, lines=(line,), commit=commit, ref=ref, version=intent.version)
    write_documents(options, outcome, committed, figures)
    return outcome


def _intend(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Intent:
    repo = Repository(options.repo)
    check_target(repo)
    previous = plan.read_previous(repo, loaded.treefile, options)
    extra = _extra_metadata(options, loaded)
    repos = plan.repositories(loaded, options, basearch, reporter)
    version, key = _version(loaded, previous, extra), _key(options, loaded)
    layers = find_layers(loaded, options, repo)
    return Intent(options, loaded, repo, repos, previous, extra, version, key, layers)


def _key(options: TreeOptions, loaded: LoadedTreefile) -> GpgKey | None:
    """The key that the treefile names, which is looked for now and not when all is done. Raises ToolError."""
    if loaded.treefile.gpg_key is None or options.dry_run or options.download_only:
        return None
    return GpgKey(find_gpg_key(loaded.treefile.gpg_key, options.gpg_homedir), options.gpg_homedir)


def _solve(source: PackageSource, reporter: Reporter) -> Solution:
    with step(reporter, "Solving") as solving:
        solution = source.solve()
        solving.summary = f"{len(solution.packages)} packages"
    return solution


def _build(
    workspace: Workspace,
    packages: Sequence[CachedPackage],
    intent: Intent,
    values: dict[str, Variant],
    reporter: Reporter,
) -> CommittedRoot:
    """Assemble, finish, commit to the workspace."""
    check_host()
    # Reproducible by default: the time of a tree is that of its newest package.
    epoch = intent.options.source_date_epoch
    if epoch is None:
        epoch = max((found.commit.timestamp for found in packages), default=0)
    spec = plan.root_spec(intent.loaded, intent.previous, epoch, intent.layers.commits)
    finish = plan.finish_spec(intent.loaded, intent.previous, intent.version, epoch, intent.options)
    with assemble_root(workspace.store, workspace.work, packages, spec, reporter) as root:
        finish_root(root.tree, finish, COMPOSE_STEPS, reporter)
        labels = _labels(intent, root.tree)
    with step(reporter, "Committing"):
        return commit_root(
            workspace.store,
            root,
            metadata=values,
            bootable=not intent.loaded.treefile.container,
            parent=_parent(intent),
            timestamp=epoch,
            reporter=reporter,
            labels=labels,
            ignore_devices=intent.loaded.treefile.ignore_devices,
        )


def _labels(intent: Intent, tree: Root) -> Labels | None:
    """By what the commit is labelled: the policy in its tree, if there is one and the treefile wants labels."""
    policy = policy_in(tree) if plan.wants_labels(intent.loaded.treefile, intent.options) else None
    if policy is None:
        return None
    return Labels(policy, intent.loaded.treefile.selinux_label_version, noted=True)


def _parent(intent: Intent) -> bytes | None:
    if intent.options.no_parent:
        return None
    if intent.options.parent is None:
        return intent.previous.checksum
    found = intent.repo.resolve(intent.options.parent)
    if found is None:
        raise ConfigError(f"{intent.repo.path} has no commit {intent.options.parent} to be the parent")
    return found


def _version(loaded: LoadedTreefile, previous: Previous, extra: dict[str, Variant]) -> str | None:
    if "version" in extra:
        return str(extra["version"].value)
    treefile = loaded.treefile
    if treefile.automatic_version_prefix is None:
        return None
    return next_version(
        treefile.automatic_version_prefix, treefile.automatic_version_suffix, previous.version, datetime.now(UTC)
    )


def _extra_metadata(options: TreeOptions, loaded: LoadedTreefile) -> dict[str, Variant]:
    """What the user adds to the commit: the treefile's, then a JSON file's, then the command line's."""
    found = {key: metadata.from_json(value) for key, value in loaded.treefile.add_commit_metadata.items()}
    if options.metadata_json is not None:
        place = Place(str(options.metadata_json))
        try:
            document = json.loads(options.metadata_json.read_bytes())
        except OSError as error:
            raise ConfigError(f"can't be read: {error.strerror}", place=place) from error
        except ValueError as error:
            raise ConfigError(f"is not JSON: {error}", place=place) from error
        if not isinstance(document, dict):
            raise ConfigError("is not a JSON object", place=place)
        found |= {key: metadata.from_json(value, place) for key, value in document.items()}
    return found | metadata.from_strings(options.metadata_strings)


def _metadata(intent: Intent, solution: Solution, inputhash: str) -> dict[str, Variant]:
    """The commit's metadata but for what only the tree can tell."""
    treefile = intent.loaded.treefile
    arguments, command = list(treefile.initramfs_args), list(treefile.container_cmd or ())
    return {
        **_recorded(intent, solution, "inline"),
        **({"rpmostree.initramfs-args": Variant("as", arguments)} if arguments else {}),
        **({"ostree.container-cmd": Variant("as", command)} if command else {}),
        **intent.metadata,
        **({"version": Variant("s", intent.version)} if intent.version else {}),
        "rpmostree.inputhash": Variant("s", inputhash),
    }


def _recorded(intent: Intent, solution: Solution, where: str) -> dict[str, Variant]:
    """What is recorded of the repositories and their advisories in that place: "inline" or "detached"."""
    treefile = intent.loaded.treefile
    repos = [(found.id, found.timestamp) for found in solution.repos]
    return {
        **(metadata.repositories(repos) if treefile.repo_metadata == where else {}),
        **(metadata.advisories(solution.advisories) if treefile.advisories_metadata == where else {}),
    }


def _hash(intent: Intent, solution: Solution) -> str:
    packages = [(str(package.nevra), package.checksum) for package in solution.packages]
    loaded = intent.loaded
    return input_hash(loaded.to_json(), digest_externals(loaded.externals), packages, intent.layers.contents())
