# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux labels of what an installation has written, by the policy of the image: of all in /etc, /var and /boot, and
of what libostree keeps beside the deployments. What a commit holds has its labels from there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from kickstart.deployed import Deployed
from rpmtree.files import set_immutable
from rpmtree.ostree.selinux import Labeller, read_policy

_ATTRIBUTE = "security.selinux"
#: Of what a policy that knows no OSTree has no word for: the label of a file in /usr, as with bootc.
_LIKE = "/usr/ostree"


def apply(deployed: Deployed, sysroot: Path) -> None:
    """Give every file the label that the policy has for it; without one nothing is done."""
    policy = read_policy(lambda path: deployed.tree.read(path) if deployed.tree.exists(path) else None)
    if policy is not None:
        with Labeller(policy) as labeller:
            for path, place in (*_deployed(deployed), *_sysroot(sysroot)):
                _give(path, place, labeller)


def _deployed(deployed: Deployed) -> Iterator[tuple[Path, str]]:
    """What is in /etc and /var, and where a policy has it."""
    for path in ("etc", *deployed.tree.walk("etc")):
        yield deployed.tree.path / path, f"/{path}"
    for path in ("", *deployed.var.walk()):
        yield deployed.var.path / path, f"/var/{path}".rstrip("/")


def _sysroot(sysroot: Path) -> Iterator[tuple[Path, str]]:
    """What is around the deployments, and where a policy has it."""
    for path in _around(sysroot):
        inner = path.relative_to(sysroot)
        yield path, _LIKE if inner.parts[:1] == ("ostree",) else str(Path("/", inner))


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
            was = set_immutable(entry, False)
            try:
                os.setxattr(entry, _ATTRIBUTE, label)
            finally:
                set_immutable(entry, was)


def _label_of(path: os.PathLike[str]) -> bytes | None:
    with suppress(OSError):  # it has none
        return os.getxattr(path, _ATTRIBUTE, follow_symlinks=False)
    return None
