# SPDX-License-Identifier: GPL-2.0-or-later
"""The update notices about packages of a solution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hawkey

from rpmtree.rpm.request import Advisory
from rpmtree.rpm.sack import PackageSack

_SEVERITIES = {"none": 0, "low": 1, "moderate": 2, "important": 3, "critical": 4}


def advisories_of(packages: PackageSack, chosen: Sequence[Any]) -> tuple[Advisory, ...]:
    """The notices about exactly the versions that were chosen."""
    found: dict[str, tuple[Any, set[str]]] = {}
    # A package looks at all that is known for its notices: only those that have some are asked.
    listed = packages.query(pkg=list(chosen)).get_advisory_pkgs(hawkey.EQ) if chosen else ()
    named = {one.name for one in listed}
    for package in chosen:
        if package.name not in named:
            continue
        for advisory in package.get_advisories(hawkey.EQ):
            found.setdefault(advisory.id, (advisory, set()))[1].add(str(package))
    return tuple(
        Advisory(
            name,
            advisory.type,
            _SEVERITIES.get((advisory.severity or "").lower(), 0),
            tuple(sorted(about)),
            advisory.title or "",
            tuple(sorted((ref.title or ref.url, ref.url) for ref in advisory.references if _tells_of_a_cve(ref))),
        )
        for name, (advisory, about) in sorted(found.items())
    )


def _tells_of_a_cve(ref: Any) -> bool:
    """Fedora's notices name CVEs in the titles of Bugzilla references, as rpm-ostree looks for them."""
    in_title = ref.type == hawkey.REFERENCE_BUGZILLA and "CVE-" in (ref.title or "")
    return bool(in_title or ref.type == hawkey.REFERENCE_CVE)
