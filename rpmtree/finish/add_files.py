# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of the treefile's directory that are copied into the tree.

Which sources a treefile may name is for the front end to say; this module holds the destinations inside.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
from pathlib import Path

from rpmtree.errors import ConfigError
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.spec import FinishSpec

_ALLOWED = ("usr", "etc", "bin", "sbin", "lib", "lib64")


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Copy each of spec.add_files, directories with all below them; the source's modes are kept.

    Raises ConfigError on a destination outside /usr and /etc, or a source that can't be read.
    """
    for file in spec.add_files:
        destination = tree_path(file.destination)
        try:
            _copy(root, file.source, destination)
        except FileNotFoundError as error:
            raise ConfigError(f"add-files: {error.filename}: {error.strerror}") from error


def tree_path(destination: str) -> str:
    """The path as it is while steps run: usr/etc is still etc. Raises ConfigError if it is not allowed."""
    parts = destination.strip("/").split("/")
    if parts[:2] == ["usr", "etc"]:
        parts = parts[1:]
    if len(parts) < 2 or parts[0] not in _ALLOWED or parts[:2] == ["usr", "local"]:
        raise ConfigError(f"Unsupported path in add-files: {destination}", hint="it must be below /usr or /etc")
    if any(part in ("", ".", "..") for part in parts) or "\0" in destination:
        raise ConfigError(f"add-files: {destination!r} is not a plain path")
    return "/".join(parts)


def _copy(root: Root, source: Path, destination: str) -> None:
    # Not blocking: opening a FIFO would wait for its writer.
    fd = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISDIR(found.st_mode):
            _copy_directory(root, source, destination, mode)
        elif stat.S_ISREG(found.st_mode):
            root.makedirs(posixpath.dirname(destination))
            with root.replacing(destination, mode) as out, os.fdopen(os.dup(fd), "rb") as file:
                shutil.copyfileobj(file, out, 1 << 20)
        else:
            raise ConfigError(f"add-files: {source} is neither a file nor a directory")
    finally:
        os.close(fd)


def _copy_directory(root: Root, source: Path, destination: str, mode: int) -> None:
    if not root.is_dir(destination):
        root.makedirs(posixpath.dirname(destination))
        root.mkdir(destination, mode)
    for child in sorted(source.iterdir()):
        path = f"{destination}/{child.name}"
        if child.is_symlink():
            root.symlink(str(child.readlink()), path)
        else:
            _copy(root, child, path)
