# SPDX-License-Identifier: GPL-2.0-or-later
"""The digest of a compose's inputs: what changes it, and what does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compose.inputhash import ENGINE, ExternalDigest, digest_externals, input_hash
from compose.layer import Externals
from rpmtree.errors import ConfigError

BASE: dict[str, Any] = {
    "document": {"ref": "a", "packages": ["x"], "metadata": {"m": 1}},
    "externals": [ExternalDigest("add-files[0]", 0o644, "00"), ExternalDigest("passwd", 0o644, "11")],
    "packages": [("a-1-1.noarch", "sha256:aa"), ("b-1-1.noarch", "sha256:bb")],
}


def with_(**changes: Any) -> str:
    return input_hash(**(BASE | changes))


def test_same_inputs_same_digest() -> None:
    assert with_() == with_()
    assert len(with_()) == 64
    assert with_(packages=BASE["packages"][::-1]) == with_()
    assert with_(document={"packages": ["x"], "ref": "a"}) == with_()
    assert with_(document=BASE["document"] | {"metadata": {}, "ostree-layers": ["l"]}) == with_()


@pytest.mark.parametrize(
    "changes",
    [
        {"document": {"ref": "b", "packages": ["x"]}},
        {"document": {"ref": "a", "packages": ["x"], "selinux": True}},
        {"externals": BASE["externals"][:1]},
        {"externals": BASE["externals"][::-1]},
        {"externals": [ExternalDigest("add-files[0]", 0o755, "00"), BASE["externals"][1]]},
        {"externals": [ExternalDigest("add-files[0]", 0o644, "01"), BASE["externals"][1]]},
        {"externals": [ExternalDigest("group", 0o644, "00"), BASE["externals"][1]]},
        {"packages": BASE["packages"][:1]},
        {"packages": [("a-1-1.noarch", "sha256:ab"), BASE["packages"][1]]},
        {"packages": [("a-1-2.noarch", "sha256:aa"), BASE["packages"][1]]},
        {"layers": ["cc"]},
    ],
)
def test_another_input_another_digest(changes: dict[str, Any]) -> None:
    assert with_(**changes) != with_()


def test_another_engine_another_digest() -> None:
    assert with_(engine=ENGINE) == with_()
    assert with_(engine=ENGINE + 1) != with_()


def test_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    path.chmod(0o644)
    externals = Externals(add_files=(path,), postprocess_script=path, passwd=path, group=path)
    digests = digest_externals(externals)
    assert [digest.role for digest in digests] == ["add-files[0]", "postprocess-script", "passwd", "group"]
    assert {digest.mode for digest in digests} == {0o644}
    path.chmod(0o755)
    assert digest_externals(externals) != digests
    path.chmod(0o644)
    assert digest_externals(externals) == digests
    path.write_text("y")
    assert digest_externals(externals) != digests
    path.unlink()
    with pytest.raises(ConfigError):
        digest_externals(externals)
