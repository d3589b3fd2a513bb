# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways in which a treefile's keys may be written, as the ones that the model has. Pure.

Old spellings, one key an architecture, keys of which nothing is said, entries of lists that are empty; and in JSON
keys that nobody knows, since such a file has no other place for a remark.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from compose.keys import ARCHITECTURES, DERIVE_ONLY, LEGACY
from compose.nodes import Node
from compose.validate import GUESSED, ignored_field, is_comment, unknown_field
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Notice, Problem, closest, did_you_mean

_PACKAGES = "packages"
_ARCH_PACKAGES = "packages-"
_ARCH_INCLUDE = "arch-include"
#: What was installed first, when that mattered.
_BOOTSTRAP = "bootstrap-packages"


@dataclass(slots=True)
class Written:
    """What was read so far: the keys of the model, and what is wrong or odd with others."""

    node: Node
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


def normalise(root: Node, known: Collection[str], *, basearch: str, lenient: bool) -> Written:
    """The `known` keys of a document without those that are null. Raises ConfigError where it is no mapping."""
    written = Written(Node({}, root.place))
    if root.value is None:
        return written
    if not isinstance(root.value, Mapping):
        raise ConfigError("a treefile must be a mapping of keys to values", place=root.place)
    values: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    packages: list[Node] = []
    unknown: list[tuple[str, Place]] = []
    for spelled, node in root.value.items():
        place = root.keys[spelled]
        key = LEGACY.get(spelled, spelled)
        if key in keys:
            written.problems.append(Problem(f"Cannot use new and legacy forms of {key}", place))
        elif key in known:
            keys[key] = place
            if node.value is not None:
                values[key] = _without_nulls(key, node, written)
            if key == _ARCH_INCLUDE:
                for arch, where in node.keys.items():
                    _check_architecture(arch, f"{key}.", where, written)
        elif is_comment(key) and lenient:
            continue
        elif key == _BOOTSTRAP or (key.startswith(_ARCH_PACKAGES) and key not in DERIVE_ONLY):
            keys[key] = place
            packages += _more_packages(key, place, node, basearch, written)
        elif key in DERIVE_ONLY:
            keys[key] = place
            written.problems.append(Problem(f"the following derivation fields are not supported: {key}", place))
        else:
            unknown.append((spelled, place))
    if packages:
        values[_PACKAGES] = _added(values.get(_PACKAGES), packages)
        keys.setdefault(_PACKAGES, values[_PACKAGES].place)
    if lenient:
        written.notices += [
            ignored_field(key, place, known if number < GUESSED else ()) for number, (key, place) in enumerate(unknown)
        ]
    else:
        written.problems += [
            unknown_field(key, place, known if number < GUESSED else ()) for number, (key, place) in enumerate(unknown)
        ]
    written.node = Node(values, root.place, {key: place for key, place in keys.items() if key in known})
    return written


def _without_nulls(key: str, node: Node, written: Written) -> Node:
    """A list without entries that say nothing: a dash alone, which people leave behind."""
    if not isinstance(node.value, tuple):
        return node
    empty = [item.place for item in node.value if item.value is None]
    written.notices += [Notice(f"an empty entry of {key} is ignored", place) for place in empty]
    return Node(tuple(item for item in node.value if item.value is not None), node.place) if empty else node


def _more_packages(key: str, place: Place, node: Node, basearch: str, written: Written) -> tuple[Node, ...]:
    """The entries of a key that adds to `packages`, where it does here."""
    items = _without_nulls(key, node, written).value
    if items is None:
        return ()
    if not (isinstance(items, tuple) and all(isinstance(item.value, str) for item in items)):
        written.problems.append(Problem(f"Invalid field {key}: expected array of strings", node.place))
        return ()
    if key == _BOOTSTRAP:
        written.notices.append(Notice(f"{key} is deprecated", place, "list them in packages"))
        return items
    arch = key.removeprefix(_ARCH_PACKAGES)
    _check_architecture(arch, _ARCH_PACKAGES, place, written)
    return items if arch == basearch else ()


def _check_architecture(arch: str, prefix: str, place: Place, written: Written) -> None:
    """Notice an architecture that nobody knows: what is for it is never used."""
    if arch not in ARCHITECTURES:
        guess = closest(arch, ARCHITECTURES)
        hint = did_you_mean(f"{prefix}{guess}") if guess else None
        written.notices.append(Notice(f"{prefix}{arch} is for an unknown architecture", place, hint))


def _added(given: Node | None, packages: list[Node]) -> Node:
    if given is None:
        return Node(tuple(packages), packages[0].place)
    if isinstance(given.value, tuple):
        return Node((*given.value, *packages), given.place)
    return given  # wrong, which is said where it is checked
