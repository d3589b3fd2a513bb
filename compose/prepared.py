# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose postprocess` and `compose commit`: a plain directory, whoever made it, is made ready and committed.

Ready is a root whose configuration is at /usr/etc alone: moving it there is the last thing that happens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compose import plan
from compose.deliver import deliver
from compose.gather import epoch_of
from compose.intent import Intent, commit_metadata, intend, version_of
from compose.load import LoadedTreefile
from compose.options import TreeOptions
from compose.report import Outcome
from compose.tree import labels_of
from compose.workspace import Workspace, need_root, open_workspace
from rpmtree import mounts
from rpmtree.collector import without_collector
from rpmtree.errors import ToolError, UsageError
from rpmtree.files import Root, remove_tree
from rpmtree.finish.steps import COMPOSE_STEPS, FOREIGN_STEPS, SYSTEM_STEPS, Step, finish_root
from rpmtree.finish.tree import is_real_dir
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.tree import Directory
from rpmtree.progress import Reporter, step
from rpmtree.root.assemble import AssembledRoot
from rpmtree.root.changes import warn_of_dropped
from rpmtree.root.commit import CommittedRoot, commit_root
from rpmtree.root.copying import copy_tree
from rpmtree.root.installed import copy_database, read_packages
from rpmtree.root.sandbox import check_host
from rpmtree.root.spec import FinishSpec


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of `compose postprocess`; not `changed`: the root was ready already."""

    rootfs: str
    changed: bool

    @property
    def lines(self) -> list[str]:
        """The answer for people."""
        return [f"{self.rootfs} is ready" if self.changed else f"{self.rootfs} was ready already; nothing is changed"]

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return asdict(self)


def postprocess(rootfs: Path, options: TreeOptions, loaded: LoadedTreefile, reporter: Reporter) -> Prepared:
    """Make the directory `rootfs` what the treefile says, and one for OSTree; one that is ready is left alone.

    Raises ToolError; if that comes of a step, the root is half done.
    """
    repo = Repository(options.repo) if options.repo is not None else None
    previous = plan.read_previous(repo, loaded.treefile, options)
    version = version_of(loaded, previous, {})

    def spec(epoch: int) -> FinishSpec:
        return plan.finish_spec(loaded, previous, version, epoch, options)

    return _postprocess(rootfs, spec, COMPOSE_STEPS, options.source_date_epoch, reporter)


def postprocess_as_it_is(
    rootfs: Path, reporter: Reporter, *, labels: bool = True, source_date_epoch: int | None
) -> Prepared:
    """The same without a treefile: the defaults of all its keys hold, and there are to be labels unless not wanted."""

    def spec(epoch: int) -> FinishSpec:
        return FinishSpec(selinux=labels, source_date_epoch=epoch)

    return _postprocess(rootfs, spec, SYSTEM_STEPS, source_date_epoch, reporter)


def commit(options: TreeOptions, loaded: LoadedTreefile, rootfs: Path, reporter: Reporter) -> Outcome:
    """Commit a copy of the directory `rootfs`, which must be ready; it is left as it is. Raises ToolError."""
    need_root()
    intent = intend(options, loaded)
    with _opened(rootfs) as root:
        if not _is_ready(root):
            raise ToolError(
                f"{rootfs} is not ready: its configuration is not at /usr/etc alone",
                hint=f"first: compose postprocess {rootfs} {options.treefile}",
            )
    with without_collector(), open_workspace(intent.repo.path / "tmp", options.cachedir) as workspace:
        copy = workspace.work / "rootfs"
        remove_tree(copy)
        try:
            outcome, committed = _commit(intent, workspace, rootfs, copy, reporter)
        finally:
            remove_tree(copy)
        return deliver(intent, workspace.store, committed, outcome, reporter)


def _postprocess(
    rootfs: Path,
    spec: Callable[[int], FinishSpec],
    steps: Sequence[Step],
    source_date_epoch: int | None,
    reporter: Reporter,
) -> Prepared:
    need_root()
    with _opened(rootfs) as root:
        # Steps remove what has no place in an image, and that must not be somebody else's.
        if rootfs.samefile("/"):
            raise UsageError("/ is this machine itself", hint="name the directory of a root that is to be an image")
        if mounted := mounts.below(rootfs):
            raise ToolError(f"something is mounted at {mounted[0]}", hint="unmount it, then run this again")
        if _is_ready(root):
            return Prepared(str(rootfs), changed=False)
        check_host()
        found = spec(_newest(root) if source_date_epoch is None else source_date_epoch)
        if not root.lexists("etc") and is_real_dir(root, "usr/etc"):
            root.rename("usr/etc", "etc")
        finish_root(root, found, (*FOREIGN_STEPS, *steps), reporter)
        root.makedirs("etc")
        root.rename("etc", "usr/etc")
    return Prepared(str(rootfs), changed=True)


def _commit(
    intent: Intent, workspace: Workspace, rootfs: Path, copy: Path, reporter: Reporter
) -> tuple[Outcome, CommittedRoot]:
    dropped: list[str] = []
    with step(reporter, "Copying"):
        copy_tree(rootfs, copy, dropped.append)
    warn_of_dropped(dropped, reporter)
    with Root(copy) as root:
        root.rename("usr/etc", "etc")  # the commit moves it back
        labels = labels_of(intent, root)
        packages = read_packages(copy_database(root, workspace.work))
        # As the changes over a tree that has nothing in it.
        assembled = AssembledRoot(root, Directory(), copy, packages)
    with step(reporter, "Committing"):
        committed = commit_root(
            workspace.store,
            assembled,
            metadata=commit_metadata(intent, None, None),
            bootable=not intent.loaded.treefile.container,
            parent=intent.parent,
            timestamp=epoch_of(intent.options, [package.build_time for package in packages]),
            reporter=reporter,
            labels=labels,
            ignore_devices=intent.loaded.treefile.ignore_devices,
        )
    return Outcome((), tuple(str(package.nevra) for package in packages), None), committed


@contextmanager
def _opened(rootfs: Path) -> Iterator[Root]:
    try:
        root = Root(rootfs)
    except OSError as error:
        raise ToolError(f"can't open {rootfs}: {error.strerror}") from error
    with root:
        yield root


def _is_ready(root: Root) -> bool:
    return is_real_dir(root, "usr/etc") and not root.lexists("etc")


def _newest(root: Root) -> int:
    """The build time of the newest package, in seconds."""
    with tempfile.TemporaryDirectory(prefix="strata-rpmdb-") as scratch:
        packages = read_packages(copy_database(root, Path(scratch)))
    return max((package.build_time for package in packages), default=0)
