# SPDX-License-Identifier: GPL-2.0-or-later
"""A finished root becomes a commit: only what changed over the packages' own objects is read and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from rpmtree.errors import ToolError
from rpmtree.ostree import objects, tree
from rpmtree.ostree.objects import BOOT_SIZE, PACKAGE_SIZES, PKGLIST, Commit, Kind
from rpmtree.ostree.store import Staging, Store
from rpmtree.ostree.tree import Directory, Written
from rpmtree.ostree.variant import Variant
from rpmtree.progress import Reporter
from rpmtree.root.assemble import AssembledRoot
from rpmtree.root.changes import apply_upper, warn_of_dropped
from rpmtree.root.labels import Labelling, Labels, labelling
from rpmtree.rpm.nevra import Nevra

#: What libostree copies to /boot of the kernel's directory.
_BOOTED = ("vmlinuz", "initramfs.img", "devicetree")


@dataclass(frozen=True, slots=True)
class CommittedRoot:
    """A commit in the store, durable. `content` is what `ostree` calls the content checksum."""

    checksum: bytes
    commit: Commit
    root: Directory
    written: Written

    @property
    def content(self) -> str:
        """The same for two commits of one tree (ostree_commit_get_content_checksum)."""
        return hashlib.sha256(self.written.tree + self.written.meta).hexdigest()


def commit_root(
    store: Store,
    assembled: AssembledRoot,
    *,
    metadata: Mapping[str, Variant],
    bootable: bool,
    parent: bytes | None,
    timestamp: int,
    reporter: Reporter,
    few: bool = False,
    labels: Labels | None = None,
    ignore_devices: bool = True,
) -> CommittedRoot:
    """Commit a root whose overlay is unmounted; /etc goes to /usr/etc. Raises StoreError, ToolError.

    To `metadata` the package list and sizes are added and, if `bootable`, the kernel's version (ostree.linux).
    `few`: the root differs little from what is stored. Without `labels` no file has one. Devices, pipes and sockets
    are left out with a warning, or are an error where they are not to be ignored.
    """
    dropped: list[str] = []
    with Staging(store, few=few) as staging, _labelling(staging, labels) as labelled:
        if labelled is not None:
            labelled.label_tree(assembled.base)
        root = apply_upper(staging, assembled.base, str(assembled.upper), dropped.append, labelled)
        if dropped and not ignore_devices:
            raise _special(dropped)
        _move_etc(root)
        written = tree.write(staging, root)
        found = {**metadata, **package_list([package.nevra for package in assembled.packages]), **_sizes(assembled)}
        if bootable:
            found |= _kernel(staging, root)
        commit = Commit(written.tree, written.meta, timestamp, found, parent or b"")
        checksum = staging.add_metadata(Kind.COMMIT, objects.commit(commit))
        staging.publish()
        if labelled is not None:
            labelled.keep_notes()
    warn_of_dropped(dropped, reporter)
    return CommittedRoot(checksum, commit, root, written)


def _labelling(staging: Staging, labels: Labels | None) -> AbstractContextManager[Labelling | None]:
    return nullcontext() if labels is None else labelling(staging, labels)


def _special(paths: Sequence[str]) -> ToolError:
    others = f", and {len(paths) - 1} more are" if len(paths) > 1 else ""
    return ToolError(
        f"{paths[0]} is a device, a pipe or a socket, which OSTree can't hold{others}",
        hint="remove it in the script that made it, or set ignore-devices: true",
        detail="\n".join(paths) if others else None,
    )


def package_list(packages: Sequence[Nevra]) -> dict[str, Variant]:
    """The metadata by which `db list` and `db diff` know a commit's packages without its tree."""
    rows = [(n.name, str(n.epoch), n.version, n.release, n.arch) for n in sorted(packages)]
    return {PKGLIST: Variant("a(sssss)", rows)}


def _move_etc(root: Directory) -> None:
    usr = root.make("usr")
    if "etc" in usr.dirs or "etc" in usr.files:
        raise ToolError("the tree has /usr/etc beside /etc", hint="a package or script made it; only /etc is wanted")
    if "etc" in root.dirs:
        usr.dirs["etc"] = root.dirs.pop("etc")


def _sizes(assembled: AssembledRoot) -> dict[str, Variant]:
    """How much room a machine needs for each package, known before anything of the content is fetched."""
    packages = sorted(assembled.packages, key=lambda package: package.nevra)
    return {PACKAGE_SIZES: Variant("at", [package.size for package in packages])}


def _kernel(staging: Staging, root: Directory) -> dict[str, Variant]:
    modules = root.directory("usr/lib/modules")
    versions = [name for name, found in (modules.dirs if modules else {}).items() if "vmlinuz" in found.files]
    if modules is None or len(versions) != 1:
        return {}
    files = modules.dirs[versions[0]].files
    boot = sum(staging.size_of(files[name]) for name in _BOOTED if name in files)
    return {
        "ostree.bootable": Variant("b", True),
        "ostree.linux": Variant("s", versions[0]),
        BOOT_SIZE: Variant("t", boot),
    }
