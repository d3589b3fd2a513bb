# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts that undo themselves. They are made in a mount namespace of our own, so that even a killed
process leaves none behind.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rpmtree.errors import ToolError

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REC, _MS_SLAVE = 0x1, 0x4000, 0x80000
_MNT_DETACH = 2
_OVERLAY_HINT = (
    "the work directory (--cachedir) must be on a file system that overlayfs can write to, such as ext4 or xfs; "
)
_CONTAINER_HINT = "in a container add --cap-add all --security-opt seccomp=unconfined"
#: The namespace that this process has left: none so far, or a descriptor of it.
_left: list[int] = []


def enter_private_namespace() -> None:
    """Give this process its own view of mounts, once; what the host mounts later is still seen.

    Raises ToolError, saying which right is missing.
    """
    if _left:
        return
    # It may be ours alone: a unit's of systemd, or the one that libostree makes to write to a read-only /sysroot.
    # Without a process or this descriptor it would end, and below what is open of it nothing would be mounted any more.
    left = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    if _libc.unshare(_CLONE_NEWNS) != 0:
        raise ToolError(
            f"can't make a mount namespace: {os.strerror(ctypes.get_errno())}",
            hint=f"run as root; {_CONTAINER_HINT}",
        )
    _left.append(left)
    _mount("none", "/", None, _MS_REC | _MS_SLAVE, None)


def below(directory: Path) -> list[Path]:
    """Where something is mounted inside of a directory, links in its path resolved; sorted."""
    top = directory.resolve()
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    # Its fifth field, in which blanks and the like are octal (proc(5)).
    points = (re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8)]), line.split()[4]) for line in lines)
    found = {Path(os.fsdecode(point)) for point in points}
    return sorted(point for point in found if top in point.parents)


@contextmanager
def overlay(target: Path, *, lower: Sequence[Path], upper: Path, work: Path) -> Iterator[None]:
    """Show `lower` (topmost first) at `target`, with all changes going to `upper`; `work` is overlayfs' own scratch.

    upper and work must be empty directories on one file system that is not itself an overlay.
    Raises ToolError.
    """
    # The kernel's defaults differ. Off: with these, a renamed directory or a change of mode alone would be a note
    # in `upper` that points elsewhere, and not the whole thing.
    # Volatile: what is in `upper` matters to nobody after a crash, so nothing waits for it to be on disk.
    features = "redirect_dir=off,metacopy=off,index=off,volatile"
    lowers = ":".join(map(_escaped, lower))
    options = f"{features},lowerdir={lowers},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    try:
        _mount("overlay", target, "overlay", 0, options)
        yield
        _unmount(target)
    except BaseException:
        with suppress(ToolError):  # what went wrong before is the news; a signal may come at any moment of these
            _unmount(target)
        raise


@contextmanager
def filesystem(
    source: Path | str, target: Path, kind: str, *, options: str = "", writable: bool = True
) -> Iterator[None]:
    """Mount a file system of a device (or tmpfs) at `target`; all is written to it when the body has ended well.

    Raises ToolError.
    """
    try:
        _mount(str(source), target, kind, 0 if writable else _MS_RDONLY, options)
        yield
        _unmount(target)
    except BaseException:
        with suppress(ToolError):  # as above
            _unmount(target)
        raise


def _escaped(path: Path) -> str:
    # Separators of the option's own syntax (Documentation/filesystems/overlayfs.rst).
    return str(path).replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _mount(source: str, target: Path | str, kind: str | None, flags: int, options: str | None) -> None:
    arguments = (source, str(target), kind, options)
    encoded = [None if text is None else os.fsencode(text) for text in arguments]
    if _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]) != 0:
        code = ctypes.get_errno()
        raise ToolError(
            f"can't mount {kind or 'namespace'} at {target}: {os.strerror(code)}",
            hint=f"{_OVERLAY_HINT if kind == 'overlay' else ''}{_CONTAINER_HINT}",
        )


def _unmount(target: Path) -> None:
    if _libc.umount2(os.fsencode(target), 0) == 0:
        return
    code = ctypes.get_errno()
    _libc.umount2(os.fsencode(target), _MNT_DETACH)
    raise ToolError(f"can't unmount {target}: {os.strerror(code)}", hint="a process still uses it")
