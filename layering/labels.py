# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux labels of what is layered: as the base has them, and by the policy that the deployment will have."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from rpmtree.files import Root
from rpmtree.finish.treefile_json import PATH as TREEFILE
from rpmtree.ostree.selinux import Policy, read_policy
from rpmtree.pkgcache.cache import CachedPackage
from rpmtree.root.base import Base
from rpmtree.root.labels import Labels, has_label, policy_in


def wants_labels(base: Base) -> bool:
    """Whether files are to have labels, if there is a policy: not where the base has one, and was made without."""
    return has_label(base.root.dirs["usr"].meta) or read_policy(base.read) is None


def policy_of(base: Base) -> Policy | None:
    """The policy that the base's files, and those of packages for it, are labelled by. Raises StoreError."""
    policy = read_policy(base.read) if wants_labels(base) else None
    return None if policy is None else replace(policy, label_version=_version(base))


def labels_of(base: Base, tree: Root, packages: Iterable[CachedPackage]) -> Labels | None:
    """The labels of a commit of the base with `packages` on it, whose finished root is `tree`. Raises StoreError."""
    policy = policy_in(tree) if wants_labels(base) else None
    if policy is None:
        return None
    before = read_policy(base.read)
    same = before is not None and before.checksum == policy.checksum
    imported = frozenset().union(*(found.tree.all_files() for found in packages if found.policy))
    policy = replace(policy, label_version=_version(base))
    return Labels(policy, base.root if before is not None else None, same, imported)


def _version(base: Base) -> int:
    """The `selinux-label-version` that the base was composed with."""
    try:
        treefile = json.loads(base.text(TREEFILE))
    except ValueError:
        return 0
    return 1 if isinstance(treefile, dict) and treefile.get("selinux-label-version") == 1 else 0
