# SPDX-License-Identifier: GPL-2.0-or-later
"""The initramfs, made by the image's own dracut in the sandbox, the same bytes on each run."""

from __future__ import annotations

import os

from rpmtree import command
from rpmtree.errors import CommandFailed, ToolError
from rpmtree.files import Root
from rpmtree.finish.kernel import MODULES, find
from rpmtree.progress import Reporter
from rpmtree.root.sandbox import image_sandbox
from rpmtree.root.spec import BootLocation, FinishSpec

NAME = "initramfs.img"
_DRACUT_MODULES = "usr/lib/dracut/modules.d"
_SCRATCH = "/tmp/dracut"
_HINT = "or set `no-initramfs: true` if the kernel needs none or a package brings one"
#: The sandbox gives no right to make device nodes; dracut then copies none and says nothing of it.
_ENVIRONMENT = {"DRACUT_NO_MKNOD": "1"}
_ALIGNMENT = 4


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Make the initramfs of the one kernel.

    Raises ToolError if the image can't make one that boots OSTree, CommandFailed with dracut's last lines if it fails.
    """
    if spec.container or not spec.initramfs:
        return
    version = find(root)
    path = f"{MODULES}/{version}/{NAME}"
    if spec.boot_location is BootLocation.KERNEL_INSTALL and root.exists(path):
        return
    _check(root)
    _run_dracut(root, spec, version, path)
    if not root.exists(path):
        raise ToolError(f"dracut succeeded, but made no /{path}")
    _append(root, path, random_devices())
    root.chmod(path, 0o644)


def dracut_argv(version: str, path: str, user_args: tuple[str, ...]) -> list[str]:
    """The command line of dracut; a shell makes the scratch directory, since /tmp is empty in the sandbox."""
    options = ["--no-hostonly", "--reproducible", "-v", "--add", "ostree", f"--tmpdir={_SCRATCH}", "-f"]
    shell = ["sh", "-c", f'mkdir -p {_SCRATCH} && exec dracut "$@"', "dracut"]
    return [*shell, *options, *user_args, "--kver", version, f"/{path}"]


def random_devices() -> bytes:
    """An archive of /dev/random and /dev/urandom: libraries want them before udev or devtmpfs is there."""
    entries = (
        newc_entry("dev", 0o040755, inode=1, links=2),
        newc_entry("dev/random", 0o020644, inode=2, device=(1, 8)),
        newc_entry("dev/urandom", 0o020644, inode=3, device=(1, 9)),
        newc_entry("TRAILER!!!", 0, inode=0),
    )
    return b"".join(entries)


def newc_entry(name: str, mode: int, *, inode: int, links: int = 1, device: tuple[int, int] = (0, 0)) -> bytes:
    """One entry without content of a cpio archive in the "newc" form that kernels read (initramfs format)."""
    raw = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, links, 0, 0, 0, 0, *device, len(raw), 0)
    entry = b"070701" + b"".join(b"%08X" % field for field in fields) + raw
    return entry + bytes(-len(entry) % _ALIGNMENT)


def _check(root: Root) -> None:
    if not any(root.exists(f"{place}/dracut") for place in ("usr/bin", "usr/sbin")):
        raise ToolError("the image has no dracut to make an initramfs with", hint=f"add the package dracut, {_HINT}")
    if not any(name.lstrip("0123456789") == "ostree" for name in root.listdir(_DRACUT_MODULES)):
        raise ToolError(
            "the image's dracut has no ostree module, so its initramfs could not boot the deployment",
            hint=f"add the package that brings it (ostree, ostree-boot), {_HINT}",
        )


def _run_dracut(root: Root, spec: FinishSpec, version: str, path: str) -> None:
    root.makedirs("var")
    sandbox = image_sandbox(root.path, env=_ENVIRONMENT, source_date_epoch=spec.source_date_epoch)
    done = command.run(dracut_argv(version, path, spec.initramfs_args), sandbox=sandbox, check=False)
    if done.status != 0:
        raise CommandFailed(("dracut",), done.status, command.tail(done.stdout + done.stderr))


def _append(root: Root, path: str, archive: bytes) -> None:
    """Put an archive after what is there, behind at least four zero bytes and aligned, as the kernel wants it."""
    with os.fdopen(root.open(path, os.O_WRONLY | os.O_APPEND), "ab") as file:
        size = os.fstat(file.fileno()).st_size
        file.write(bytes(_ALIGNMENT + -size % _ALIGNMENT) + archive)
