# SPDX-License-Identifier: GPL-2.0-or-later
"""What a treefile decides about the files of packages before they are in the cache. Pure."""

from __future__ import annotations

import stat
from dataclasses import dataclass

_EXECUTABLE = stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH


@dataclass(frozen=True, slots=True)
class ImportChoices:
    """Mode and attributes are part of an object's checksum: other choices make another commit of a package."""

    #: Executable files can't be written to by their owner.
    readonly_executables: bool = False
    #: Files have the IMA signatures of the package's header.
    ima: bool = False

    @property
    def name(self) -> str:
        """What tells the branches of packages with these choices from others; empty for the usual ones."""
        return "-".join(name for name, chosen in (("readonly", self.readonly_executables), ("ima", self.ima)) if chosen)

    def mode(self, mode: int) -> int:
        """The mode that a file (`mode` with its type bits) gets."""
        if self.readonly_executables and stat.S_ISREG(mode) and mode & _EXECUTABLE:
            return mode & ~stat.S_IWUSR
        return mode


#: As a treefile without a word about it has it, and a system that packages are layered on.
USUAL = ImportChoices()
