# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's home: /usr/lib/modules/KVER holds vmlinuz and all that belongs to it, for exactly one KVER."""

from __future__ import annotations

import re

from rpmtree import command
from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.finish.tree import is_file, is_real_dir, move, read_if_file
from rpmtree.progress import Reporter
from rpmtree.root.sandbox import image_sandbox
from rpmtree.root.spec import BootLocation, FinishSpec

MODULES = "usr/lib/modules"
OSTREE_BOOT = "usr/lib/ostree-boot"
#: Names of ours, from an earlier finishing of the same tree.
_LINKED = re.compile(r"(?:vmlinuz|initramfs)-.+-[0-9a-f]{64}")
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_IN_BOOT = re.compile(r"vmlinuz-(?!0-rescue)(?P<version>.+)")
_MODULE = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?$")
#: What belongs to a kernel in /boot ({0} is its version), and the name it has beside vmlinuz.
_COMPANIONS = {
    "vmlinuz-{0}": "vmlinuz",
    "System.map-{0}": "System.map",
    "config-{0}": "config",
    ".vmlinuz-{0}.hmac": ".vmlinuz.hmac",
    "symvers-{0}.gz": "symvers.gz",
    "symvers-{0}.xz": "symvers.xz",
}
_INITRAMFS_IN_BOOT = ("initramfs-{0}.img", "initrd.img-{0}", "initrd-{0}")


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Gather the kernel's files and bring modules.dep up to date.

    Raises ToolError without a kernel, with several, or if depmod is needed and the image has none.
    """
    if spec.container:
        return
    _clear_boot(root)
    version = find(root)
    _gather(root, version)
    if spec.initramfs and spec.boot_location is not BootLocation.KERNEL_INSTALL:
        _remove_packaged_initramfs(root, version)
    if not root.listdir(OSTREE_BOOT):
        root.remove(OSTREE_BOOT)
    if modules_dep_is_stale(root, version):
        _depmod(root, spec, version)


def find(root: Root) -> str:
    """The version of the one kernel in /usr/lib/modules or /usr/lib/ostree-boot. Raises ToolError."""
    versions = {name for name in root.listdir(MODULES) if is_file(root, f"{MODULES}/{name}/vmlinuz")}
    in_boot = (_IN_BOOT.fullmatch(name) for name in root.listdir(OSTREE_BOOT) if not _LINKED.fullmatch(name))
    versions |= {found["version"] for found in in_boot if found}
    if not versions:
        raise ToolError(
            "there is no kernel in the root",
            hint="add a kernel package to the treefile, or set `container: true` for a tree that does not boot",
        )
    if len(versions) > 1:
        raise ToolError(
            f"there are {len(versions)} kernels in the root: {', '.join(sorted(versions))}",
            hint="an image boots one kernel: name the other's package in exclude-packages",
        )
    return versions.pop()


def _clear_boot(root: Root) -> None:
    """Boot loader entries and older links of ours go; everything else in /boot joins what packages brought."""
    for name in root.listdir(OSTREE_BOOT):
        if _LINKED.fullmatch(name):
            root.remove(f"{OSTREE_BOOT}/{name}")
    for name in root.listdir("boot"):
        if name == "loader" or _MACHINE_ID.fullmatch(name):
            root.remove(f"boot/{name}")
        else:
            root.makedirs(OSTREE_BOOT)
            move(root, f"boot/{name}", f"{OSTREE_BOOT}/{name}")


def _gather(root: Root, version: str) -> None:
    directory = f"{MODULES}/{version}"
    for pattern, name in _COMPANIONS.items():
        source, path = f"{OSTREE_BOOT}/{pattern.format(version)}", f"{directory}/{name}"
        if root.lexists(source) and root.lexists(path):
            root.remove(source)
        elif root.lexists(source):
            root.makedirs(directory)
            root.rename(source, path)
    _make_hmac_relative(root, f"{directory}/.vmlinuz.hmac")


def _make_hmac_relative(root: Root, path: str) -> None:
    """The checksum file names the kernel as it was installed; here it stands beside it."""
    text = read_if_file(root, path)
    if text is not None and len(text.split()) == 2 and text.split()[1] != "vmlinuz":
        root.write(path, f"{text.split()[0]}  vmlinuz\n")


def _remove_packaged_initramfs(root: Root, version: str) -> None:
    root.remove(f"{MODULES}/{version}/initramfs.img")
    for pattern in _INITRAMFS_IN_BOOT:
        root.remove(f"{OSTREE_BOOT}/{pattern.format(version)}")


def modules_dep_is_stale(root: Root, version: str) -> bool:
    """Whether there are modules that modules.dep does not list, or the other way round."""
    directory = f"{MODULES}/{version}"
    found = {path.removeprefix(f"{directory}/") for path in _walk(root, directory) if _MODULE.search(path)}
    text = read_if_file(root, f"{directory}/modules.dep") or ""
    listed = {line.partition(":")[0] for line in text.splitlines()}
    return found != listed or (bool(found) and not is_file(root, f"{directory}/modules.dep.bin"))


def _walk(root: Root, path: str) -> list[str]:
    """All below a directory, without what build and source links lead to."""
    return list(root.walk(path)) if is_real_dir(root, path) else []


def _depmod(root: Root, spec: FinishSpec, version: str) -> None:
    program = next((path for path in ("usr/sbin/depmod", "usr/bin/depmod") if root.exists(path)), None)
    if program is None:
        raise ToolError(
            "the kernel's modules are not indexed, and the image has no depmod", hint="add the package kmod"
        )
    root.makedirs("var")
    sandbox = image_sandbox(root.path, source_date_epoch=spec.source_date_epoch)
    command.run([f"/{program}", "-a", version], sandbox=sandbox)
