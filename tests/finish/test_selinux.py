# SPDX-License-Identifier: GPL-2.0-or-later
"""The step for SELinux policies: aliases, and the store of modules."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree.finish import selinux
from rpmtree.root.spec import FinishSpec
from tests.finish.golden import check

WANTED = FinishSpec(selinux=True)
POLICY = """
etc/selinux/config
| SELINUX=permissive
| SELINUXTYPE=default
etc/selinux/default/contexts/files/file_contexts.subs_dist 0640
| /run /var/run
| /var/home /home
etc/selinux/other/contexts/files/file_contexts.subs_dist
| /run /var/run
"""
STORE = """
etc/selinux/semanage.conf
| module-store = direct
etc/selinux/default/semanage.read.LOCK
var/lib/selinux/default/ 0700
var/lib/selinux/default/semanage.trans.LOCK
var/lib/selinux/default/active/modules/100/a
| module
"""


def test_the_policy_in_force_gets_aliases(tmp_path: Path) -> None:
    after = POLICY.replace(
        "| /var/home /home\n", "| #/var/home /home\n| /home /var/home\n| /usr/etc /etc\n| /usr/lib/opt /opt\n"
    )
    check(tmp_path, selinux.apply, POLICY, after, WANTED)


def test_the_store_of_modules_moves(tmp_path: Path) -> None:
    before = POLICY.replace("/var/home /home", "/home /var/home") + STORE
    after = (
        POLICY.replace("/var/home /home", "/home /var/home")
        + """
    etc/selinux/semanage.conf
    | store-root = /etc/selinux
    | module-store = direct
    etc/selinux/default/active/modules/100/a
    | module
    var/lib/
    """
    )
    check(tmp_path, selinux.apply, before, after, WANTED)


@pytest.mark.parametrize("before", [POLICY + STORE, POLICY.replace("permissive", "disabled") + STORE, STORE])
def test_nothing_is_done_without_labels(tmp_path: Path, before: str) -> None:
    check(tmp_path, selinux.apply, before, before, FinishSpec(selinux="permissive" not in before))
