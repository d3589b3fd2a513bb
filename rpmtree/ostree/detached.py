# SPDX-License-Identifier: GPL-2.0-or-later
"""Metadata beside a commit, which its checksum does not cover: signatures, and what may change without the tree."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from rpmtree.files import locked
from rpmtree.ostree.library import make_durable, wrapped
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signatures import detached
from rpmtree.ostree.variant import Variant, parse, serialise


def alone(repo: Repository) -> AbstractContextManager[None]:
    """Held while detached metadata is changed: two that add to it at once would each keep the other's out."""
    (repo.path / "tmp").mkdir(exist_ok=True)
    return locked(repo.path / "tmp" / "strata-sign.lock", wait=True)


def add_detached(repo: Repository, checksum: bytes, values: Mapping[str, Variant]) -> None:
    """Put `values` into a commit's detached metadata; what is there under other keys, signatures for one, stays.

    Durable when it returns. Raises StoreError.
    """
    from gi.repository import GLib

    repo.commit_bytes(checksum)
    with alone(repo), wrapped(f"can't write metadata beside the commit {checksum.hex()}"):
        merged = GLib.VariantDict.new(detached(repo.path, checksum.hex()))
        for key, value in values.items():
            data = GLib.Bytes.new(serialise(value.signature, value.value, big=True))
            merged.insert_value(key, GLib.Variant.new_from_bytes(GLib.VariantType.new(value.signature), data, False))
        repo.handle().write_commit_detached_metadata(checksum.hex(), merged.end(), None)
        make_durable(repo.path)


def read_detached(repo: Repository, checksum: bytes, key: str, signature: str) -> Variant | None:
    """A value of a commit's detached metadata; None if there is none of that key and type. Raises StoreError."""
    from gi.repository import GLib

    with wrapped(f"can't read what is beside the commit {checksum.hex()}"):
        metadata = detached(repo.path, checksum.hex())
    found = None if metadata is None else metadata.lookup_value(key, GLib.VariantType.new(signature))
    # Nothing vouches for it: a server may have sent anything.
    if found is None or not found.is_normal_form():
        return None
    return Variant(signature, parse(signature, bytes(found.get_data_as_bytes().get_data() or b""), big=True))
