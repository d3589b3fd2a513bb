# SPDX-License-Identifier: GPL-2.0-or-later
"""Where an image keeps its rpm database, and how every rpm in it is told so."""

from __future__ import annotations

from pathlib import Path

from rpmtree.files import Root

HOME = "usr/share/rpm"
#: Where Fedora's rpm looks; a link.
SYSIMAGE = "usr/lib/sysimage/rpm"
#: Where a commit may have it: an image of ours, Fedora's.
HOMES = (HOME, SYSIMAGE)
#: Where a root may that was made elsewhere: also where it was everybody's before.
ROOT_HOMES = (*HOMES, "var/lib/rpm")
#: Named as rpm-ostree names it, which other tools look for.
MACRO_FILE = "usr/lib/rpm/macros.d/macros.rpm-ostree"
_MACROS = "%_dbpath /usr/share/rpm\n"


def place_database(root: Root, database: Path) -> None:
    """Copy the files of `database`, a directory outside the tree, to HOME, and tell the image's rpm of it."""
    root.makedirs(HOME)
    for file in sorted(database.iterdir()):
        root.write(f"{HOME}/{file.name}", file.read_bytes(), 0o644)
    ensure_macro_file(root)
    if not root.lexists(SYSIMAGE):
        root.makedirs(SYSIMAGE.rpartition("/")[0])
        root.symlink("../../share/rpm", SYSIMAGE)


def ensure_macro_file(root: Root) -> None:
    """Name HOME in a macro file; distributions differ in their default."""
    if not root.exists(MACRO_FILE) or root.read_text(MACRO_FILE) != _MACROS:
        root.makedirs(MACRO_FILE.rpartition("/")[0])
        root.write(MACRO_FILE, _MACROS, 0o644)
