# SPDX-License-Identifier: GPL-2.0-or-later
"""What a layered commit says of itself: its metadata, and the digest of all that it is made from. Pure.

Keys and types are rpm-ostree's (rpmostree-core.cxx, its layered commits); `strata.` is ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from layering.classify import Classified, Dormant
from layering.origin import Origin
from rpmtree.ostree.objects import Commit
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.request import Solution

#: Raised where the same inputs make another commit than before.
LAYER_VERSION = 2
STATE = "rpmostree.state-sha512"
_CLIENT_LAYER_VERSION = 6


@dataclass(frozen=True, slots=True)
class Layered:
    """What is layered on a base: the requests that take effect, and what was chosen for them."""

    base: bytes
    classified: Classified
    solution: Solution

    @property
    def digest(self) -> str:
        """SHA-512 of all that decides the commit, in hexadecimal; the place of a package in a repository does not.

        Requests without effect don't, either: for them nothing is made anew.
        """
        active = self.classified.active
        inputs = {
            "version": LAYER_VERSION,
            "base": self.base.hex(),
            "requests": active.packages,
            "packages": sorted((str(package.nevra), package.checksum) for package in self.solution.packages),
            "removed": sorted(map(str, self.solution.removed)),
            "replaced": sorted((str(new), str(old)) for new, old in self.solution.replaced),
            "overriding": sorted(str(package.nevra) for package in active.local_fileoverride),
            "initramfs": [active.regenerate_initramfs, *active.initramfs_args],
        }
        return hashlib.sha512(json.dumps(inputs, sort_keys=True).encode()).hexdigest()

    def metadata(self, inherited: Mapping[str, Variant]) -> dict[str, Variant]:
        """The commit's metadata; of the base's (`inherited`) the version stays."""
        active, solution = self.classified.active, self.solution
        source = {name: old.repo for old in active.remote_replacements for name in old.packages}
        found = {
            "rpmostree.clientlayer": Variant("b", True),
            "rpmostree.clientlayer_version": Variant("u", _CLIENT_LAYER_VERSION),
            "rpmostree.packages": Variant("as", list(active.packages)),
            "rpmostree.modules": Variant("as", []),
            "rpmostree.removed-base-packages": Variant("av", [_nevra(nevra) for nevra in sorted(solution.removed)]),
            "rpmostree.replaced-base-packages": Variant(
                "a(vv)",
                [(_nevra(new), _nevra(old)) for new, old in solution.replaced if new.name not in source],
            ),
            "rpmostree.replaced-base-remote-packages": Variant("a{sv}", _remote(solution, source)),
            "rpmostree.rpmmd-repos": Variant(
                "aa{sv}",
                [{"id": Variant("s", repo.id), "timestamp": Variant("t", repo.timestamp)} for repo in solution.repos],
            ),
            STATE: Variant("s", self.digest),
        }
        if inactive := inactive_variant(self.classified):
            found["strata.inactive"] = inactive
        if "version" in inherited:
            found["version"] = inherited["version"]
        return found


def identity(checksum: str, commit: Commit) -> str:
    """What a deployed commit is, by what is known before one is made: a layered one its digest, another its checksum.

    By it a system remembers what did not boot: whoever makes the same commit again makes it under the same identity.
    """
    found = commit.metadata.get(STATE)
    return checksum if found is None else str(found.value)


def inactive_variant(classified: Classified) -> Variant | None:
    """Dormant requests with the reasons, by kind; None where all take effect."""
    kinds: dict[str, tuple[Dormant, ...]] = {
        "requests": classified.requests,
        "removals": classified.removals,
        "replacements": classified.replacements,
    }
    rows = {kind: [[entry.what, entry.why] for entry in found] for kind, found in kinds.items() if found}
    return Variant("a{saas}", rows) if rows else None


def local_checksums(origin: Origin) -> frozenset[str]:
    """Checksums ("sha256:HEX") of all packages of an origin that came as files."""
    files: Iterable[Any] = (*origin.local_packages, *origin.local_fileoverride, *origin.local_replacements)
    return frozenset(f"sha256:{package.sha256}" for package in files)


def _remote(solution: Solution, source: Mapping[str, str]) -> dict[str, Variant]:
    """Replacements by the repository that they are asked of; this one may have come from the cache."""
    by_repo: dict[str, list[tuple[Variant, Variant]]] = {}
    for new, old in solution.replaced:
        if new.name in source:
            by_repo.setdefault(source[new.name], []).append((_nevra(new), _nevra(old)))
    return {repo: Variant("a(vv)", pairs) for repo, pairs in sorted(by_repo.items())}


def _nevra(nevra: Nevra) -> Variant:
    row = (str(nevra), nevra.name, nevra.epoch, nevra.version, nevra.release, nevra.arch)
    return Variant("(sstsss)", row)
