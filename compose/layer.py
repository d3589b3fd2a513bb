# SPDX-License-Identifier: GPL-2.0-or-later
"""One treefile as it was written, without those that it includes: `Layer`.

Here are the files that a treefile names. The ways in which a key can be written are `compose.spelling`'s; what several
layers are together is left to `compose.merge`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from compose import document, kickstart_packages
from compose.nodes import Node, below
from compose.parts import kebab
from compose.spelling import normalise
from compose.treefile import Treefile
from compose.validate import check, is_right
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Notice, Problem
from rpmtree.texts import check_regular

#: Keys without which nobody knows what is defined.
_DEPENDED_ON = frozenset(("variables", "releasever", "include", "arch-include", "conditional-include"))
KNOWN = frozenset(kebab(name) for name in Treefile.model_fields)


@dataclass(frozen=True, slots=True)
class Externals:
    """The files that treefiles name, as absolute paths. `add_files` goes with the key of that name, entry by entry."""

    add_files: tuple[Path, ...] = ()
    postprocess_script: Path | None = None
    passwd: Path | None = None
    group: Path | None = None
    #: The programs of `finalize.d` beside a treefile, by their names.
    finalize: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """One treefile: its keys, where they stand, and the files that it names."""

    file: str
    treefile: Treefile
    node: Node
    externals: Externals = field(default_factory=Externals)
    notices: tuple[Notice, ...] = ()
    #: What is wrong in it; what is right is there nevertheless, so that all that is wrong can be found.
    problems: tuple[Problem, ...] = ()
    #: Whether a key is missing for that which others depend on: variables, or files that may have some.
    incomplete: bool = False

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
    """What a treefile is read for: the architecture, and the directories that named files must be below, if any."""

    basearch: str
    within: tuple[Path, ...] | None = None

    def check(self, file: str, place: Place | None) -> os.stat_result:
        """The status of a regular file that may be used. Raises ConfigError for any other."""
        status = check_regular(file, place)
        if self.within is not None:
            path = Path(file).resolve()
            if not any(path.is_relative_to(directory.resolve()) for directory in self.within):
                raise ConfigError(
                    f"{file} is outside of {' and '.join(map(str, self.within))}",
                    place=place or Place(file),
                    hint=f"if that is meant: --allow-outside={path.parent}",
                )
        return status


def read_layer(file: str, surroundings: Surroundings, place: Place | None = None) -> Layer:
    """Read and check one file; `place` is where it is included. What is wrong is in the layer's problems."""
    problems: list[Problem] = []
    reader = kickstart_packages.read if file.endswith(".ks") else document.read
    where = Place(file, 1, 1)
    try:
        return layer_of(reader(file, place=place, problems=problems), file, surroundings, problems)
    except ConfigError as error:
        wrong = (*problems, Problem.of(error, where))
        return Layer(file, Treefile(), Node({}, where), problems=wrong, incomplete=True)


def layer_of(root: Node, file: str, surroundings: Surroundings, found: Sequence[Problem] = ()) -> Layer:
    """What a document in `file`, or a part of it, says as a treefile; `found` is wrong in it already.

    Raises ConfigError where it is no mapping.
    """
    lenient = document.is_json(file)
    written = normalise(root, KNOWN, basearch=surroundings.basearch, lenient=lenient)
    treefile, more, odd = check(Treefile, written.node, lenient=lenient)
    missing: frozenset[str] = frozenset()
    if treefile is None:
        treefile, missing = _right_part(written.node)
    missing |= {_key_before(root, problem.place) for problem in found}
    incomplete = not _DEPENDED_ON.isdisjoint(missing)
    # Where something could not be read, that it is not there is no second problem.
    places = {problem.place for problem in found}
    problems = [*found, *written.problems, *(problem for problem in more if problem.place not in places)]
    layer = Layer(file, treefile, written.node, notices=(*written.notices, *odd), incomplete=incomplete)
    externals = _externals(layer, surroundings, problems)
    return replace(layer, externals=externals, problems=tuple(problems))


def _key_before(root: Node, place: Place) -> str:
    """The key in whose value, or right after it, something stands."""
    before = [(where.line or 0, where.column or 0, key) for key, where in root.keys.items()]
    here = place.line or 0, place.column or 0
    return max((one for one in before if one[:2] <= here), default=(0, 0, ""))[2]


def _right_part(node: Node) -> tuple[Treefile, frozenset[str]]:
    """What a document says in those keys that are right, and the keys that are not."""
    assert isinstance(node.value, Mapping)
    right = {key: value for key, value in node.value.items() if is_right(Treefile, Node({key: value}, node.place))}
    treefile, _, _ = check(Treefile, Node(right, node.place, node.keys), lenient=False)
    assert treefile is not None  # no key of it depends on another
    return treefile, frozenset(node.value.keys() - right.keys())


def _externals(layer: Layer, surroundings: Surroundings, problems: list[Problem]) -> Externals:
    """Find the files that a layer names, beside it; those that can't be used are problems."""
    treefile = layer.treefile

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
    before = len(problems)
    script = find(treefile.postprocess_script, "postprocess-script")
    if script and len(problems) == before and not os.access(script, os.X_OK):
        hint = f"chmod +x {script}"
        problems.append(Problem("postprocess-script must be executable", layer.place("postprocess-script"), hint))
    passwd = find(treefile.check_passwd.filename, "check-passwd", "filename")
    group = find(treefile.check_groups.filename, "check-groups", "filename")
    finalize = _programs(os.path.join(os.path.dirname(layer.file), "finalize.d"), surroundings, problems)
    return Externals(tuple(path for path in added if path), script, passwd, group, finalize)


def _programs(directory: str, surroundings: Surroundings, problems: list[Problem]) -> dict[str, Path]:
    """The regular files of a directory that their owner may execute; there may be no such directory."""
    found = {}
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else ():
        path = os.path.join(directory, name)
        try:
            status = surroundings.check(path, Place(path))
        except ConfigError as error:
            problems.append(Problem(error.message, Place(path), error.hint))
            continue
        if status.st_mode & stat.S_IXUSR:
            found[name] = Path(os.path.abspath(path))
    return found
