# SPDX-License-Identifier: GPL-2.0-or-later
"""References of a repository, as files: read without libostree, written durably, which libostree does not do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.files import random_name, sync_filesystem

#: Of files in REPO/tmp that are to become branches; a killed process leaves them.
REF_PREFIX = "strata-ref-"
#: Behind a remote's name: where branches of commits go that have not been looked at.
INCOMING = ".strata-incoming"
_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_BEGINNING = re.compile(r"[0-9a-f]{6,63}")
#: What may become a path: no component begins with a dot (ostree_validate_rev).
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


def read_ref(repo: Path, ref: str, *, remote: str | None = None) -> bytes | None:
    """The raw checksum that the branch `ref` names, a local one or a remote's; None if there is no such branch."""
    path = f"{repo}/refs/heads/{ref}" if remote is None else f"{repo}/refs/remotes/{remote}/{ref}"
    try:
        with open(path, "rb", buffering=0) as file:
            checksum = bytes.fromhex(file.read(64).decode("ascii"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except ValueError:
        checksum = b""
    if len(checksum) != 32:
        raise StoreError(f"{repo}: the branch {ref} is damaged", hint=f"delete {path}")
    return checksum


def resolve(repo: Path, rev: str) -> bytes | None:
    """The raw checksum of a commit: a checksum in hexadecimal or its unambiguous beginning, `[remote:]branch`.

    None if there is no such branch or commit; a whole checksum is taken as it is. Raises StoreError.
    """
    if _CHECKSUM.fullmatch(rev):
        return bytes.fromhex(rev)
    remote, colon, branch = rev.partition(":")
    if _SAFE.fullmatch(branch if colon else rev) and (not colon or _SAFE.fullmatch(remote)):
        found = read_ref(repo, branch, remote=remote) if colon else read_ref(repo, rev)
        if found is not None:
            return found
    return _abbreviated(repo, rev) if _BEGINNING.fullmatch(rev) else None


def _abbreviated(repo: Path, rev: str) -> bytes | None:
    found = [path.stem for path in (repo / "objects" / rev[:2]).glob(f"{rev[2:]}*.commit")]
    if len(found) > 1:
        raise StoreError(f"{repo}: several commits begin with {rev}", hint="give more of the checksum")
    return bytes.fromhex(rev[:2] + found[0]) if found else None


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
            temporary = repo / "tmp" / f"{REF_PREFIX}{random_name()}"
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
