# SPDX-License-Identifier: GPL-2.0-or-later
"""A treefile from disk: included files merged, variables put in, checked as a whole.

`load` is what the commands call. It reads files and touches nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from compose.include import read_all
from compose.keys import WITHOUT_EFFECT
from compose.layer import Externals, Layer, Surroundings
from compose.merge import merge, merge_externals
from compose.nodes import Node, below
from compose.parts import CheckGroups, CheckPasswd, Rojig, kebab
from compose.texts import check_ref
from compose.treefile import Extra, Treefile
from compose.variables import UndefinedVariable, Value, substitute
from compose.versioning import next_version
from rpmtree.errors import Place
from rpmtree.problems import Notice, Problem, refuse
from rpmtree.root.spec import BootLocation

_SUBSTITUTED = tuple(name for name, field in Treefile.model_fields.items() if Extra.SUBSTITUTED in field.metadata)

_ROJIG_SUBSTITUTED = ("name", "summary", "description")

#: Stands for a text with something undefined in it, and is right wherever one can be.
_UNKNOWN = "x"

_ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)

#: Defaults that `edition: 2024` changes.
_EDITION_2024: dict[str, Any] = {"boot_location": BootLocation.MODULES, "tmp_is_dir": True}

#: What `container: true` means for other keys, whatever they say themselves.
_CONTAINER: dict[str, Any] = {
    "boot_location": BootLocation.MODULES,
    "selinux": False,
    "tmp_is_dir": True,
    "preserve_passwd": False,
    "check_passwd": CheckPasswd(type="none"),
    "check_groups": CheckGroups(type="none"),
}


@dataclass(frozen=True, slots=True)
class LoadedTreefile:
    """A treefile that is complete: nothing in it refers to another file but `externals`."""

    treefile: Treefile
    externals: Externals
    warnings: tuple[Notice, ...]
    #: Where the value of each key stands; of one that merges, that of the outermost file.
    places: Mapping[str, Place]
    #: The files that were read, the named one last.
    files: tuple[Path, ...]

    def to_json(self) -> dict[str, JsonValue]:
        """The flattened document, as `--print-only` shows it."""
        return self.treefile.to_json()

    def to_text(self) -> str:
        """The same as text: what is printed, and stored in the image."""
        return self.treefile.to_text()


def home_of(path: Path) -> Path:
    """The directory whose files belong to a treefile: that of the git checkout that it lies in, else its own."""
    directory = path.resolve().parent
    return next((above for above in (directory, *directory.parents) if (above / ".git").exists()), directory)


def load(path: Path, *, basearch: str, within: Sequence[Path] | None = None) -> LoadedTreefile:
    """Read the treefile at `path` for `basearch` (as dnf calls it).

    With `within`, every file that it names must be below one of those directories, links resolved; without it a
    treefile may name any regular file, as rpm-ostree's may. Raises ConfigError.
    """
    read = read_all(str(path), Surroundings(basearch, None if within is None else tuple(within)))
    layers = read.layers
    treefile, undefined = _substituted(merge([layer.treefile for layer in layers]), layers, basearch)
    as_one = [*undefined, *_contradictions(treefile, layers, basearch)]
    # What seems to be undefined may be where nothing could be read.
    refuse([*read.problems, *(as_one if read.complete else ())])
    treefile = _with_defaults(treefile)
    return LoadedTreefile(
        treefile,
        _used(merge_externals([layer.externals for layer in layers]), treefile),
        tuple(notice for layer in layers for notice in (*layer.notices, *_deprecated(layer))),
        {kebab(name): _place(layers, kebab(name)) for name in treefile.model_fields_set},
        tuple(dict.fromkeys(Path(layer.file) for layer in layers)),
    )


def _with_defaults(treefile: Treefile) -> Treefile:
    """With what other keys mean for a key: `container`, whatever that says itself; `edition`, where it says nothing."""
    given = treefile.model_fields_set
    update = {} if treefile.edition == "2014" else {k: v for k, v in _EDITION_2024.items() if k not in given}
    if treefile.container:
        update |= _CONTAINER
    return treefile.model_copy(update=update) if update else treefile


def _used(externals: Externals, treefile: Treefile) -> Externals:
    """Without the files of a check that an including file turned into one of another type."""
    return replace(
        externals,
        passwd=externals.passwd if treefile.check_passwd.type == "file" else None,
        group=externals.group if treefile.check_groups.type == "file" else None,
    )


def _place(layers: Sequence[Layer], key: str, *steps: str) -> Place:
    """Where the value that won stands: in the last layer that has it."""
    for layer in reversed(layers):
        node: Node | None = layer.node
        for step in (key, *steps):
            node = below(node, step) if node else None
        if node:
            return node.place
    return Place(layers[-1].file)


def _substituted(treefile: Treefile, layers: Sequence[Layer], basearch: str) -> tuple[Treefile, list[Problem]]:
    variables: dict[str, Value] = dict(treefile.variables)
    variables["basearch"] = basearch
    if treefile.releasever is not None:
        variables["releasever"] = treefile.releasever
    problems: list[Problem] = []

    def put_in(value: Any, key: str, *steps: str) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return substitute(value, variables)
        except UndefinedVariable as error:
            problems.append(Problem(f"{key}: {error}", _place(layers, key, *steps), error.hint))
            return _UNKNOWN
        except ValueError as error:
            problems.append(Problem(f"{key}: {error}", _place(layers, key, *steps)))
            return _UNKNOWN

    update: dict[str, Any] = {}
    for name in _SUBSTITUTED:
        if name in treefile.model_fields_set:
            key, value = kebab(name), getattr(treefile, name)
            if isinstance(value, Rojig):
                texts = {inner: put_in(getattr(value, inner), key, inner) for inner in _ROJIG_SUBSTITUTED}
                update[name] = value.model_copy(update={k: v for k, v in texts.items() if v is not None})
            elif isinstance(value, dict):
                update[name] = {item: put_in(text, key, item) for item, text in value.items()}
            else:
                update[name] = put_in(value, key)
    return treefile.model_copy(update=update), problems


def _contradictions(treefile: Treefile, layers: Sequence[Layer], basearch: str) -> list[Problem]:
    """What no key alone shows to be wrong."""
    problems = []
    if treefile.basearch not in (None, basearch):
        message = f"Invalid basearch {treefile.basearch} on {basearch}: cross-composes are not supported"
        problems.append(Problem(message, _place(layers, "basearch")))
    if treefile.units and not treefile.machineid_compat:
        message = "'units' directive is incompatible with machineid-compat = false"
        problems.append(Problem(message, _place(layers, "units")))
    if treefile.ref is not None:
        try:
            check_ref(treefile.ref)
        except ValueError as error:
            problems.append(Problem(f"ref: {error}", _place(layers, "ref")))
    if treefile.automatic_version_prefix is not None:
        try:
            next_version(treefile.automatic_version_prefix, treefile.automatic_version_suffix, None, _ANY_DAY)
        except ValueError as error:
            key = "automatic-version-prefix"
            problems.append(Problem(f"{key}: {error}", _place(layers, key)))
    return problems


def _deprecated(layer: Layer) -> list[Notice]:
    given = {kebab(name) for name in layer.treefile.model_fields_set}
    notices = [
        Notice(f"{key} has no effect", layer.place(key), why) for key, why in WITHOUT_EFFECT.items() if key in given
    ]
    if "initramfs-args" in given:
        hint = "add a file below /usr/lib/dracut/dracut.conf.d instead"
        notices.append(Notice("initramfs-args is deprecated", layer.place("initramfs-args"), hint))
    return notices
