# SPDX-License-Identifier: GPL-2.0-or-later
"""Metadata beside commits: what is added, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.errors import StoreError
from rpmtree.ostree.detached import add_detached, read_detached
from rpmtree.ostree.repo import Repository, create
from rpmtree.ostree.signatures import ED25519, detached, stored
from rpmtree.ostree.signing import SecretKey, sign_ed25519
from rpmtree.ostree.variant import Variant
from tests.support.sysroots import commit_tree

pytestmark = pytest.mark.needs("root", "ostree", "gi:", "nacl:")
ROWS = Variant("aa{sv}", [{"id": Variant("s", "site"), "timestamp": Variant("t", 1_700_000_000)}])


def test_values_are_added_beside_signatures(tmp_path: Path) -> None:
    from nacl.signing import SigningKey

    create(tmp_path / "repo", "bare")
    checksum = bytes.fromhex(commit_tree(tmp_path / "repo"))
    repo = Repository(tmp_path / "repo")
    signing = SigningKey.generate()
    sign_ed25519(repo, checksum, SecretKey(bytes(signing), bytes(signing.verify_key)))
    before = stored(detached(repo.path, checksum.hex()), ED25519)
    add_detached(repo, checksum, {"a": Variant("s", "first"), "rows": ROWS})
    add_detached(repo, checksum, {"a": Variant("s", "second")})
    after = detached(repo.path, checksum.hex())
    assert stored(after, ED25519) == before
    assert len(before) == 1
    assert after.lookup_value("a", None).get_string() == "second"
    argv = ["ostree", f"--repo={repo.path}", "show", "--print-detached-metadata-key=rows", checksum.hex()]
    assert "<uint64 1700000000>" in command.run(argv).stdout.decode()
    assert read_detached(repo, checksum, "rows", ROWS.signature) == ROWS
    assert read_detached(repo, checksum, "rows", "as") is None
    assert read_detached(repo, checksum, "b", "s") is None
    with pytest.raises(StoreError):
        add_detached(repo, bytes(32), {"a": Variant("s", "x")})


def test_what_a_server_made_up_is_not_read(tmp_path: Path) -> None:
    create(tmp_path / "repo", "bare")
    checksum = bytes.fromhex(commit_tree(tmp_path / "repo"))
    repo = Repository(tmp_path / "repo")
    add_detached(repo, checksum, {"rows": ROWS})
    path = tmp_path / "repo/objects" / checksum.hex()[:2] / f"{checksum.hex()[2:]}.commitmeta"
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        found = read_detached(repo, checksum, "rows", ROWS.signature)
        assert found is None or found.signature == ROWS.signature
    path.write_bytes(b"")
    assert read_detached(repo, checksum, "rows", ROWS.signature) is None
