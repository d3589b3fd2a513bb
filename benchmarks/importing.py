# SPDX-License-Identifier: GPL-2.0-or-later
"""Two commands whose CPU time is compared: importing RPMs into the package cache, and the least it could take.

    python -m benchmarks.importing import JOBS STORE   into a new store at STORE
    python -m benchmarks.importing floor JOBS          one process: decompress each payload, SHA-256 what comes out

JOBS is JSON: {"keys": [ARMORED KEY, …], "rpms": [{"path", "nevra": [name, epoch, version, release, arch],
"checksum": "sha256:HEX", "size"}, …]}. Both run signature or digest code over every payload byte; neither solves.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import zstandard

from benchmarks.rpmfile import split

_CHUNK = 1 << 17


def main(argv: list[str]) -> None:
    """Run one of the commands."""
    match argv:
        case ["import", jobs, store]:
            _import(json.loads(Path(jobs).read_text()), Path(store))
        case ["floor", jobs]:
            _floor(json.loads(Path(jobs).read_text()))
        case _:
            sys.exit(__doc__)


def _import(jobs: dict[str, Any], store: Path) -> None:
    from rpmtree.ostree import repo as ostree
    from rpmtree.ostree.store import Store
    from rpmtree.pkgcache.cache import PackageCache, Wanted
    from rpmtree.progress import Reporter
    from rpmtree.rpm.nevra import Nevra

    keys = tuple(key.encode() for key in jobs["keys"])
    ostree.create(store, "bare")
    wanted = [
        (Wanted(Nevra(*rpm["nevra"]), rpm["checksum"], True, keys, rpm["size"]), Path(rpm["path"]))
        for rpm in jobs["rpms"]
    ]
    PackageCache(Store(store)).add(wanted, Reporter())


def _floor(jobs: dict[str, Any]) -> None:
    decompressor = zstandard.ZstdDecompressor()
    for rpm in jobs["rpms"]:
        digest = hashlib.sha256()
        payload = split(Path(rpm["path"]).read_bytes())[1]
        for chunk in decompressor.read_to_iter(io.BytesIO(payload), read_size=_CHUNK, write_size=_CHUNK):
            digest.update(chunk)


if __name__ == "__main__":
    main(sys.argv[1:])
