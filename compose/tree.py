# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose tree`: a treefile becomes a commit on a branch. The pipeline, from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compose import plan
from compose.deliver import deliver
from compose.gather import epoch_of, gather, request_of
from compose.intent import Intent, commit_metadata, intend, recorded
from compose.layers import Layers, find_layers
from compose.load import LoadedTreefile
from compose.options import TreeOptions
from compose.report import Outcome
from compose.workspace import Workspace, need_root, open_workspace
from rpmtree.collector import without_collector
from rpmtree.files import Root
from rpmtree.finish.steps import COMPOSE_STEPS, finish_root
from rpmtree.ostree.variant import Variant
from rpmtree.pkgcache.cache import CachedPackage
from rpmtree.progress import Reporter, step
from rpmtree.root.assemble import assemble_root
from rpmtree.root.commit import CommittedRoot, commit_root
from rpmtree.root.labels import Labels, policy_in
from rpmtree.root.sandbox import check_host


def compose_tree(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Outcome:
    """Compose and commit. Raises every ToolError there is; the repository is then as it was before."""
    need_root()
    with without_collector():
        return _compose(options, loaded, basearch, reporter)


def _compose(options: TreeOptions, loaded: LoadedTreefile, basearch: str, reporter: Reporter) -> Outcome:
    intent = intend(options, loaded)
    layers = find_layers(loaded, options, intent.repo)
    request = request_of(options, loaded, basearch, reporter)
    with open_workspace(intent.repo.path / "tmp", options.cachedir) as workspace:
        gathered = gather(
            request, options, loaded, workspace, reporter, unless=intent.previous.inputhash, layers=layers
        )
        if gathered.packages is None:
            return gathered.outcome
        values = commit_metadata(intent, gathered.solution, gathered.outcome.inputhash)
        committed = _build(workspace, gathered.packages, intent, values, reporter, layers=layers)
        detached = recorded(intent, gathered.solution, "detached")
        return deliver(intent, workspace.store, committed, gathered.outcome, reporter, detached=detached)


def _build(
    workspace: Workspace,
    packages: Sequence[CachedPackage],
    intent: Intent,
    values: dict[str, Variant],
    reporter: Reporter,
    *,
    layers: Layers,
) -> CommittedRoot:
    """Assemble, finish, commit to the workspace."""
    check_host()
    epoch = epoch_of(intent.options, [found.commit.timestamp for found in packages])
    spec = plan.root_spec(intent.loaded, intent.previous, epoch, layers.commits)
    finish = plan.finish_spec(intent.loaded, intent.previous, intent.version, epoch, intent.options)
    with assemble_root(workspace.store, workspace.work, packages, spec, reporter) as root:
        finish_root(root.tree, finish, COMPOSE_STEPS, reporter)
        labels = labels_of(intent, root.tree)
    with step(reporter, "Committing"):
        return commit_root(
            workspace.store,
            root,
            metadata=values,
            bootable=not intent.loaded.treefile.container,
            parent=intent.parent,
            timestamp=epoch,
            reporter=reporter,
            labels=labels,
            ignore_devices=intent.loaded.treefile.ignore_devices,
        )


def labels_of(intent: Intent, tree: Root) -> Labels | None:
    """By what a commit is labelled: the policy in its tree, if there is one and the treefile wants labels."""
    policy = policy_in(tree) if plan.wants_labels(intent.loaded.treefile, intent.options) else None
    if policy is None:
        return None
    return Labels(replace(policy, label_version=intent.loaded.treefile.selinux_label_version), noted=True)
