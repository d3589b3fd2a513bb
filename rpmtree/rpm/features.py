# SPDX-License-Identifier: GPL-2.0-or-later
"""What a package wants of rpm itself: `rpmlib(…)`, which repositories leave out and solvers don't look at."""

from __future__ import annotations

from functools import cache
from typing import Any

from rpmtree.rpm.versions import Evr, compare_evr


def missing_features(header: Any) -> tuple[str, ...]:
    """The features that an `rpm.hdr` requires and this machine's librpm has not, or not in that version."""
    names, versions = header["REQUIRENAME"], header["REQUIREVERSION"]
    wanted = ((n, v) for n, v in zip(names, versions, strict=True) if n.startswith("rpmlib("))
    return tuple(f"{name} <= {version}" for name, version in wanted if not _has(name, version))


def _has(name: str, version: str) -> bool:
    there = _features().get(name)
    return there is not None and compare_evr(there, Evr.parse(version)) >= 0


@cache
def _features() -> dict[str, Evr]:
    import rpm

    return {one.N(): Evr.parse(one.EVR()) for one in rpm.ds.Rpmlib()}
