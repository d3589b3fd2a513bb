# SPDX-License-Identifier: GPL-2.0-or-later
"""Cached packages are put on a base: its tree with packages taken out and put in, their scripts run on top of it.

The base is not checked out where something near it is deployed: /usr of that deployment is the lowest layer of an
overlay, what makes the wanted tree of it lies over that, and the rest is as in `rpmtree.root.assemble`. The two layers
show the tree that was put together in memory, whatever was deployed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpmtree import mounts
from rpmtree.errors import ConflictError, ToolError
from rpmtree.files import Root, remove_tree
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.cache import CachedPackage
from rpmtree.pkgcache.paths import place
from rpmtree.progress import Reporter, step
from rpmtree.root.assemble import TOP_LEVEL, AssembledRoot, check_places, install_database, package_of
from rpmtree.root.base import Base
from rpmtree.root.checkout import Checkout as RootCheckout
from rpmtree.root.difference import write_difference
from rpmtree.root.merge import Merger
from rpmtree.root.reserved import AccountTexts, Reserved, released, reserve, spoken_of
from rpmtree.root.scriptlets import run_package_scripts
from rpmtree.root.spec import OptUsrLocal, RootSpec
from rpmtree.rpm.database import Replacing, writing_database
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import Package, provides_of
from rpmtree.rpm.signatures import read_header_blob

#: What a layered root has of its own: the rest of its top level is the base's.
_LAYERS = ("usr", "etc")
#: In the place of a hint about treefiles.
_CONFLICT = "leave one of them out; with --force-replacefiles an RPM file replaces what others own"
_MODULES = ("/usr/lib/modules/", "/lib/modules/")


@dataclass(frozen=True, slots=True)
class Changes:
    """What is done to a base: packages that come, those of the base that go (replaced ones too)."""

    added: tuple[CachedPackage, ...] = ()
    removed: frozenset[Nevra] = frozenset()
    #: Packages of `added` whose files may replace those of others.
    overriding: frozenset[Nevra] = frozenset()


@dataclass(frozen=True, slots=True)
class Checkout:
    """A tree that is there as files: the directory, and what is in it, with configuration at /etc."""

    path: Path
    root: Directory


@contextmanager
def assemble_layered(
    base: Base, changes: Changes, spec: RootSpec, reporter: Reporter, *, work: Path, deployed: Checkout | None = None
) -> Iterator[AssembledRoot]:
    """Put the packages on the base, below the directory `work`, and run their scripts.

    `deployed` is a deployed tree that has much in common with the outcome, or None. The root is mounted inside
    the context alone; `work` is to be removed afterwards. It must be on the store's file system. Raises
    ConflictError, ScriptletError, StoreError, ToolError.
    """
    database = work / "rpmdb"
    with (
        step(reporter, "Placing packages"),
        writing_database(
            [found.header for found in changes.added],
            database,
            install_langs=spec.files.languages,
            documentation=spec.files.documentation,
            source_date_epoch=spec.source_date_epoch,
            base=Replacing(base.database, tuple(sorted(base.numbers[nevra] for nevra in changes.removed))),
        ) as writing,
    ):
        packages = {found.nevra: package_of(found) for found in changes.added}
        kept = tuple(package for package in base.packages if package.nevra not in changes.removed)
        reserved = _reserve(base, spec, changes, packages.values())
        ordered = tuple(packages[nevra] for nevra in writing.order())
        merged = _merge(base, ordered, changes, spec)
        below = deployed or _check_out(base, work)
        _write_layer(base, below.root, merged, work)
    with _mounted(work, below.path / "usr", base) as root:
        install_database(root, database)
        _seed(root, reserved)
        with step(reporter, "Running scripts"):
            replaced = frozenset(nevra.name for nevra in changes.removed)
            run_package_scripts(root, ordered, spec.scripts, reporter, base=kept, replaced=replaced)
        _release(root, reserved)
        yield AssembledRoot(root, merged, work / "upper", (*kept, *ordered))


def _merge(base: Base, ordered: Sequence[Package], changes: Changes, spec: RootSpec) -> Directory:
    found = {package.nevra: package for package in changes.added}
    merger = Merger(spec.files, base.root.copy(), base.packages, base.target)
    if changes.removed:
        merger.remove([package for package in base.packages if package.nevra in changes.removed])
    for package in sorted(ordered, key=lambda package: package.nevra in changes.overriding):
        check_places(package, found[package.nevra].unsupported, spec, layered=True)
        _check_boot(package, base)
        tree = found[package.nevra].tree
        if "usr" in tree.dirs and spec.opt_usrlocal is OptUsrLocal.VAR:
            tree.dirs["usr"].dirs.pop("local", None)  # bare directories, or files that are left out
        try:
            merger.add(package, tree, override=package.nevra in changes.overriding)
        except ConflictError as error:
            raise ConflictError(error.path, error.packages, hint=_CONFLICT) from error
    return merger.root


def _check_boot(package: Package, base: Base) -> None:
    """Refuse a package with files for /boot, where a deployment brings nothing but its kernel. Raises ToolError.

    Not those that the base has, too: who composed it knows what becomes of them.
    """
    if any(file.path.startswith(_MODULES) and file.path.endswith("/vmlinuz") for file in package.files):
        return
    for file in package.files:
        if not file.path.startswith("/boot/") or file.is_dir or file.is_ghost:
            continue
        where, _, name = place(file.path[1:]).path.rpartition("/")
        known = base.root.directory(where)
        if known is None or name not in known.files:
            raise ToolError(
                f"{package.nevra} has {file.path}, and a deployment puts nothing but its kernel there",
                hint="do without the package, or have it in the base",
            )


def _write_layer(base: Base, below: Directory, merged: Directory, work: Path) -> None:
    """What lies between what is there and what scripts write."""
    layer = work / "layer"
    remove_tree(layer)
    layer.mkdir()
    for name in _LAYERS:
        write_difference(base.store, below.dirs.get(name, Directory()), merged.make(name), layer / name)
    # Where a tree is deployed its configuration is there, and is seen at /etc.
    os.mknod(layer / "usr" / "etc", 0o020000, 0)


def _check_out(base: Base, work: Path) -> Checkout:
    """The base as it is deployed: configuration at /usr/etc."""
    root = Directory()
    root.dirs = {name: base.root.dirs[name] for name in _LAYERS if name in base.root.dirs}
    deployed = Directory()
    deployed.dirs["usr"] = root.dirs["usr"].copy()
    if "etc" in root.dirs:
        deployed.dirs["usr"].dirs["etc"] = root.dirs["etc"]
    checkout = RootCheckout(base.store, work / "base")
    checkout.update(deployed)
    return Checkout(checkout.path, root)


@contextmanager
def _mounted(work: Path, usr: Path, base: Base) -> Iterator[Root]:
    """The root of the programs that run in it: overlays at /usr and /etc, the rest scratch."""
    for name in ("upper", "overlay", "root"):
        remove_tree(work / name)
        (work / name).mkdir(mode=0o755)
    mounts.enter_private_namespace()
    lower = {"usr": usr, "etc": usr / "etc"}
    with ExitStack() as stack:
        for name in _LAYERS:
            for where in ("upper", "overlay", "root"):
                (work / where / name).mkdir(mode=0o755)
            _take_mode(work / "layer" / name, work / "upper" / name)
            layers = [work / "layer" / name, *([lower[name]] if lower[name].is_dir() else [])]
            upper, scratch, target = (work / where / name for where in ("upper", "overlay", "root"))
            stack.enter_context(mounts.overlay(target, lower=layers, upper=upper, work=scratch))
        root = Root(work / "root")
        stack.callback(root.close)
        _make_top_level(root, base)
        yield root


def _take_mode(source: Path, target: Path) -> None:
    found = source.stat()
    os.chown(target, found.st_uid, found.st_gid)
    target.chmod(found.st_mode & 0o7777)


def _make_top_level(root: Root, base: Base) -> None:
    """What scripts expect; where the base has links into /var there is nothing to link to here."""
    for name, mode in TOP_LEVEL.items():
        root.mkdir(name, mode)
    for name, checksum in base.root.files.items():
        target = base.target(checksum)
        if target is not None and target.startswith("usr/") and not root.lexists(name):
            root.symlink(target, name)
    if not root.lexists("opt"):
        root.makedirs("usr/lib/opt")
        root.symlink("usr/lib/opt", "opt")


def _reserve(base: Base, spec: RootSpec, changes: Changes, packages: Iterable[Package]) -> Reserved:
    provides = (text for found in changes.added for text in provides_of(read_header_blob(found.header)))
    return reserve(
        AccountTexts(base.text("etc/passwd"), base.text("etc/group")),
        AccountTexts(base.text("usr/lib/passwd"), base.text("usr/lib/group")),
        AccountTexts(spec.passwd, spec.group),
        AccountTexts(spec.local_passwd, spec.local_group),
        spoken_of(packages, provides),
    )


def _seed(root: Root, reserved: Reserved) -> None:
    for path, text in _account_files(reserved.texts):
        if text:
            root.write(path, (root.read_text(path) if root.exists(path) else "") + text)


def _release(root: Root, reserved: Reserved) -> None:
    texts = (root.read_text(path) if root.exists(path) else "" for path, _ in _account_files(reserved.texts))
    for path, text in _account_files(released(AccountTexts(*texts), reserved)):
        if text or root.exists(path):
            root.write(path, text)


def _account_files(texts: AccountTexts) -> tuple[tuple[str, str], ...]:
    return ("etc/passwd", texts.passwd), ("etc/group", texts.group)
