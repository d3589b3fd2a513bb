# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose sign`: signatures of keys that the user names, added to a commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rpmtree.errors import StoreError
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signing import find_gpg_key, read_secret_keys, sign_ed25519, sign_gpg


@dataclass(frozen=True, slots=True)
class Signed:
    """One key's part: `key` is a fingerprint, or a public key in base64; not `added`: the signature was there."""

    kind: str
    key: str
    added: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of signing the commit `commit`, in hexadecimal."""

    commit: str
    signatures: tuple[Signed, ...]

    @property
    def lines(self) -> list[str]:
        """The answer for people."""
        return [
            f"{self.commit}: {'signed' if one.added else 'is signed already'} with {one.kind} {one.key}"
            for one in self.signatures
        ]

    def as_json(self) -> dict[str, Any]:
        """The answer of `--json`."""
        return asdict(self)


def sign(path: Path, rev: str, gpg_keys: Sequence[str], homedir: Path, key_files: Sequence[Path]) -> Outcome:
    """Sign what `rev`, a branch or a checksum, names in the repository at `path`. Durable when it returns.

    All keys are looked at before the first signature is made. Raises ConfigError, StoreError, ToolError.
    """
    repo = Repository(path)
    checksum = repo.resolve(rev)
    if checksum is None:
        raise StoreError(f"{path} has no branch {rev}", hint=f"ostree refs --repo={path} lists them")
    repo.commit(checksum)
    keys = [key for file in key_files for key in read_secret_keys(file)]
    fingerprints = [find_gpg_key(key, homedir) for key in gpg_keys]
    signed = [Signed("gpg", key, sign_gpg(repo, checksum, key, homedir)[1]) for key in fingerprints]
    signed += [Signed("ed25519", str(key), sign_ed25519(repo, checksum, key)) for key in keys]
    return Outcome(checksum.hex(), tuple(signed))
