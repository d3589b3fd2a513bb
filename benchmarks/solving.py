# SPDX-License-Identifier: GPL-2.0-or-later
"""One question to a PackageSource, in a process of its own: what benchmarks/solve.py measures.

    python -m benchmarks.solving URL CACHEDIR BASE install|check-update|search WORD…

Writes lines as dnf would, and at the end how many things were found.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rpmtree.errors import Place
from rpmtree.rpm.database import read_database
from rpmtree.rpm.repos import Repo
from rpmtree.rpm.request import PackageRequest
from rpmtree.rpm.solver import open_source


def main(url: str, cachedir: str, base: str, question: str, *words: str) -> int:
    """Ask, and write the answer."""
    repo = Repo("big", "big", Place("big.repo", 1), baseurl=(url,), gpgcheck=False, metadata_expire=None)
    packages = words if question == "install" else ()
    request = PackageRequest((repo,), packages, "x86_64", base=Path(base))
    with open_source(request, Path(cachedir)) as source:
        if question == "install":
            lines = [f"{one.nevra} {one.repo_id} {one.download_size}" for one in source.solve().packages]
        elif question == "check-update":
            lines = [f"{new.name}.{new.arch} {new.evr}" for new, _ in source.newer(read_database(Path(base)))]
        else:
            lines = [f"{one.name}.{one.arch} : {one.summary}" for one in source.search(words)]
    print("\n".join([*lines, f"found {len(lines)}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
