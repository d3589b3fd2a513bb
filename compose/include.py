# SPDX-License-Identifier: GPL-2.0-or-later
"""A treefile and those that it includes, put in the order in which they are merged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from compose.conditions import holds, number_in
from compose.layer import Layer, Surroundings, layer_of, read_layer
from compose.nodes import below, measure
from compose.variables import UndefinedVariable, Value
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Problem

MAX_DEPTH = 50
MAX_FILES = 500
#: Of all files together, each of which may have up to 10,000.
MAX_VALUES = 50_000

#: Device and inode; of keys that stand in a condition, the file's and a number below zero.
FileId = tuple[int, int]
Chain = tuple[tuple[FileId, str], ...]


@dataclass(frozen=True, slots=True)
class _Read:
    layer: Layer
    includes: tuple[FileId, ...]


@dataclass(frozen=True, slots=True)
class ReadAll:
    """All layers, from the one that gives way to all others to the named file's own, which wins."""

    layers: tuple[Layer, ...]
    #: What is wrong in them.
    problems: tuple[Problem, ...]
    #: Whether all could be read, so that what is undefined is so.
    complete: bool


def read_all(file: str, surroundings: Surroundings) -> ReadAll:
    """Read `file` and what it includes. Raises ConfigError where there is no such file.

    A file that two others include (a diamond) counts once, and gives way to both of them. rpm-ostree refuses that;
    but a common file that is included wherever it is needed is what people write, a second copy of its entries is
    what nobody wants, and no order of two files that include each other's parts is lost by it.
    """
    reader = _Reader(surroundings)
    top = reader.read(file, None, chain=())
    layers: list[Layer] = []
    _arrange(top, reader.files, layers, set())
    problems = reader.problems + (reader.undefined if reader.complete else [])
    return ReadAll(tuple(layers), tuple(problems), reader.complete)


class _Reader:
    """Reads files in the order of the text, an included one before what follows its name."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.files: dict[FileId, _Read] = {}
        self.problems: list[Problem] = []
        #: Conditions on variables that nothing defines.
        self.undefined: list[Problem] = []
        self.complete = True
        self._values = 0
        self._surroundings = surroundings
        #: Those of the files that were read so far; of two the first counts, as the includer's wins when merged.
        self._variables: dict[str, Value] = {"basearch": surroundings.basearch}

    def read(self, file: str, place: Place | None, *, chain: Chain) -> FileId:
        """Read `file` and what it includes into `files`; `place` is where it is named. Raises ConfigError."""
        status = self._surroundings.check(file, place)
        identity = (status.st_dev, status.st_ino)
        if identity in (seen for seen, _ in chain):
            names = [name for _, name in chain]
            hint = " → ".join([*names[[seen for seen, _ in chain].index(identity) :], file])
            raise ConfigError(f"Include loop detected; {file} was already included", place=place, hint=hint)
        if identity not in self.files:
            self._check_count(chain, place)
            layer = read_layer(file, self._surroundings, place)
            self._values += measure(layer.node)[0]
            if self._values > MAX_VALUES:
                raise ConfigError(f"more than {MAX_VALUES} values in all files", place=place)
            self._take(identity, layer, chain)
        return identity

    def _read_each(self, named: Iterable[tuple[str, Place]], chain: Chain) -> list[FileId]:
        """Read files that a layer names; one that can't be read is a problem of the place that names it."""
        found = []
        for name, where in named:
            if self._values > MAX_VALUES:
                break
            try:
                found.append(self.read(name, where, chain=chain))
            except ConfigError as error:
                self.problems.append(Problem.of(error, where))
                self.complete = False
        return found

    def _check_count(self, chain: Chain, place: Place | None) -> None:
        if len(chain) > MAX_DEPTH:
            raise ConfigError(f"Reached maximum include depth {MAX_DEPTH}", place=place)
        if len(self.files) >= MAX_FILES:
            raise ConfigError(f"more than {MAX_FILES} included files", place=place)

    def _take(self, identity: FileId, layer: Layer, chain: Chain) -> None:
        self.files[identity] = _Read(layer, ())  # counted while its includes are read
        self.problems += layer.problems
        self.complete = self.complete and not layer.incomplete
        for name, value in layer.treefile.variables.items():
            self._variables.setdefault(name, value)
        if (releasever := layer.treefile.releasever) is not None:
            self._variables.setdefault("releasever", _number_or_text(str(releasever)))
        inner = (*chain, (identity, layer.file))
        named = list(self._named(layer))
        if len(named) > MAX_FILES:  # which is known before any of them is read
            raise ConfigError(f"more than {MAX_FILES} included files", place=named[MAX_FILES][1])
        always = self._read_each(named, inner)
        bodies, files = self._conditional(identity, layer, inner)
        self.files[identity] = _Read(layer, (*bodies, *always, *files))

    def _named(self, layer: Layer) -> Iterator[tuple[str, Place]]:
        """The files that a layer includes without a condition, as paths, and where each is named."""
        yield from _paths(layer, layer.treefile.include, "include")
        basearch = self._surroundings.basearch
        yield from _paths(layer, layer.treefile.arch_include.get(basearch, ()), "arch-include", basearch)

    def _conditional(self, identity: FileId, layer: Layer, chain: Chain) -> tuple[list[FileId], list[FileId]]:
        """What is included because conditions hold: keys in the file itself, which win, and other files.

        All conditions are looked at, so that an error in one is seen wherever a compose runs.
        """
        key = "conditional-include"
        chosen = self._chosen(layer, key)
        bodies: list[FileId] = []
        files: list[FileId] = []
        for index in chosen:
            include = layer.treefile.conditional_include[index].include
            if isinstance(include, tuple):
                files += self._read_each(_paths(layer, include, key, index, "include"), chain)
                continue
            entry = below(layer.node, key)
            body = below(entry, index) if entry else None
            node = below(body, "include") if body else None
            assert node is not None  # the model was made of it
            self._check_count(chain, layer.place(key, index, "include"))
            found = (identity[0], -1 - len(self.files))
            self._take(found, layer_of(node, layer.file, self._surroundings), chain)
            bodies.append(found)
        return bodies, files

    def _chosen(self, layer: Layer, key: str) -> list[int]:
        chosen = []
        for index, entry in enumerate(layer.treefile.conditional_include):
            met = []
            for number, condition in enumerate(entry.condition):
                place = layer.place(key, index, "if", number)
                try:
                    met.append(holds(condition, self._variables))
                except UndefinedVariable as error:
                    self.undefined.append(Problem(str(error), place, error.hint))
                except ValueError as error:
                    self.problems.append(Problem(str(error), place))
            if len(met) == len(entry.condition) and all(met):
                chosen.append(index)
        return chosen


def _number_or_text(releasever: str) -> Value:
    """Releases that are numbers have an order in conditions."""
    number = number_in(releasever)
    return releasever if number is None else number


def _paths(layer: Layer, names: Sequence[str], *steps: str | int) -> Iterator[tuple[str, Place]]:
    directory = os.path.dirname(layer.file)
    for index, name in enumerate(names):
        yield os.path.join(directory, name), layer.place(str(steps[0]), *steps[1:], index)


def _arrange(identity: FileId, files: dict[FileId, _Read], layers: list[Layer], done: set[FileId]) -> None:
    """Included before including, and of two includes the later one first: so the order of merging lists comes out
    (section "Includes" of rpm-ostree's treefile reference), and so the earlier one wins where only one can."""
    if identity in done:
        return
    done.add(identity)
    read = files[identity]
    for included in reversed(read.includes):
        _arrange(included, files, layers, done)
    layers.append(read.layer)
