# SPDX-License-Identifier: GPL-2.0-or-later
"""Extensions: sets of packages that machines may add to a base. The document, and what it comes to on a base.

repos: [ID, …]
extensions: {NAME: {packages, repos, architectures, match-base-evr, kind: os-extension | development}}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from compose import document
from compose.keys import WITHOUT_EFFECT
from compose.nodes import Node, below, plain
from compose.parts import Modules, Section
from compose.texts import Name, Packages
from compose.validate import read_model
from rpmtree.errors import Place
from rpmtree.problems import Notice, Problem, refuse
from rpmtree.rpm.nevra import Nevra


class Extension(Section):
    """One set of packages."""

    modules: Modules | None = Field(default=None, description="Module streams. Without effect: modularity is gone.")

    packages: Packages = Field(default=(), description="The packages; without any, the one of the extension's name.")
    repos: tuple[Name, ...] = Field(default=(), description="Repositories to look in, too.")
    architectures: tuple[Name, ...] | None = Field(default=None, description="Where it is made; else everywhere.")
    match_base_evr: Name | None = Field(
        default=None, description="A package of the base of whose version the packages are to be."
    )
    kind: Literal["os-extension", "development"] = Field(
        default="os-extension", description="Whether it is for machines, or for containers where something is built."
    )


class _File(Section):
    modules: Modules | None = None
    repos: tuple[Name, ...] = ()
    extensions: dict[Name, Extension]


@dataclass(frozen=True, slots=True)
class Extensions:
    """The extensions for one architecture, by their names; `repos` are those of all."""

    repos: tuple[str, ...]
    extensions: Mapping[str, Extension]
    notices: tuple[Notice, ...]
    node: Node

    @property
    def all_repos(self) -> tuple[str, ...]:
        """The ids of all repositories that are named."""
        own = (repo for extension in self.extensions.values() for repo in extension.repos)
        return tuple(dict.fromkeys((*self.repos, *own)))


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is to be solved on a base, and the document with that in it.

    What is for `development` goes into containers where something is built: it is taken as it is, without what it
    needs, and also where the base has it.
    """

    packages: tuple[str, ...]
    development: tuple[str, ...]
    document: dict[str, JsonValue]


def read(path: Path, basearch: str) -> Extensions:
    """Read the document at `path`. Raises ConfigError with all problems."""
    content, root, notices = read_model(_File, str(path), lenient=document.is_json(str(path)))
    here = {
        name: found
        for name, found in content.extensions.items()
        if found.architectures is None or basearch in found.architectures
    }
    notices += [Notice("modules has no effect", place, WITHOUT_EFFECT["modules"]) for place in _modules(root, here)]
    return Extensions(content.repos, here, tuple(notices), root)


def _modules(root: Node, names: Iterable[str]) -> list[Place]:
    """Where module streams are named."""
    extensions = below(root, "extensions")
    nodes = [root, *(below(extensions, name) for name in names)] if extensions else [root]
    return [node.keys["modules"] for node in nodes if node and "modules" in node.keys]


def resolve(extensions: Extensions, base: Sequence[Nevra]) -> Resolved:
    """What the extensions ask for on a base of these packages. Raises ConfigError with all that does not fit it."""
    versions: dict[str, set[str]] = {}
    for nevra in base:
        versions.setdefault(nevra.name, set()).add(nevra.evr)
    problems: list[Problem] = []
    resolved: dict[str, tuple[str, ...]] = {}
    for name, extension in extensions.extensions.items():
        packages = extension.packages or (name,)
        if extension.kind == "os-extension":
            problems += [
                Problem(
                    f"{package} of the extension {name} is in the base already",
                    _place(extensions.node, name, package),
                    "leave it out, or say `kind: development` if it is for containers",
                )
                for package in packages
                if package.split()[0] in versions
            ]
        if extension.match_base_evr is not None:
            found = sorted(versions.get(extension.match_base_evr, ()))
            if len(found) != 1:
                message = f"the base has {len(found) or 'no'} {extension.match_base_evr} to match the version of"
                problems.append(Problem(message, _place(extensions.node, name, "match-base-evr")))
            else:
                packages = tuple(f"{package}-{found[0]}" for package in packages)
        resolved[name] = packages
    refuse(problems)
    return Resolved(
        _of_kind("os-extension", extensions, resolved),
        _of_kind("development", extensions, resolved),
        _json(extensions, resolved),
    )


def _of_kind(kind: str, extensions: Extensions, resolved: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    chosen = (resolved[name] for name, extension in extensions.extensions.items() if extension.kind == kind)
    return tuple(dict.fromkeys(spec for packages in chosen for spec in packages))


def _json(extensions: Extensions, resolved: Mapping[str, tuple[str, ...]]) -> dict[str, JsonValue]:
    """The document for this architecture as rpm-ostree has it: packages that were looked for, repositories together."""
    found: dict[str, JsonValue] = {}
    for name, extension in sorted(extensions.extensions.items()):
        found[name] = extension.model_copy(update={"packages": resolved[name]}).model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude={"repos", "modules"}
        )
    return {"repos": list(extensions.all_repos), "extensions": found}


def _place(root: Node, name: str, what: str) -> Place:
    """Where an extension's key stands, or the entry that has a package, or else the extension."""
    extensions = below(root, "extensions")
    extension = below(extensions, name) if extensions else None
    if extensions is None or extension is None:
        return root.place
    if what in extension.keys:
        return extension.keys[what]
    listed = below(extension, "packages")
    entries = listed.value if listed is not None and isinstance(listed.value, tuple) else ()
    return next((entry.place for entry in entries if what in str(plain(entry))), extensions.keys[name])
