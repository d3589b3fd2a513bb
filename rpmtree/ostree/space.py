# SPDX-License-Identifier: GPL-2.0-or-later
"""How much room a new deployment needs in /boot and what is free: figures, not judgements."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.ostree.objects import Kind, parse_dirtree
from rpmtree.ostree.store import Store

_MODULES = "usr/lib/modules"
#: What libostree copies from a kernel's directory to /boot (ostree-sysroot-deploy.c, get_kernel_from_tree).
_COPIED = ("vmlinuz", "initramfs.img", "devicetree", ".vmlinuz.hmac")


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes: what a deployment adds to /boot, and what is free there and in the repository's file system."""

    boot_needed: int
    boot_free: int
    repo_free: int
    same_file_system: bool


def space(sysroot: Path, checksum: str, deployed: Iterable[str]) -> Space:
    """The figures for deploying a commit beside the commits in `deployed`. Raises StoreError.

    A kernel that one of them has already is not copied again.
    """
    store = Store(sysroot / "ostree" / "repo")
    files = boot_files(store, bytes.fromhex(checksum))
    there = any(boot_files(store, bytes.fromhex(other)) == files for other in deployed)
    boot, repo = os.statvfs(sysroot / "boot"), os.statvfs(store.path)
    return Space(
        boot_needed=0 if there else sum(size for _, size in files.values()),
        boot_free=boot.f_bavail * boot.f_frsize,
        repo_free=repo.f_bavail * repo.f_frsize,
        same_file_system=os.stat(sysroot / "boot").st_dev == os.stat(store.path).st_dev,
    )


def boot_files(store: Store, checksum: bytes) -> dict[str, tuple[bytes, int]]:
    """What goes to /boot of a commit: (object, bytes) by path below usr/lib/modules; empty without a kernel."""
    tree = kernels(store, checksum)
    if tree is None:
        return {}
    _, versions = parse_dirtree(store.read(Kind.DIRTREE, tree))
    found: dict[str, tuple[bytes, int]] = {}
    for version, (inner, _) in versions.items():
        files, directories = parse_dirtree(store.read(Kind.DIRTREE, inner))
        if "vmlinuz" not in files:
            continue
        found |= {f"{version}/{name}": _sized(store, files[name]) for name in _COPIED if name in files}
        if "dtb" in directories:
            found |= _below(store, f"{version}/dtb", directories["dtb"][0])
    return found


def kernels(store: Store, checksum: bytes) -> bytes | None:
    """The directory object at usr/lib/modules of a commit: where it is the same, so is what goes to /boot.

    It need not be here itself, only those above it. None without a kernel.
    """
    tree = store.commit(checksum).tree
    for name in _MODULES.split("/"):
        _, directories = parse_dirtree(store.read(Kind.DIRTREE, tree))
        if name not in directories:
            return None
        tree = directories[name][0]
    return tree


def _below(store: Store, prefix: str, tree: bytes) -> dict[str, tuple[bytes, int]]:
    files, directories = parse_dirtree(store.read(Kind.DIRTREE, tree))
    found = {f"{prefix}/{name}": _sized(store, checksum) for name, checksum in files.items()}
    for name, (inner, _) in directories.items():
        found |= _below(store, f"{prefix}/{name}", inner)
    return found


def _sized(store: Store, checksum: bytes) -> tuple[bytes, int]:
    try:
        return checksum, os.lstat(store.object_path(Kind.FILE, checksum)).st_size
    except OSError as error:
        raise StoreError(f"{store.path}: object {checksum.hex()} can't be read: {error.strerror}") from error
