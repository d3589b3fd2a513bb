# SPDX-License-Identifier: GPL-2.0-or-later
"""A commit becomes a deployment: what is written in which order, and what is there if it ends in between.

    0  the note of what is unfinished  the next transaction tidies, whatever it does
    1  the objects of the commit       nobody names them: a prune takes them
    2  rpmostree/base/N                keeps the base of a commit that may never be deployed: the next tidying takes it
    3  the deployment                  libostree's switch: before it the old state is complete, after it the new one
    4  the branch that was followed    without it an upgrade looks at the remote again, which it does anyway
    5  the tidying                     more is kept than is needed until the next one

Each step is durable before the next begins.
"""

from __future__ import annotations

from layering.decision import Context, Planned
from layering.origin import format_origin
from layering.refspec import Branch
from rpmtree.ostree.bases import base_of, regenerate_bases
from rpmtree.ostree.deployments import Deployment
from rpmtree.ostree.finalization import staging
from rpmtree.ostree.objects import PKGLIST
from rpmtree.progress import step


def deploy(context: Context, planned: Planned, commit: str) -> Deployment:
    """Deploy a commit in front of the others, staged where the system runs. Raises StoreError."""
    sysroot, before = context.system.sysroot, context.before.deployment
    repository = sysroot.repository
    if commit != planned.found.checksum:
        deployed = [found.checksum for found in sysroot.deployments()]
        regenerate_bases(repository, dict.fromkeys([*deployed, commit]))
    running = context.system.running
    with (
        step(context.reporter, "Staging the deployment" if running else "Deploying"),
        staging(context.options.lock_finalization, running=running),
    ):
        made = sysroot.deploy(
            context.system.osname,
            commit,
            format_origin(planned.origin),
            merge=context.system.etc(),
            kargs=before.kargs,
            stage=running,
        )
    follow(context, planned)
    return made


def follow(context: Context, planned: Planned) -> None:
    """Have the branch that is followed name the commit that is deployed of it. Raises StoreError."""
    sysroot, found = context.system.sysroot, planned.found
    if found.remote is None or found.branch is None:
        return
    if sysroot.repository.resolve_branch(found.remote, found.branch) != bytes.fromhex(found.checksum):
        sysroot.remotes.set_branch(found.remote, found.branch, found.checksum)


def follow_again(context: Context) -> None:
    """Have the branch that is followed name what is deployed of it, where it names nothing. Raises StoreError.

    Whoever was killed behind the deployment had not come to it.
    """
    sysroot, before = context.system.sysroot, context.before
    base = before.require_origin().base
    if not isinstance(base, Branch) or base.remote is None:
        return
    if sysroot.repository.resolve_branch(base.remote, base.branch) is None:
        raw = bytes.fromhex(before.deployment.checksum)
        found = base_of(raw, sysroot.repository.commit(raw, without=(PKGLIST,)))
        sysroot.remotes.set_branch(base.remote, base.branch, found.hex())
