# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m tests.distro [granite-12|basalt-13|all] [--output DIRECTORY] [--lock]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.distro import lock
from tests.distro.archive import Archive
from tests.distro.build import build


def main() -> None:
    """Make the distributions, or (`--lock`) pin them to what the archive has today."""
    parser = argparse.ArgumentParser(prog="python -m tests.distro", description=main.__doc__)
    parser.add_argument("which", nargs="?", default="all", choices=["all", *(r.name for r in lock.RELEASES)])
    parser.add_argument("--output", type=Path, default=Path("build/distro"))
    parser.add_argument("--lock", action="store_true", help="write the lock files anew")
    arguments = parser.parse_args()
    for release in lock.RELEASES:
        if arguments.which not in ("all", release.name):
            continue
        if arguments.lock:
            archive = Archive(release.suite, arguments.output / ".apt" / release.suite)
            archive.update()
            lock.write(release.lock_path, lock.make(release, archive))
        else:
            build(release, arguments.output)


if __name__ == "__main__":
    main()
