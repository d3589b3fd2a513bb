# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux labels of what an installation has written, by the policy of the image: of all in /etc, /var and /boot, and
of what libostree keeps beside the deployments. What a commit holds has its labels from there.
"""

from __future__ import annotations

import fcntl
import os
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kickstart.deployed import Deployed
from rpmtree.files import Root
from rpmtree.ostree.selinux import Labeller, read_policy

_ATTRIBUTE = "security.selinux"
_GETFLAGS, _SETFLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # linux/fs.h
#: Of what a policy that knows no OSTree has no word for: the label of a file in /usr, as with bootc.
_LIKE = "/usr/ostree"


def apply(deployed: Deployed, sysroot: Path) -> None:
    """Give every file the label that the policy has for it; without one nothing is done."""
    policy = read_policy(lambda path: deployed.tree.read(path) if deployed.tree.exists(path) else None)
    if policy is not None:
        with Labeller(policy) as labeller:
            _label_deployed(deployed, labeller)
            _label_sysroot(sysroot, labeller)


def _label_deployed(deployed: Deployed, labeller: Labeller) -> None:
    for root, inner, path in _entries(deployed):
        _give(root.path / inner, path, labeller)


def _label_sysroot(sysroot: Path, labeller: Labeller) -> None:
    for path in _around(sysroot):
        inner = path.relative_to(sysroot)
        _give(path, _LIKE if inner.parts[:1] == ("ostree",) else str(Path("/", inner)), labeller)


def _around(top: Path) -> Iterator[Path]:
    """All that is neither in a deployment or a stateroot's /var nor an object with a file's content, whose label is a
    part of it. One with other names is such an object: libostree links kernels into a /boot of the same file system.
    """
    yield top
    for entry in sorted(os.scandir(top), key=lambda entry: entry.name):
        path = Path(entry.path)
        if not entry.is_dir(follow_symlinks=False):
            if path.suffix != ".file" and entry.stat(follow_symlinks=False).st_nlink == 1:
                yield path
        elif path.name != "var" and not (path.parent.name == "deploy" and (path / "usr").is_dir()):
            yield from _around(path)


def _give(entry: Path, path: str, labeller: Labeller) -> None:
    """Label a file as the policy has it for `path`."""
    mode = os.lstat(entry).st_mode
    label = labeller.label(path, mode)
    if label is not None and _label_of(entry) != label:
        try:
            os.setxattr(entry, _ATTRIBUTE, label, follow_symlinks=False)
        except PermissionError:  # what extlinux has installed
            with _mutable(entry):
                os.setxattr(entry, _ATTRIBUTE, label)


@contextmanager
def _mutable(path: Path) -> Iterator[None]:
    """A file that is immutable, and is not meanwhile."""
    fd, flags = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), array("l", [0])
    try:
        fcntl.ioctl(fd, _GETFLAGS, flags)
        fcntl.ioctl(fd, _SETFLAGS, array("l", [flags[0] & ~_IMMUTABLE]))
        try:
            yield
        finally:
            fcntl.ioctl(fd, _SETFLAGS, flags)
    finally:
        os.close(fd)


def _entries(deployed: Deployed) -> Iterator[tuple[Root, str, str]]:
    """Root, path in it, and the path on the machine."""
    yield deployed.tree, "etc", "/etc"
    yield from ((deployed.tree, path, f"/{path}") for path in deployed.tree.walk("etc"))
    yield deployed.var, "", "/var"
    yield from ((deployed.var, path, f"/var/{path}") for path in deployed.var.walk())


def _label_of(path: os.PathLike[str]) -> bytes | None:
    with suppress(OSError):  # it has none
        return os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    return None
