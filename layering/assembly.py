# SPDX-License-Identifier: GPL-2.0-or-later
"""What was decided is made: packages in the cache, a root of base and packages, a commit of it."""

from __future__ import annotations

from collections.abc import Sequence

from layering import plan
from layering.decision import Context, Planned
from layering.labels import labels_of, policy_of
from layering.state import Layered, local_checksums
from rpmtree.finish.steps import KERNEL_LAYER_STEPS, LAYER_STEPS, finish_root
from rpmtree.ostree.bases import base_of
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.cache import CachedPackage
from rpmtree.pkgcache.ensure import ensure_imported
from rpmtree.progress import step
from rpmtree.root.base import Base, read_root
from rpmtree.root.commit import commit_root
from rpmtree.root.layered import Changes, Checkout, assemble_layered
from rpmtree.root.sandbox import blaming_host

_MODULES = "usr/lib/modules"


def import_packages(context: Context, planned: Planned) -> tuple[CachedPackage, ...]:
    """The packages that are layered, in the cache, with the labels of the base's policy.

    Raises FetchError, StoreError, ToolError.
    """
    if planned.layered is None or planned.source is None:
        return ()
    return ensure_imported(
        context.cache,
        planned.source,
        planned.layered.solution,
        context.reporter,
        local=local_checksums(planned.origin),
        policy=policy_of(planned.base),
    )


def make_commit(context: Context, planned: Planned, layered: Layered, packages: Sequence[CachedPackage]) -> str:
    """A commit of the base with `packages` on it, its checksum in hexadecimal. Raises every ToolError of a root."""
    base, solution = planned.base, layered.solution
    changes = Changes(
        tuple(packages),
        frozenset((*solution.removed, *(old for _, old in solution.replaced))),
        frozenset(package.nevra for package in planned.classified.active.local_fileoverride),
    )
    # Not the clock's: the same packages on the same base are the same commit.
    epoch = max(base.commit.timestamp, *(found.commit.timestamp for found in packages), 0)
    with (
        blaming_host(),
        assemble_layered(
            base,
            changes,
            plan.root_spec(base, context.before.deployment.path, context.machine, epoch),
            context.reporter,
            work=context.workspace.work,
            deployed=_nearest(context, base),
        ) as root,
    ):
        old, new = base.root.directory(_MODULES), root.base.directory(_MODULES)
        kernel_step = planned.classified.active.regenerate_initramfs or not _same(old, new)
        spec = plan.finish_spec(base, planned.classified.active, epoch, new_kernel=_kernels(old) != _kernels(new))
        finish_root(root.tree, spec, KERNEL_LAYER_STEPS if kernel_step else LAYER_STEPS, context.reporter)
        labels = labels_of(base, root.tree, packages)
    with step(context.reporter, "Committing"):
        committed = commit_root(
            base.store,
            root,
            metadata=layered.metadata(base.commit.metadata),
            bootable=base.kernel is not None,
            parent=base.checksum,
            timestamp=epoch,
            reporter=context.reporter,
            few=labels is None or labels.same_policy,
            labels=labels,
        )
    return committed.checksum.hex()


def _same(one: Directory | None, other: Directory | None) -> bool:
    return one is other if one is None or other is None else one.same_as(other)


def _kernels(modules: Directory | None) -> dict[str, bytes]:
    found = modules.dirs.items() if modules else ()
    return {version: below.files["vmlinuz"] for version, below in found if "vmlinuz" in below.files}


def _nearest(context: Context, base: Base) -> Checkout | None:
    """A tree that is there and has much in common with what is made: the one before, best if it is of the same base."""
    store, before = base.store, context.before.deployment

    def distance(found: Deployment) -> tuple[bool, bool]:
        checksum = bytes.fromhex(found.checksum)
        return base_of(checksum, store.commit(checksum)) != base.checksum, found.id != before.id

    there = [found for found in context.system.sysroot.deployments() if (found.path / "usr").is_dir()]
    if not there:
        return None
    found = min(there, key=distance)
    if found.checksum == base.checksum.hex():
        return Checkout(found.path, base.root)
    return Checkout(found.path, read_root(store, store.commit(bytes.fromhex(found.checksum))))
