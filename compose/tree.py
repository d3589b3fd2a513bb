# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose tree`: a treefile becomes a commit on a branch. The pipeline, from left to right."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from compose import plan
from compose.inputhash import digest_externals, input_hash
from compose.intent import Intent, commit_metadata, intend, parent_of, recorded
from compose.load import LoadedTreefile
from compose.options import TreeOptions
from compose.publish import publish
from compose.report import Outcome, transaction, write_documents, write_lockfile
from compose.solving import epoch_of, opened, request_of, solve
from compose.workspace import Workspace, open_workspace
from rpmtree.collector import without_collector
from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.finish.steps import COMPOSE_STEPS, finish_root
from rpmtree.ostree.variant import Variant
from rpmtree.pkgcache.cache import CachedPackage, PackageCache
from rpmtree.pkgcache.ensure import ensure_imported
from rpmtree.progress import Reporter, step
from rpmtree.root.assemble import assemble_root
from rpmtree.root.commit import CommittedRoot, commit_root
from rpmtree.root.labels import Labels, policy_in
from rpmtree.root.sandbox import check_host
from rpmtree.rpm.request import Solution

NO_CHANGES = "No apparent changes since previous commit; use --force-nocache to override"


def compose_tree(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Outcome:
    """Compose and commit. Raises every ToolError there is; the repository is then as it was before."""
    if os.geteuid() != 0:
        raise ToolError("composing needs root: owners, file capabilities and mounts", hint="run it with sudo")
    with without_collector():
        return _compose(options, loaded, basearch, reporter)


def _compose(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Outcome:
    intent = intend(options, loaded)
    request = request_of(options, loaded, basearch, reporter)
    with open_workspace(intent.repo.path / "tmp", options.cachedir) as workspace:
        with opened(request, options, workspace, reporter) as source:
            solution = solve(source, reporter)
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
        committed = _build(workspace, packages, intent, commit_metadata(intent, solution, outcome.inputhash), reporter)
        ref = None if options.write_commitid_to else loaded.treefile.ref
        with step(reporter, "Publishing"):
            detached = recorded(intent, solution, "detached")
            figures = publish(intent.repo, workspace.store, committed, ref, key=intent.key, detached=detached)
    commit = committed.checksum.hex()
    line = f"{ref} => {commit}" if ref else f"Wrote commit: {commit}"
    outcome = replace(outcome, lines=(line,), commit=commit, ref=ref, version=intent.version)
    write_documents(options, outcome, committed, figures)
    return outcome


def _build(
    workspace: Workspace,
    packages: Sequence[CachedPackage],
    intent: Intent,
    values: dict[str, Variant],
    reporter: Reporter,
) -> CommittedRoot:
    """Assemble, finish, commit to the workspace."""
    check_host()
    epoch = epoch_of(intent.options, packages)
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
            parent=parent_of(intent),
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


def _hash(intent: Intent, solution: Solution) -> str:
    packages = [(str(package.nevra), package.checksum) for package in solution.packages]
    loaded = intent.loaded
    return input_hash(loaded.to_json(), digest_externals(loaded.externals), packages, intent.layers.contents())
