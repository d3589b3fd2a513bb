# SPDX-License-Identifier: GPL-2.0-or-later
"""Second names of kernel and initramfs under /usr/lib/ostree-boot, where older OSTree looks for them."""

from __future__ import annotations

import hashlib
import os

from rpmtree.files import Root
from rpmtree.finish.initramfs import NAME
from rpmtree.finish.kernel import MODULES, OSTREE_BOOT, find
from rpmtree.finish.tree import is_file
from rpmtree.progress import Reporter
from rpmtree.root.spec import BootLocation, FinishSpec


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Link both, with the SHA-256 over kernel and then initramfs in their names (`boot-location: new`)."""
    if spec.container or spec.boot_location is not BootLocation.NEW:
        return
    version = find(root)
    kernel, initramfs = f"{MODULES}/{version}/vmlinuz", f"{MODULES}/{version}/{NAME}"
    has_initramfs = is_file(root, initramfs)
    checksum = sha256_of(root, (kernel, initramfs) if has_initramfs else (kernel,))
    root.makedirs(OSTREE_BOOT)
    root.link(kernel, f"{OSTREE_BOOT}/vmlinuz-{version}-{checksum}")
    if has_initramfs:
        root.link(initramfs, f"{OSTREE_BOOT}/initramfs-{version}.img-{checksum}")


def sha256_of(root: Root, paths: tuple[str, ...]) -> str:
    """The hexadecimal SHA-256 over the contents of files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with os.fdopen(root.open(path), "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
