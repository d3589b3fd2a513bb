# SPDX-License-Identifier: GPL-2.0-or-later
"""Branches that keep alive what deployments stand on, and the end of those that nothing needs any more.

A layered commit's base is its parent, which libostree does not keep: `rpmostree/base/N` names each. Imported
packages have branches below `rpmostree/pkg` (`rpmtree.pkgcache`). Names are rpm-ostree's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from rpmtree.errors import StoreError
from rpmtree.ostree.library import make_durable
from rpmtree.ostree.objects import Commit
from rpmtree.ostree.refs import read_ref, write_refs
from rpmtree.ostree.repo import Repository

BASES = "rpmostree/base"
#: Of repositories, and those that came as files.
PACKAGES = ("rpmostree/pkg", "rpmostree/local")


def base_of(checksum: bytes, commit: Commit) -> bytes:
    """The base of a deployed commit: its parent where it is layered, itself where it is not."""
    layered = commit.metadata.get("rpmostree.clientlayer")
    return commit.parent if layered is not None and layered.value is True and commit.parent else checksum


def regenerate_bases(repo: Repository, deployed: Iterable[str]) -> tuple[str, ...]:
    """Make `rpmostree/base/N` name the bases of the layered commits in `deployed` (hexadecimal), and no others.

    Called with the sysroot's lock held, before a prune. Gives the branches. Raises StoreError.
    """
    bases: dict[bytes, str] = {}
    for checksum in deployed:
        raw = bytes.fromhex(checksum)
        if (base := base_of(raw, repo.commit(raw))) != raw:
            bases.setdefault(base, f"{BASES}/{len(bases)}")
    wanted = {ref: base for base, ref in bases.items()}
    present = {ref: read_ref(repo.path, ref) for ref in branches(repo.path, BASES)}
    if wanted != present:
        write_refs(repo.path, wanted)
        delete_branches(repo.path, [ref for ref in present if ref not in wanted])
    return tuple(wanted)


def drop_packages(repo: Path, in_use: Callable[[str], bool]) -> tuple[str, ...]:
    """Delete the branches of imported packages for which `in_use(branch)` is false; gives them.

    Their objects go with the next prune.
    """
    gone = tuple(ref for prefix in PACKAGES for ref in branches(repo, prefix) if not in_use(ref))
    delete_branches(repo, gone)
    return gone


def branches(repo: Path, prefix: str) -> tuple[str, ...]:
    """The local branches below `prefix`, sorted."""
    heads = repo / "refs" / "heads"
    top = heads / prefix
    found = (Path(where) / name for where, _, names in os.walk(top) for name in names)
    return tuple(sorted(str(path.relative_to(heads)) for path in found))


def delete_branches(repo: Path, refs: Iterable[str]) -> None:
    """Delete local branches, durably, with the directories that they leave empty; missing ones are fine."""
    heads = repo / "refs" / "heads"
    listed = tuple(refs)
    try:
        for ref in listed:
            (heads / ref).unlink(missing_ok=True)
            with suppress(OSError):  # the directory holds other branches
                for parent in (heads / ref).relative_to(heads).parents:
                    if parent != Path():
                        (heads / parent).rmdir()
    except OSError as error:
        raise StoreError(f"{repo}: can't delete branches: {error.strerror}") from error
    if listed:
        make_durable(heads)
