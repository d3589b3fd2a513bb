# SPDX-License-Identifier: GPL-2.0-or-later
"""Cached packages become a root: one tree, hard links under an overlay, the rpm database, scripts.

What the finishing steps then make of it is not decided here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpmtree import mounts
from rpmtree.errors import ToolError
from rpmtree.files import Root, remove_tree
from rpmtree.ostree import objects
from rpmtree.ostree.store import Store
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.cache import CachedPackage
from rpmtree.pkgcache.paths import QUIETLY_SKIPPED
from rpmtree.progress import Reporter, step
from rpmtree.root import accounts
from rpmtree.root.checkout import Checkout
from rpmtree.root.layers import TreeLayer, put_on, read_layer
from rpmtree.root.merge import Merger, left_out_of
from rpmtree.root.rpmdb import HOME, MACRO_FILE, SYSIMAGE, place_database
from rpmtree.root.scriptlets import run_package_scripts
from rpmtree.root.spec import OptUsrLocal, RootSpec
from rpmtree.rpm import package as headers
from rpmtree.rpm.database import writing_database
from rpmtree.rpm.package import Package
from rpmtree.rpm.signatures import read_header_blob

#: What scripts expect at the top of a root, where no package brings it.
TOP_LEVEL = {"dev": 0o755, "proc": 0o555, "sys": 0o555, "run": 0o755, "var": 0o755, "root": 0o700, "tmp": 0o1777}


@dataclass(frozen=True, slots=True)
class AssembledRoot:
    """A root that is mounted at `tree.path`: `base` below, changes in `upper`; packages in install order."""

    tree: Root
    base: Directory
    upper: Path
    packages: tuple[Package, ...]


@contextmanager
def assemble_root(
    store: Store, work: Path, cached: Sequence[CachedPackage], spec: RootSpec, reporter: Reporter
) -> Iterator[AssembledRoot]:
    """Put the packages together below the directory `work`, and run their scripts.

    The root is mounted inside the context alone; `upper` stays until the next run. `work` must be on the
    store's file system. Raises ConflictError, ScriptletError, StoreError, ToolError.
    """
    database = work / "rpmdb"
    remove_tree(database)
    with (
        step(reporter, "Checking out"),
        writing_database(
            [found.header for found in cached],
            database,
            install_langs=spec.files.languages,
            documentation=spec.files.documentation,
            source_date_epoch=spec.source_date_epoch,
        ) as writing,
    ):
        # While rpm works on the other core.
        packages = {found.nevra: package_of(found) for found in cached}
        ordered = tuple(packages[nevra] for nevra in writing.order())
        merged = _merge(ordered, cached, spec, [read_layer(store, layer) for layer in spec.layers])
        checkout = Checkout(store, work / "lower")
        checkout.update(merged)
    with _overlay(work, checkout.path) as (root, upper):
        _prepare(root, database, spec)
        with step(reporter, "Running scripts"):
            run_package_scripts(root, ordered, spec.scripts, reporter)
        yield AssembledRoot(root, merged, upper, ordered)


def package_of(found: CachedPackage) -> Package:
    """What the header of a cached package says."""
    return headers.from_header(read_header_blob(found.header))


def check_places(package: Package, unsupported: Sequence[str], spec: RootSpec, *, layered: bool = False) -> None:
    """Refuse a package with files that the image has no place for. Raises ToolError.

    `layered`: nobody who is told could change the treefile.
    """
    if package.name in QUIETLY_SKIPPED:
        return
    outside, out = set(unsupported), left_out_of(spec.files, package)
    for file in package.files:
        local = spec.opt_usrlocal is OptUsrLocal.VAR and file.path.startswith("/usr/local/") and not file.is_dir
        if (local or file.path in outside) and file.path not in out:
            advice = "set opt-usrlocal: root or state-overlay" if local else "exclude the package"
            hint = f"{advice}, or drop the file with remove-from-packages"
            if layered:
                hint = "who composes the base can make a place for it" if local else "it can't be layered as it is"
            raise ToolError(f"{package.nevra} has {file.path}, and the image has no place for that", hint=hint)


def _merge(
    packages: Sequence[Package], cached: Sequence[CachedPackage], spec: RootSpec, layers: Sequence[TreeLayer]
) -> Directory:
    found = {package.nevra: package for package in cached}
    merger = Merger(spec.files)
    for package in packages:
        check_places(package, found[package.nevra].unsupported, spec)
        package_tree = found[package.nevra].tree
        usr = package_tree.dirs.get("usr")
        if usr and spec.opt_usrlocal is OptUsrLocal.VAR:
            usr.dirs.pop("local", None)  # bare directories, or files that are left out
        merger.add(package, package_tree)
    put_on(merger.root, packages, layers)
    for name, mode in TOP_LEVEL.items():
        if name not in merger.root.files:
            merger.root.make(name).meta = objects.dirmeta(mode)
    return merger.root


@contextmanager
def _overlay(work: Path, lower: Path) -> Iterator[tuple[Root, Path]]:
    upper, scratch, target = work / "upper", work / "overlay", work / "root"
    for path in (upper, scratch, target):
        remove_tree(path)
        path.mkdir(mode=0o755)
    mounts.enter_private_namespace()
    with mounts.overlay(target, lower=[lower], upper=upper, work=scratch):
        root = Root(target)
        try:
            yield root, upper
        finally:
            root.close()


def _prepare(root: Root, database: Path, spec: RootSpec) -> None:
    """What scripts must find: the rpm database, /opt, the users of the previous commit. Raises ToolError."""
    install_database(root, database)
    if not root.lexists("opt"):
        root.makedirs("usr/lib/opt")
        root.symlink("usr/lib/opt", "opt")
    accounts.seed(root, spec.passwd, spec.group)


def install_database(root: Root, database: Path) -> None:
    """Move the rpm database from `database` to its place in the tree. Raises ToolError if something is in the way."""
    try:
        place_database(root, database)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
            raise
        raise ToolError(
            f"the rpm database can't be put into the tree: {error}",
            hint=f"a package has something else at /{HOME}, /{SYSIMAGE} or /{MACRO_FILE}",
        ) from error
    remove_tree(database)
