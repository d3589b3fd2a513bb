# SPDX-License-Identifier: GPL-2.0-or-later
"""One treefile as it was written, without those that it includes: `Layer`.

Here are the ways in which a key can be written (old spellings, one key an architecture), and the files that a
treefile names. What several layers are together is left to `compose.merge`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compose import document
from compose.keys import ARCHITECTURES, DERIVE_ONLY, LEGACY, NOT_YET
from compose.nodes import Node, below
from compose.problems import Notice, Problem, refuse
from compose.treefile import Treefile, kebab
from compose.validate import check, closest, is_comment, unknown_fields
from rpmtree.errors import ConfigError, Place

KNOWN = frozenset(kebab(name) for name in Treefile.model_fields)
_ARCH_PACKAGES = "packages-"


@dataclass(frozen=True, slots=True)
class Externals:
    """The files that treefiles name, as absolute paths. `add_files` goes with the key of that name, entry by entry."""

    add_files: tuple[Path, ...] = ()
    postprocess_script: Path | None = None
    passwd: Path | None = None
    group: Path | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One treefile: its keys, where they stand, and the files that it names."""

    file: str
    treefile: Treefile
    node: Node
    externals: Externals = field(default_factory=Externals)
    notices: tuple[Notice, ...] = ()

    def place(self, key: str, *steps: str | int) -> Place:
        """Where the value of a key stands, or what is below it; the file as a whole where it has no such key."""
        node = self.node
        for step in (key, *steps):
            inner = below(node, step)
            if inner is None:
                break
            node = inner
        return node.place


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a treefile is read for: the architecture, and the directory that named files must be below, if any."""

    basearch: str
    confine: Path | None = None

    def check(self, file: str, place: Place | None) -> os.stat_result:
        """The status of a regular file that may be used. Raises ConfigError for any other."""
        status = document.check_regular(file, place)
        if self.confine is not None and not Path(file).resolve().is_relative_to(self.confine.resolve()):
            raise ConfigError(f"{file} is outside of {self.confine}", place=place or Place(file))
        return status


def read_layer(file: str, surroundings: Surroundings, place: Place | None = None) -> Layer:
    """Read and check one file; `place` is where it is included. Raises ConfigError."""
    if file.endswith(".ks"):
        raise ConfigError("kickstart files are not supported as treefiles", place=place or Place(file))
    root = document.read(file, place=place)
    node, problems, notices = _normalise(root, file, surroundings.basearch)
    treefile, more, odd = check(Treefile, node, lenient=document.is_json(file))
    refuse(problems + more)
    assert treefile is not None
    layer = Layer(file, treefile, node, notices=(*notices, *odd))
    return replace(layer, externals=_externals(layer, surroundings))


def _normalise(root: Node, file: str, basearch: str) -> tuple[Node, list[Problem], list[Notice]]:
    """The keys that `Treefile` has, without those that are null; what is wrong with the others."""
    if root.value is None:
        return Node({}, root.place), [], []
    if not isinstance(root.value, Mapping):
        raise ConfigError("a treefile must be a mapping of keys to values", place=root.place)
    values: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    packages: list[Node] = []
    problems: list[Problem] = []
    notices: list[Notice] = []
    unknown: list[tuple[str, Place]] = []
    for written, node in root.value.items():
        place = root.keys[written]
        key = LEGACY.get(written, written)
        if key in keys:
            problems.append(Problem(f"Cannot use new and legacy forms of {key}", place))
        elif key in KNOWN:
            keys[key] = place
            if node.value is not None:
                values[key] = node
        elif is_comment(key) and document.is_json(file):
            continue
        elif key.startswith(_ARCH_PACKAGES) and key not in DERIVE_ONLY:
            wrong = _arch_packages(key, place, node, notices)
            problems += wrong
            if key == _ARCH_PACKAGES + basearch and isinstance(node.value, tuple) and not wrong:
                packages += node.value
        elif (problem := _no_field(key, place)) is not None:
            keys[key] = place
            problems.append(problem)
        else:
            unknown.append((written, place))
    if packages:
        _add_packages(values, packages)
        keys.setdefault("packages", values["packages"].place)
    if document.is_json(file):
        notices += [_ignored(key, place) for key, place in unknown]
    else:
        problems += unknown_fields(unknown, KNOWN | NOT_YET)
    return Node(values, root.place, keys), problems, notices


def _no_field(key: str, place: Place) -> Problem | None:
    if key in NOT_YET:
        return Problem(f"{key} is not supported yet", place, not_yet=True)
    if key in DERIVE_ONLY:
        return Problem(f"the following derivation fields are not supported: {key}", place)
    return None


def _ignored(key: str, place: Place) -> Notice:
    """JSON treefiles have always been read like this, so that a remark could be a key; typing errors go with it."""
    guess = closest(key, KNOWN | NOT_YET)
    return Notice(f"Unknown field is ignored: {key}", place, f"did you mean {guess}?" if guess else None)


def _arch_packages(key: str, place: Place, node: Node, notices: list[Notice]) -> list[Problem]:
    items = node.value
    if items is not None and not (isinstance(items, tuple) and all(isinstance(item.value, str) for item in items)):
        return [Problem(f"Invalid field {key}: expected array of strings", node.place)]
    arch = key.removeprefix(_ARCH_PACKAGES)
    if arch not in ARCHITECTURES:
        guess = closest(arch, ARCHITECTURES)
        hint = f"did you mean {_ARCH_PACKAGES}{guess}?" if guess else None
        notices.append(Notice(f"{key} is for an unknown architecture", place, hint))
    return []


def _add_packages(values: dict[str, Node], packages: list[Node]) -> None:
    given = values.get("packages")
    if given is None:
        values["packages"] = Node(tuple(packages), packages[0].place)
    elif isinstance(given.value, tuple):
        values["packages"] = Node((*given.value, *packages), given.place)


def _externals(layer: Layer, surroundings: Surroundings) -> Externals:
    """Find the files that a layer names, beside it. Raises ConfigError for all that can't be used."""
    treefile = layer.treefile
    problems: list[Problem] = []

    def find(name: str | None, *steps: str | int) -> Path | None:
        if name is None:
            return None
        place = layer.place(str(steps[0]), *steps[1:])
        path = os.path.join(os.path.dirname(layer.file), name)
        try:
            surroundings.check(path, place)
        except ConfigError as error:
            problems.append(Problem(error.message, place, error.hint))
        return Path(os.path.abspath(path))

    added = [find(source, "add-files", index, 0) for index, (source, _) in enumerate(treefile.add_files)]
    script = find(treefile.postprocess_script, "postprocess-script")
    passwd = find(treefile.check_passwd.filename, "check-passwd", "filename")
    group = find(treefile.check_groups.filename, "check-groups", "filename")
    if script and not problems and not os.access(script, os.X_OK):
        hint = f"chmod +x {script}"
        problems.append(Problem("postprocess-script must be executable", layer.place("postprocess-script"), hint))
    refuse(problems)
    return Externals(tuple(path for path in added if path), script, passwd, group)
