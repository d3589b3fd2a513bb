# SPDX-License-Identifier: GPL-2.0-or-later
"""References of a repository, as files: read without libostree, written durably, which libostree does not do."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import sync_filesystem


def read_ref(repo: Path, ref: str) -> bytes | None:
    """The raw checksum that the local branch `ref` names; None if there is no such branch."""
    try:
        with open(f"{repo}/refs/heads/{ref}", "rb", buffering=0) as file:
            checksum = bytes.fromhex(file.read(64).decode("ascii"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except ValueError:
        checksum = b""
    if len(checksum) != 32:
        raise StoreError(f"{repo}: the branch {ref} is damaged", hint=f"delete {repo}/refs/heads/{ref}")
    return checksum


def write_refs(repo: Path, refs: Mapping[str, bytes]) -> None:
    """Set many branches; when this returns they are durable, and all that was written to the repository before.

    Each is atomic, together they are not.

    Raises StoreError.
    """
    heads = repo / "refs" / "heads"
    for directory in (heads, repo / "tmp"):
        directory.mkdir(parents=True, exist_ok=True)
    new: dict[Path, Path] = {}
    try:
        for ref, checksum in refs.items():
            temporary = repo / "tmp" / f"strata-ref-{secrets.token_hex(8)}"
            new[heads / ref] = temporary
            temporary.write_text(f"{checksum.hex()}\n")
        sync_filesystem(heads)  # or a crash could leave a branch without content, or one to objects without names
        for path, temporary in new.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.rename(path)
        if new:
            sync_filesystem(heads)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise StoreError(
            f"{repo}: can't set the branch {path.relative_to(heads)}, since there is another above or below that name",
            hint="delete that one, or choose another name",
        ) from error
    except OSError as error:
        raise StoreError(f"{repo}: branches could not be made durable: {error.strerror}") from error
    finally:
        for temporary in new.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
