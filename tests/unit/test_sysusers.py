# SPDX-License-Identifier: GPL-2.0-or-later
"""When systemd-sysusers runs before the scripts of packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.root import sysusers
from rpmtree.root.spec import ScriptPolicy
from tests.support.scriptvalues import file, package

MACRO = "%__systemd_sysusers\t%{_rpmconfigdir}/sysusers.sh\n"
P = package("p", files=[file("/usr/lib/sysusers.d/p.conf")])
FORCED = ScriptPolicy(sysusers_forced=True)


@pytest.mark.parametrize(
    ("texts", "makes"),
    [
        ([], False),
        ([MACRO], True),
        (["%_sysusersdir /usr/lib/sysusers.d\n", f"%a b\n{MACRO}%c d\n"], True),
        ([f"#{MACRO}"], False),
        (["%__systemd_sysusers_x y\n"], False),
        ([MACRO, "%__systemd_sysusers %{nil}\n"], False),
        (["%__systemd_sysusers %{nil}\n", MACRO], True),
    ],
)
def test_what_rpm_is_set_up_for(texts: list[str], makes: bool) -> None:
    assert sysusers.rpm_makes_accounts(texts) is makes


def test_where_it_is_wanted(tmp_path: Path) -> None:
    for name in ("usr/bin", "usr/lib/rpm/macros.d", "etc/rpm"):
        (tmp_path / name).mkdir(parents=True)
    with Root(tmp_path) as tree:
        tree.write("usr/lib/rpm/macros.d/macros.a", MACRO)
        assert not sysusers.wanted(tree, [P], ScriptPolicy())
        with pytest.raises(ToolError, match=sysusers.PROGRAM):
            sysusers.wanted(tree, [], FORCED)
        tree.write(sysusers.PROGRAM, "")
        assert sysusers.wanted(tree, [P], ScriptPolicy())
        assert not sysusers.wanted(tree, [package("q")], ScriptPolicy())
        tree.write("etc/rpm/macros", "%__systemd_sysusers %{nil}\n")
        assert not sysusers.wanted(tree, [P], ScriptPolicy())
        assert sysusers.wanted(tree, [], FORCED)
