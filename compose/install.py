# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose install` and `compose rootfs`: a treefile becomes a plain directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from compose import plan
from compose.gather import epoch_of, gather, request_of
from compose.intent import version_of
from compose.layers import find_layers
from compose.load import LoadedTreefile
from compose.options import TreeOptions
from compose.report import Outcome, touch
from compose.workspace import need_root, open_workspace
from rpmtree.collector import without_collector
from rpmtree.errors import ToolError
from rpmtree.files import remove_tree
from rpmtree.finish.steps import Step, finish_root
from rpmtree.ostree.repo import Repository
from rpmtree.progress import Reporter, step
from rpmtree.root.assemble import AssembledRoot, assemble_root
from rpmtree.root.changes import warn_of_dropped
from rpmtree.root.copying import copy_assembled
from rpmtree.root.sandbox import check_host

_UNFINISHED = ".strata-new"


def install(
    options: TreeOptions,
    loaded: LoadedTreefile,
    target: Path,
    reporter: Reporter,
    *,
    basearch: str,
    steps: Sequence[Step],
) -> Outcome:
    """Put the packages together, run their scripts and `steps`, and copy the root to the new directory `target`.

    Without a cache directory the work is done beside it. Raises every ToolError there is; then there is no `target`.
    """
    need_root()
    if target.exists() or target.is_symlink():
        raise ToolError(f"{target} is there already", hint="remove it, or name another directory")
    repo = Repository(options.repo) if options.repo is not None else None
    previous = plan.read_previous(repo, loaded.treefile, options)
    layers = find_layers(loaded, options, repo)
    request = request_of(options, loaded, basearch, reporter)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"can't make {target.parent}: {error.strerror}") from error
    with without_collector(), open_workspace(target.parent, options.cachedir) as workspace:
        gathered = gather(request, options, loaded, workspace, reporter, unless=previous.inputhash, layers=layers)
        if gathered.packages is None:
            return gathered.outcome
        check_host()
        epoch = epoch_of(options, [found.commit.timestamp for found in gathered.packages])
        spec = plan.root_spec(loaded, previous, epoch, layers.commits)
        finish = plan.finish_spec(loaded, previous, version_of(loaded, previous, {}), epoch, options)
        with assemble_root(workspace.store, workspace.work, gathered.packages, spec, reporter) as root:
            if steps:
                finish_root(root.tree, finish, steps, reporter)
            _copy(root, target, reporter)
    touch(options.touch_if_changed)
    return replace(gathered.outcome, lines=(f"Installed {len(gathered.packages)} packages in {target}",))


def _copy(root: AssembledRoot, target: Path, reporter: Reporter) -> None:
    """Copy all or nothing."""
    unfinished = target.with_name(f".{target.name}{_UNFINISHED}")
    remove_tree(unfinished)
    dropped: list[str] = []
    try:
        with step(reporter, "Copying"):
            copy_assembled(root, unfinished, dropped.append)
        unfinished.rename(target)
    finally:
        remove_tree(unfinished)
    warn_of_dropped(dropped, reporter)
