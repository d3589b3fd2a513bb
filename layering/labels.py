# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux labels of what is layered: as the base has them, and by the policy that the deployment will have."""

from __future__ import annotations

import json

from rpmtree.files import Root
from rpmtree.finish.treefile_json import PATH as TREEFILE
from rpmtree.ostree.selinux import read_policy
from rpmtree.root.base import Base
from rpmtree.root.labels import Labels, has_label, policy_in


def wants_labels(base: Base) -> bool:
    """Whether files are to have labels, if there is a policy: not where the base has one, and was made without."""
    return has_label(base.root.dirs["usr"].meta) or read_policy(base.read) is None


def labels_of(base: Base, tree: Root) -> Labels | None:
    """The labels of a commit on the base, whose finished root is `tree`. Raises StoreError."""
    policy = policy_in(tree) if wants_labels(base) else None
    if policy is None:
        return None
    before = read_policy(base.read)
    same = before is not None and before.checksum == policy.checksum
    return Labels(policy, _version(base), base.root if before is not None else None, same)


def _version(base: Base) -> int:
    """The `selinux-label-version` that the base was composed with."""
    try:
        treefile = json.loads(base.text(TREEFILE))
    except ValueError:
        return 0
    return 1 if isinstance(treefile, dict) and treefile.get("selinux-label-version") == 1 else 0
