# SPDX-License-Identifier: GPL-2.0-or-later
"""Origin files in libostree's form, less or with what holds for one deployment alone."""

from __future__ import annotations

from typing import Any

from rpmtree.ostree.library import wrapped

_TRANSIENT = "libostree-transient"  # state of one deployment, in its origin file: pinned


def read(text: str) -> Any:
    """An origin for another deployment than the one whose `text` it was. Raises StoreError."""
    from gi.repository import GLib

    origin = GLib.KeyFile.new()
    with wrapped("the origin is damaged"):
        origin.load_from_data(text, len(text.encode()), GLib.KeyFileFlags.KEEP_COMMENTS)
    _drop_transient(origin)
    return origin


def copy_transient(source: Any, target: Any) -> None:
    """Take over what holds for the deployment of `source`, which may be None."""
    if source is not None and source.has_group(_TRANSIENT):
        for key in source.get_keys(_TRANSIENT)[0]:
            target.set_value(_TRANSIENT, key, source.get_value(_TRANSIENT, key))


def _drop_transient(origin: Any) -> None:
    """Take out what holds for one deployment alone.

    Not by ostree_deployment_origin_remove_transient_state, which takes `override-commit`, too: the commit that a
    system is to stay at, an admin's word.
    """
    for group, key in ((_TRANSIENT, None), ("origin", "unlocked")):
        if origin.has_group(group) and (key is None or key in origin.get_keys(group)[0]):
            if key is None:
                origin.remove_group(group)
            else:
                origin.remove_key(group, key)
