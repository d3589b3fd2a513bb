# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/kickstart.md: its commands run, and it names all directives and options there are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from compose.verbs import kickstart
from kickstart.grammar import IDLE, UNSUPPORTED
from kickstart.reading import DIRECTIVES, read
from rpmtree.app import Parser
from tests.conftest import TOP

TEXT = (TOP / "docs" / "kickstart.md").read_text()


def test_the_commands(tmp_path: Path) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    path = f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    script = "set -eu\n" + "\n".join(blocks)
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env={"PATH": path, "LANG": "C.UTF-8"}, check=True)
    stone, _ = read(tmp_path / "stone.ks", basearch="x86_64")
    assert stone.hostname == "stone.example"
    assert [one.name for one in stone.users if one.keys] == ["core"]
    cloud, _ = read(tmp_path / "cloud.ks", basearch="x86_64")
    assert cloud.source is not None
    assert (cloud.source.osname, cloud.source.gpg) == ("granite", True)


@pytest.mark.parametrize("name", sorted({*DIRECTIVES, *IDLE, *UNSUPPORTED}))
def test_every_directive_is_described(name: str) -> None:
    section = next(
        title for title, names in (("done", DIRECTIVES), ("nothing", IDLE), ("refused", UNSUPPORTED)) if name in names
    )
    described = TEXT[TEXT.index(f"### What {'is' if section != 'nothing' else 'does'} {section}") :]
    described = described[: described.find("\n### ", 5)]
    assert f"`{name}`" in described


def test_every_option_is_described() -> None:
    verbs = Parser("compose").add_subparsers()
    kickstart.add(verbs)
    options = {option for action in verbs.choices["kickstart"]._actions for option in action.option_strings}
    assert "--gpg-key" in options
    assert [option for option in options if f"`{option}" not in TEXT and option not in ("-h", "--help")] == []
