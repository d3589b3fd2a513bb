# SPDX-License-Identifier: GPL-2.0-or-later
"""An origin and a base become what the engine asks for: the packages to solve, the root, how it is finished."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from layering.classify import Base as BasePackages
from layering.labels import wants_labels
from layering.origin import LocalPackage, Origin
from rpmtree.finish.kernel import OSTREE_BOOT
from rpmtree.ostree.selinux import Policy
from rpmtree.pkgcache.cache import CachedPackage, PackageCache, Wanted
from rpmtree.pkgcache.ensure import lost
from rpmtree.root.base import Base
from rpmtree.root.spec import BootLocation, FinishSpec, RootSpec, ScriptPolicy
from rpmtree.rpm import headeronly
from rpmtree.rpm.nevra import Nevra, host_basearch
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import FileRole, LocalFile, PackageRequest


def base_packages(base: Base, specs: Iterable[str]) -> BasePackages:
    """What requests are compared with; of `specs` those that are paths are looked up."""
    paths = [spec for spec in specs if spec.startswith("/")]
    owners = {
        file.path: package.nevra
        for path in paths
        for package in base.packages
        for file in package.files_below(path)
        if file.path == path
    }
    return BasePackages(base.provides, owners)


def package_request(
    active: Origin,
    database: Path,
    repos: Sequence[Repo],
    files: Sequence[LocalFile],
    *,
    kept: Sequence[Nevra] = (),
    recommends: bool = True,
) -> PackageRequest:
    """What the solver is asked; `database` is a directory with a copy of the base's rpm database."""
    return PackageRequest(
        repos=tuple(repos),
        packages=active.packages,
        basearch=host_basearch(),
        recommends=recommends,
        base=database,
        files=tuple(files),
        removals=active.removals,
        replacements=tuple((old.repo, old.packages) for old in active.remote_replacements),
        kept=tuple(kept),
        tolerant=True,
    )


def local_files(active: Origin, cache: PackageCache, directory: Path, *, follow: bool) -> list[LocalFile]:
    """The packages of an origin that came as files, from the cache; their headers are written into `directory`.

    With `follow` those that the origin says it of give way to newer ones of a repository. Raises StoreError for one
    that the cache has lost.
    """
    roles: list[tuple[LocalPackage, FileRole]] = [(package, FileRole.REPLACE) for package in active.local_replacements]
    for package in (*active.local_packages, *active.local_fileoverride):
        follows = follow and package.nevra.name in active.follow
        roles.append((package, FileRole.FOLLOW if follows else FileRole.INSTALL))
    found = []
    for package, role in roles:
        wanted = Wanted(package.nevra, f"sha256:{package.sha256}", False, (), local=True)
        cached = cache.find(wanted)
        if cached is None:
            raise lost(package.nevra)
        found.append(_as_file(cached, wanted.checksum, role, directory))
    return found


def offered_files(
    nevras: Iterable[Nevra], cache: PackageCache, directory: Path, policy: Policy | None
) -> list[LocalFile]:
    """Packages that are in the cache, for a solve that may take them from there.

    Not those that are to get labels of `policy`, and have damaged files, which labels can't be given.
    """
    named = [found for nevra in sorted(nevras) if (found := cache.named(nevra)) is not None]
    cached = [found for found in named if found.is_labelled_by(policy) or not cache.damaged(found)]
    return [_as_file(found, found.file_checksum, FileRole.OFFER, directory) for found in cached]


def _as_file(cached: CachedPackage, checksum: str, role: FileRole, directory: Path) -> LocalFile:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{cached.nevra}-{role.name.lower()}.rpm"
    headeronly.write(cached.header, path)
    return LocalFile(path, cached.nevra, checksum.partition(":")[2], role)


def root_spec(base: Base, before: Path, machine: Path | None, epoch: int) -> RootSpec:
    """How packages are put on the base: ids stay those of the tree at `before`, those of `machine`'s /etc are taken."""

    def text(tree: Path | None, path: str) -> str:
        try:
            return (tree / path).read_text("utf-8", "surrogateescape") if tree is not None else ""
        except FileNotFoundError:
            return ""

    return RootSpec(
        scripts=ScriptPolicy(source_date_epoch=epoch),
        opt_usrlocal=base.opt_usrlocal,
        passwd=text(before, "usr/lib/passwd"),
        group=text(before, "usr/lib/group"),
        local_passwd=text(machine, "etc/passwd"),
        local_group=text(machine, "etc/group"),
        source_date_epoch=epoch,
    )


def finish_spec(base: Base, active: Origin, epoch: int, *, new_kernel: bool) -> FinishSpec:
    """How the root is made into a tree for OSTree again, as the base's own compose did it."""
    in_both = {line.partition(":")[0] for line in base.text("etc/group").splitlines()}
    recorded = base.commit.metadata.get("rpmostree.initramfs-args")
    arguments = tuple(recorded.value) if recorded is not None else ()
    has_links = any(name.startswith("vmlinuz-") for name in base.names(OSTREE_BOOT))
    return FinishSpec(
        boot_location=BootLocation.NEW if has_links else BootLocation.MODULES,
        opt_usrlocal=base.opt_usrlocal,
        container=base.kernel is None,
        selinux=wants_labels(base),
        etc_group_members=tuple(sorted(in_both - {"root"})),
        # A base that boots without one goes on doing so.
        initramfs=(new_kernel and _has_initramfs(base)) or active.regenerate_initramfs,
        initramfs_args=(*arguments, *active.initramfs_args),
        source_date_epoch=epoch,
    )


def _has_initramfs(base: Base) -> bool:
    return base.kernel is not None and "initramfs.img" in base.names(f"usr/lib/modules/{base.kernel}")
