# SPDX-License-Identifier: GPL-2.0-or-later
"""The metadata of a composed commit: JSON values as GVariants, and what rpm-ostree's readers look for. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rpmtree.errors import ConfigError, Place, UsageError
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.request import Advisory

_INT64 = range(-(1 << 63), 1 << 63)


def from_json(value: Any, place: Place | None = None) -> Variant:
    """A JSON value as a GVariant, by the rules of json-glib's json_gvariant_deserialize, which rpm-ostree uses.

    Numbers are x or d, arrays av, objects a{sv}, null is an empty maybe there and refused here.
    Raises ConfigError.
    """
    match value:
        case bool():
            return Variant("b", value)
        case int() if value in _INT64:
            return Variant("x", value)
        case float():
            return Variant("d", value)
        case str():
            return Variant("s", value)
        case list() | tuple():
            return Variant("av", [from_json(item, place) for item in value])
        case Mapping():
            return Variant("a{sv}", {key: from_json(item, place) for key, item in sorted(value.items())})
    raise ConfigError(f"{value!r} can't be stored in a commit's metadata", place=place)


def from_strings(pairs: Sequence[str]) -> dict[str, Variant]:
    """The values of `--add-metadata-string KEY=VALUE`. Raises UsageError."""
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"--add-metadata-string {pair}: KEY=VALUE is wanted")
        found[key] = Variant("s", value)
    return found


def repositories(states: Sequence[tuple[str, int]]) -> dict[str, Variant]:
    """`rpmostree.rpmmd-repos`: ids and times (seconds) of the repositories' metadata."""
    rows = [{"id": Variant("s", name), "timestamp": Variant("t", time)} for name, time in states]
    return {"rpmostree.rpmmd-repos": Variant("aa{sv}", rows)}


def advisories(found: Sequence[Advisory]) -> dict[str, Variant]:
    """`rpmostree.advisories`: id, kind, severity, packages, and a dictionary with (URL, title) of the CVEs."""
    rows = [
        (
            notice.id,
            notice.kind,
            notice.severity,
            list(notice.packages),
            {"cve_references": Variant("a(ss)", [(url, title) for title, url in notice.cves])},
        )
        for notice in found
    ]
    return {"rpmostree.advisories": Variant("a(suuasa{sv})", rows)} if rows else {}
