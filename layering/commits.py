# SPDX-License-Identifier: GPL-2.0-or-later
"""What a commit's metadata says of its packages: which there are, and which were layered, removed, replaced.

Keys and types are rpm-ostree's, `strata.inactive` is ours. Metadata comes from elsewhere: what has another type than
it should counts as missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from layering.classify import Dormant, why_not_layered
from layering.origin import Origin
from rpmtree.ostree.objects import BOOT_SIZE, PACKAGE_SIZES, PKGLIST, Commit
from rpmtree.ostree.variant import Variant
from rpmtree.rpm.nevra import Nevra, Pair

INACTIVE = "strata.inactive"


@dataclass(frozen=True, slots=True)
class Layers:
    """What was changed on a commit's base."""

    #: Requests that took effect.
    packages: tuple[str, ...] = ()
    removed: tuple[Nevra, ...] = ()
    #: New and old package.
    replaced: tuple[Pair, ...] = ()
    #: Repository → new and old packages.
    replaced_from: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    inactive_requests: tuple[Dormant, ...] = ()
    inactive_removals: tuple[Dormant, ...] = ()
    inactive_replacements: tuple[Dormant, ...] = ()


def package_list(commit: Commit) -> tuple[Nevra, ...] | None:
    """All packages of a commit, sorted; None where it does not list them."""
    rows = _value(commit, PKGLIST, "a(sssss)")
    return None if rows is None else tuple(sorted(_nevra(row) for row in rows))


def new_bytes(commit: Commit, before: Commit) -> tuple[int, int] | None:
    """About how many bytes a commit's content adds to one that is there, and how many its kernel takes in /boot.

    By the sizes of the packages that the one before has not got. None where the commit does not say.
    """
    sizes, boot = _value(commit, PACKAGE_SIZES, "at"), _value(commit, BOOT_SIZE, "t")
    packages = package_list(commit)
    if sizes is None or boot is None or packages is None or len(sizes) != len(packages):
        return None
    present = set(package_list(before) or ())
    return sum(size for nevra, size in zip(packages, sizes, strict=True) if nevra not in present) + boot, boot


def text(commit: Commit, key: str) -> str | None:
    """A text of a commit's metadata."""
    found = _value(commit, key, "s")
    return None if found is None else str(found)


def is_layered(commit: Commit) -> bool:
    """Whether a commit was made here, on top of its parent."""
    return _value(commit, "rpmostree.clientlayer", "b") is True


def layers(commit: Commit) -> Layers:
    """What was changed on the base of a layered commit; nothing for another."""
    remote = _value(commit, "rpmostree.replaced-base-remote-packages", "a{sv}") or {}
    inactive = _value(commit, INACTIVE, "a{saas}") or {}
    return Layers(
        packages=tuple(_value(commit, "rpmostree.packages", "as") or ()),
        removed=tuple(sorted(map(_inner, _value(commit, "rpmostree.removed-base-packages", "av") or ()))),
        replaced=_pairs(_value(commit, "rpmostree.replaced-base-packages", "a(vv)") or ()),
        replaced_from={
            repo: _pairs(pairs.value) for repo, pairs in sorted(remote.items()) if pairs.signature == "a(vv)"
        },
        inactive_requests=_dormant(inactive.get("requests", ())),
        inactive_removals=_dormant(inactive.get("removals", ())),
        inactive_replacements=_dormant(inactive.get("replacements", ())),
    )


def with_dormant(found: Layers, origin: Origin, base: Collection[Nevra]) -> Layers:
    """`found` with what of `origin` had no effect on a base with these packages.

    A commit outlives a change of requests that have none, and a base that is deployed as it is says nothing of them.
    """
    listed = (*found.inactive_requests, *found.inactive_removals, *found.inactive_replacements)
    why = {entry.what: entry.why for entry in listed}
    removed = {nevra.name for nevra in found.removed}
    replaced = {new for new, _ in found.replaced}
    from_repo = {(repo, new.name) for repo, pairs in found.replaced_from.items() for new, _ in pairs}

    def dormant(names: Iterable[str], reason: str) -> tuple[Dormant, ...]:
        return tuple(Dormant(name, why.get(name, reason)) for name in names)

    files = (*origin.local_packages, *origin.local_fileoverride)
    local = (package.nevra for package in origin.local_replacements)
    remote = ((old.repo, name) for old in origin.remote_replacements for name in old.packages)
    return replace(
        found,
        inactive_requests=(
            *dormant((name for name in origin.packages if name not in found.packages), "the base has it"),
            *(Dormant(str(file.nevra), reason) for file in files if (reason := why_not_layered(file, origin, base))),
        ),
        inactive_removals=dormant((name for name in origin.removals if name not in removed), "not in the base"),
        inactive_replacements=(
            *dormant((str(nevra) for nevra in local if nevra not in replaced), "nothing to replace"),
            *dormant((f"{name} from {repo}" for repo, name in remote if (repo, name) not in from_repo),
                     "nothing to replace"),
        ),
    )  # fmt: skip


def to_json(metadata: Mapping[str, Variant]) -> dict[str, Any]:
    """Metadata as JSON values, without the list of packages: bytes in hexadecimal, tuples as lists."""
    return {key: _json(value) for key, value in sorted(metadata.items()) if key != PKGLIST}


def _value(commit: Commit, key: str, signature: str) -> Any:
    found = commit.metadata.get(key)
    return found.value if found is not None and found.signature == signature else None


def _pairs(rows: Iterable[tuple[Variant, Variant]]) -> tuple[Pair, ...]:
    return tuple(sorted((_inner(new), _inner(old)) for new, old in rows))


def _inner(value: Variant) -> Nevra:
    """A package inside a variant: (NEVRA, name, epoch, version, release, arch), or the last five of these."""
    return Nevra.parse(value.value) if isinstance(value.value, str) else _nevra(value.value[-5:])


def _nevra(row: tuple[Any, ...]) -> Nevra:
    name, epoch, version, release, arch = row
    return Nevra(str(name), int(epoch or 0), str(version), str(release), str(arch))


def _dormant(entries: Iterable[Any]) -> tuple[Dormant, ...]:
    return tuple(Dormant(*entry) for entry in entries if len(entry) == 2)


def _json(value: Any) -> Any:
    if isinstance(value, Variant):
        return _json(value.value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value
