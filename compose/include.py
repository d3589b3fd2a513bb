# SPDX-License-Identifier: GPL-2.0-or-later
"""A treefile and those that it includes, put in the order in which they are merged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from compose.layer import Layer, Surroundings, read_layer
from rpmtree.errors import ConfigError, Place

MAX_DEPTH = 50
MAX_FILES = 500

FileId = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Read:
    layer: Layer
    includes: tuple[FileId, ...]


def read_all(file: str, surroundings: Surroundings) -> list[Layer]:
    """All layers, from the one that gives way to all others to `file`'s own, which wins. Raises ConfigError.

    A file that two others include (a diamond) counts once, and gives way to both of them. rpm-ostree refuses that;
    but a common file that is included wherever it is needed is what people write, a second copy of its entries is
    what nobody wants, and no order of two files that include each other's parts is lost by it.
    """
    files: dict[FileId, _Read] = {}
    top = _read(file, None, surroundings, files, chain=())
    layers: list[Layer] = []
    _arrange(top, files, layers, set())
    return layers


def _read(
    file: str,
    place: Place | None,
    surroundings: Surroundings,
    files: dict[FileId, _Read],
    chain: tuple[tuple[FileId, str], ...],
) -> FileId:
    """Read `file` and what it includes, in the order of the text, into `files`."""
    status = surroundings.check(file, place)
    identity = (status.st_dev, status.st_ino)
    if identity in (seen for seen, _ in chain):
        names = [name for _, name in chain]
        hint = " → ".join([*names[[seen for seen, _ in chain].index(identity) :], file])
        raise ConfigError(f"Include loop detected; {file} was already included", place=place, hint=hint)
    if identity in files:
        return identity
    if len(chain) > MAX_DEPTH:
        raise ConfigError(f"Reached maximum include depth {MAX_DEPTH}", place=place)
    if len(files) >= MAX_FILES:
        raise ConfigError(f"more than {MAX_FILES} included files", place=place)
    layer = read_layer(file, surroundings, place)
    files[identity] = _Read(layer, ())  # counted while its includes are read
    below = (*chain, (identity, file))
    includes = tuple(_read(name, where, surroundings, files, below) for name, where in _includes(layer))
    files[identity] = _Read(layer, includes)
    return identity


def _includes(layer: Layer) -> Iterator[tuple[str, Place]]:
    """The files that a layer includes, as paths, and where each is named."""
    directory = os.path.dirname(layer.file)
    for index, name in enumerate(layer.treefile.include):
        yield os.path.join(directory, name), layer.place("include", index)


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
