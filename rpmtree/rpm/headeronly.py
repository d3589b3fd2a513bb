# SPDX-License-Identifier: GPL-2.0-or-later
"""A package file of a header alone: enough for the solver, where the whole file isn't at hand any more."""

from __future__ import annotations

from pathlib import Path

from rpmtree.rpm.database_worker import package_file


def write(header: bytes, path: Path) -> None:
    """Write the package of `header` (as rpm.hdr.unload() gives it) without its payload to `path`.

    Its size and checksum are not those of the package. The name must end in `.rpm` for the solver to take it.
    """
    path.write_bytes(package_file(header))
