# SPDX-License-Identifier: GPL-2.0-or-later
"""The top level of a tree that OSTree deploys: a read-only image with links to what is the machine's own.

Steps that run programs in the tree come before this one: a sandbox can't mount on links that lead nowhere yet.
"""

from __future__ import annotations

from rpmtree.files import Root
from rpmtree.finish.layout import MERGED_INTO_USR
from rpmtree.finish.tree import is_real_dir, leaves, put_link, some_of
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec, OptUsrLocal

_KEPT = frozenset(("usr", "etc", "var", *MERGED_INTO_USR))
#: Filled by the running system, or by OSTree: empty in the image, and nobody misses what was there.
_SCRATCH = ("dev", "proc", "run", "sys", "tmp")
_EMPTY = ("boot", "sysroot")
_LINKS = {
    "home": "var/home",
    "media": "run/media",
    "mnt": "var/mnt",
    "ostree": "sysroot/ostree",
    "root": "var/roothome",
    "srv": "var/srv",
}


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Make the top level as OSTree wants it, and name in a warning what is dropped for that."""
    if spec.container:
        return
    opt = _opt_target(root, spec)
    links = {**_LINKS, **({"opt": opt} if opt else {}), **({} if spec.tmp_is_dir else {"tmp": "sysroot/tmp"})}
    directories = [name for name in (*_EMPTY, *_SCRATCH) if name not in links]
    dropped: list[str] = []
    for name in root.listdir(""):
        in_image = name in _KEPT or (name == "opt" and opt is None)
        is_right = root.is_symlink(name) if name in links else name in directories and not root.listdir(name)
        if not in_image and not is_right:
            lost = _drop(root, name)
            dropped += lost if name not in _SCRATCH else []
    for name in directories:
        _directory(root, name, 0o1777 if name == "tmp" else 0o755)
    for name, target in links.items():
        put_link(root, target, name)
    if opt is None:
        _directory(root, "opt", 0o755)
    dropped += _usr_local(root, spec)
    if dropped:
        reporter.warning(f"not part of the image, since only /usr and /etc are: {some_of(dropped)}")


def _drop(root: Root, name: str) -> list[str]:
    """Remove an entry; what is lost by that, bare directories aside."""
    lost = _files(root, name)
    root.remove(name)
    return lost


def _files(root: Root, path: str) -> list[str]:
    return [leaf for leaf in leaves(root, path) if not is_real_dir(root, leaf)]


def _directory(root: Root, name: str, mode: int) -> None:
    if not is_real_dir(root, name):
        root.remove(name)
        root.mkdir(name, mode)
    elif root.lstat(name).st_mode & 0o7777 != mode:
        root.chmod(name, mode)


def _opt_target(root: Root, spec: FinishSpec) -> str | None:
    """Where the link /opt leads; None if it is a directory of the image."""
    if spec.opt_usrlocal is OptUsrLocal.VAR:
        return "var/opt"
    if spec.opt_usrlocal is OptUsrLocal.STATE_OVERLAY:
        root.makedirs("usr/lib/opt")
        return "usr/lib/opt"
    has_own = is_real_dir(root, "opt") and root.listdir("opt")
    return "usr/lib/opt" if root.listdir("usr/lib/opt") and not has_own else None


def _usr_local(root: Root, spec: FinishSpec) -> list[str]:
    """Make /usr/local a link into /var, or see that it is a directory; the files that are lost for it."""
    if spec.opt_usrlocal is not OptUsrLocal.VAR:
        if not is_real_dir(root, "usr/local"):
            root.remove("usr/local")
            root.makedirs("usr/local")
        return []
    lost = _drop(root, "usr/local") if is_real_dir(root, "usr/local") else []
    put_link(root, "../var/usrlocal", "usr/local")
    return lost
