# SPDX-License-Identifier: GPL-2.0-or-later
"""References of a repository, as files: read without libostree, written durably, which libostree does not do."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import sync_filesystem


def read_ref(repo: Path, ref: str) -> bytes | None:
    """The raw checksum that the local branch `ref` names; None if there is no such branch."""
    try:
        with open(f"{repo}/refs/heads/{ref}", "rb", buffering=0) as file:
            return bytes.fromhex(file.read(64).decode("ascii"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except ValueError:
        raise StoreError(f"{repo}: the branch {ref} is damaged") from None


def write_refs(repo: Path, refs: Mapping[str, bytes]) -> None:
    """Set many branches; when this returns they are durable. Each is atomic, together they are not."""
    heads = repo / "refs" / "heads"
    for ref, checksum in refs.items():
        path = heads / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = repo / "tmp" / f"strata-ref-{secrets.token_hex(8)}"
        temporary.write_text(f"{checksum.hex()}\n")
        temporary.rename(path)
    fd = os.open(heads, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_filesystem(fd)
    except OSError as error:
        raise StoreError(f"{repo}: branches could not be made durable: {error.strerror}") from error
    finally:
        os.close(fd)
