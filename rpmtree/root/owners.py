# SPDX-License-Identifier: GPL-2.0-or-later
"""Gives files the owners that their packages name.

Packages are imported with every file owned by root, since ids are only known once the accounts of a tree
are. Modes and capabilities are right from the import; changing an owner takes set-id bits and
capabilities away, so they are put back here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.pkgcache.choices import USUAL, ImportChoices
from rpmtree.root.accounts import Accounts
from rpmtree.rpm.capabilities import XATTR, capability_xattr
from rpmtree.rpm.filesignatures import UNCHECKED, signatures_of
from rpmtree.rpm.package import File, Package
from rpmtree.rpm.signatures import read_header_blob


def not_roots(package: Package) -> list[File]:
    """The files whose owner or group is not root: those that `apply_owners` is about."""
    return [file for file in package.files if not (file.user == "root" and file.group == "root")]


def apply_owners(
    tree: Root,
    var: Root | None,
    package: Package,
    files: Iterable[File],
    choices: ImportChoices = USUAL,
) -> None:
    """Set owner, mode and attributes of `files` of `package`; those that are not there are passed over.

    Paths below /var are looked up in `var`, if given. Modes and signatures are those of an import with `choices`.
    Raises ToolError for a name that the tree's account files lack: to fall back to root, as rpm does, would hide a
    missing account in an image.
    """
    wanted = list(files)
    if not wanted:
        return
    accounts = Accounts.of_tree(tree)
    signatures = signatures_of(read_header_blob(package.header), package.files) if choices.ima else {}
    for file in wanted:
        look = _Look(*_ids(accounts, package, file), choices.mode(file.mode), signatures.get(file.path))
        if var is not None and file.path.startswith("/var/"):
            _apply(var, file.path.removeprefix("/var/"), file, replace(look, signature=None))
        else:
            _apply(tree, file.path, file, look)


@dataclass(frozen=True, slots=True)
class _Look:
    """What a file is to have."""

    uid: int
    gid: int
    mode: int
    signature: bytes | None


def _ids(accounts: Accounts, package: Package, file: File) -> tuple[int, int]:
    for kind, name, known in (("user", file.user, accounts.uids), ("group", file.group, accounts.gids)):
        if name not in known:
            table = "passwd" if kind == "user" else "group"
            raise ToolError(
                f"Could not find {kind} '{name}' in {table} file, for {file.path} of {package.nevra}",
                hint=f"the package, or one that it requires, must create the {kind} in %pre or by sysusers.d",
            )
    return accounts.uids[file.user], accounts.gids[file.group]


def _apply(tree: Root, path: str, file: File, look: _Look) -> None:
    try:
        found = tree.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return  # %ghost, or left out by the treefile (documentation, languages)
    if stat.S_IFMT(found.st_mode) != stat.S_IFMT(file.mode):
        return  # a script has replaced it: the new entry is not the package's
    if (found.st_uid, found.st_gid) != (look.uid, look.gid):
        tree.chown(path, look.uid, look.gid)
    if stat.S_ISLNK(file.mode):
        return
    tree.chmod(path, stat.S_IMODE(look.mode))
    if file.caps and stat.S_ISREG(file.mode):
        _set_capabilities(tree, path, file.caps, str(file.path))
    if look.signature is not None:
        _set_attribute(tree, path, UNCHECKED, look.signature)


def _set_capabilities(tree: Root, path: str, text: str, shown: str) -> None:
    try:
        value = capability_xattr(text)
    except ValueError as error:
        raise ToolError(f"{shown} has capabilities that can't be set: {error}") from error
    _set_attribute(tree, path, XATTR, value)


def _set_attribute(tree: Root, path: str, name: str, value: bytes) -> None:
    fd = tree.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.setxattr(fd, name, value)
    finally:
        os.close(fd)
