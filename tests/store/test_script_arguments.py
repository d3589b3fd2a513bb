# SPDX-License-Identifier: GPL-2.0-or-later
"""The first argument of a package's scripts, beside what rpm gives them: installed anew, and in an upgrade."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.root.script_order import ScriptRun, plan_scripts
from tests.support.rpms import lua, make_repo, rpm
from tests.support.scriptvalues import package

pytestmark = pytest.mark.needs("root", "rpm")
PHASES = ("pretrans", "pre", "post", "posttrans")


def test_an_upgrade_as_rpm_does_it(tmp_path: Path) -> None:
    scripts = {phase: lua(f"print('{phase}', arg[2])") for phase in PHASES}
    versions = [rpm("probe", version=version, files={"/usr/share/probe": version}, **scripts) for version in "12"]
    make_repo(tmp_path / "rpms", versions)
    probe = package("probe", **dict.fromkeys(PHASES, "true"))
    for version, replaced in (("1", frozenset[str]()), ("2", frozenset({"probe"}))):
        (file,) = (tmp_path / "rpms").rglob(f"probe-{version}-*.rpm")
        argv = ["rpm", f"--root={tmp_path / 'root'}", "--dbpath=/usr/lib/sysimage/rpm", "--nosignature", "-U"]
        (tmp_path / "root").mkdir(exist_ok=True)
        said = command.run([*argv, "--nodeps", str(file)]).stdout.decode()
        planned = plan_scripts([probe], replaced=replaced)
        ours = [(step.phase, *map(str, step.arguments)) for step in planned if isinstance(step, ScriptRun)]
        assert ours == [tuple(line.split()) for line in said.splitlines()]
        assert len(ours) == len(PHASES)
