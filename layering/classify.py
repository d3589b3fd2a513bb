# SPDX-License-Identifier: GPL-2.0-or-later
"""Which requests of an origin take effect on a base, which lie dormant, and which a new request may not be.

A dormant entry stays in the origin and is left out of the computed one that is solved. Nothing is read here: the
base's packages come as a value. What repositories offer is the solver's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from layering.origin import LocalPackage, Origin, RemoteReplacement
from layering.requests import RequestError
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.versions import Evr, compare_evr, satisfies

_VERSIONED = re.compile(r"(?P<name>.+?)\s*(?P<operator><=|>=|=|<|>)\s*(?P<evr>\S+)")
_SENSES = {"<": 2, ">": 4, "=": 8, "<=": 10, ">=": 12}
_WILD = frozenset("*?[")


class AlreadyProvided(RequestError):
    """The base has what is asked for."""


class AlreadyInBase(RequestError):
    """A package that came as a file is in the base."""


class ProvidedByRemoved(RequestError):
    """Only base packages that are to be removed have what is asked for."""


class NotInBase(RequestError):
    """An override names packages that the base has not."""


@dataclass(frozen=True)
class Base:
    """The packages of a base commit, and what each provides: `name` or `name = [epoch:]version[-release]`.

    `owners`: for the paths that are asked for, the package that has each.
    """

    packages: Mapping[Nevra, Sequence[str]]
    owners: Mapping[str, Nevra] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> Mapping[str, tuple[Nevra, ...]]:
        """The builds of each package: more than one with several architectures or kernels."""
        found: dict[str, list[Nevra]] = {}
        for nevra in sorted(self.packages):
            found.setdefault(nevra.name, []).append(nevra)
        return {name: tuple(nevras) for name, nevras in found.items()}

    @cached_property
    def _by_spec(self) -> Mapping[str, Nevra]:
        """All the ways to write a package's name and version without naming what it provides."""
        forms: dict[str, Nevra] = {}
        for nevra in sorted(self.packages, reverse=True):
            epoch = f"{nevra.name}-{nevra.epoch}:{nevra.version}"
            plain = f"{nevra.name}-{nevra.version}"
            for head in (nevra.name, epoch, plain, f"{epoch}-{nevra.release}", f"{plain}-{nevra.release}"):
                forms[head] = forms[f"{head}.{nevra.arch}"] = nevra
        return forms

    @cached_property
    def _by_provide(self) -> Mapping[str, tuple[tuple[Evr | None, Nevra], ...]]:
        """What is provided → in which versions (None: in none) and by whom; each package provides itself."""
        found: dict[str, list[tuple[Evr | None, Nevra]]] = {}
        for nevra in sorted(self.packages):
            found.setdefault(nevra.name, []).append((Evr(nevra.epoch, nevra.version, nevra.release), nevra))
            for text in self.packages[nevra]:
                name, _, evr = text.partition(" = ")
                found.setdefault(name, []).append((Evr.parse(evr) if evr else None, nevra))
        return {name: tuple(versions) for name, versions in found.items()}

    def provider(self, spec: str, without: Collection[str] = ()) -> Nevra | None:
        """The package that a request would bring and the base has already, or None.

        Packages called as in `without` don't count. Groups and patterns ask for more than one package, so they
        are never provided.
        """
        return next((nevra for nevra in self._providers(spec) if nevra.name not in without), None)

    def _providers(self, spec: str) -> Iterator[Nevra]:
        if spec.startswith("@") or _WILD.intersection(spec):
            return
        if spec in self._by_spec:
            yield self._by_spec[spec]
        if spec in self.owners:
            yield self.owners[spec]
        yield from (nevra for _, nevra in self._by_provide.get(spec, ()))
        if match := _VERSIONED.fullmatch(spec):
            wanted, sense = Evr.parse(match["evr"]), _SENSES[match["operator"]]
            for evr, nevra in self._by_provide.get(match["name"], ()):
                if evr is not None and satisfies(evr, sense, wanted):
                    yield nevra


@dataclass(frozen=True, slots=True)
class Dormant:
    """A request without effect on this base, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} ({self.why})"


@dataclass(frozen=True, slots=True)
class Classified:
    """An origin seen on a base: `active` is the origin that is solved, the rest of it is dormant.

    `lapsed`: names of overrides that were to last until the base caught up, which it has; they are to be reset.
    """

    active: Origin
    requests: tuple[Dormant, ...] = ()
    removals: tuple[Dormant, ...] = ()
    replacements: tuple[Dormant, ...] = ()
    lapsed: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What a user is told: a title for each kind that there is, its entries indented."""
        kinds = {
            "Inactive requests:": self.requests,
            "Inactive base removals:": self.removals,
            "Inactive base replacements:": self.replacements,
            "Overrides that the base has caught up with:": self.lapsed,
        }
        return tuple(line for title, found in kinds.items() if found for line in (title, *(f"  {x}" for x in found)))


def classify(origin: Origin, base: Base, offered: Mapping[str, Nevra] | None = None) -> Classified:
    """What of `origin` takes effect on `base`.

    `offered`: what the repository of a remote replacement has for a package's name, where that is known: whether
    such an override has lapsed, or would change nothing, can't be told without.
    """
    gone = [Dormant(name, "not in the base") for name in origin.removals if name not in base.by_name]
    kept_removals = tuple(name for name in origin.removals if name in base.by_name)
    requests = {name: found for name in origin.packages if (found := base.provider(name, kept_removals))}
    files = (*origin.local_packages, *origin.local_fileoverride)
    in_base = {package: why for package in files if (why := why_not_layered(package, origin, base.packages))}
    targets = _targets(origin, offered or {})
    dormant = {key: why for key, (name, new) in targets.items() if (why := _why_dormant(name, new, base))}
    lapsed = {key: name for key, (name, new) in targets.items() if name in origin.until_newer and _has(base, name, new)}
    useless = {*dormant, *lapsed}
    active = replace(
        origin,
        packages=tuple(name for name in origin.packages if name not in requests),
        local_packages=tuple(package for package in origin.local_packages if package not in in_base),
        local_fileoverride=tuple(package for package in origin.local_fileoverride if package not in in_base),
        removals=kept_removals,
        local_replacements=tuple(package for package in origin.local_replacements if package not in useless),
        remote_replacements=tuple(
            RemoteReplacement(old.repo, tuple(name for name in old.packages if (old.repo, name) not in useless))
            for old in origin.remote_replacements
        ),
    )
    return Classified(
        active,
        requests=(
            *(Dormant(name, f"already provided by {found}") for name, found in requests.items()),
            *(Dormant(str(package.nevra), why) for package, why in in_base.items()),
        ),
        removals=tuple(gone),
        replacements=tuple(Dormant(_label(key), why) for key, why in dormant.items() if key not in lapsed),
        lapsed=tuple(sorted(set(lapsed.values()))),
    )


def why_not_layered(package: LocalPackage, origin: Origin, base: Collection[Nevra]) -> str | None:
    """Why a package that came as a file has no effect on a base with these packages; None where it has."""
    if package.nevra in base:
        return "in the base"
    if package.nevra.name in origin.follow:  # it gives way to what is newer, wherever that is
        there = (nevra for nevra in base if nevra.name == package.nevra.name)
        newer = [nevra for nevra in there if compare_evr(_evr(nevra), _evr(package.nevra)) > 0]
        return f"the base has {max(newer)}" if newer else None
    return None


def refuse_provided(origin: Origin, specs: Iterable[str], base: Base) -> None:
    """Say which requests `specs` the base satisfies as it is, unless they were to be recorded all the same.

    Raises AlreadyProvided.
    """
    found = {spec: nevra for spec in specs if (nevra := base.provider(spec, origin.removals))}
    if found:
        raise AlreadyProvided(
            " ".join(f'"{spec}" is already provided by: {nevra}.' for spec, nevra in found.items())
            + " Use --allow-inactive to explicitly require it.",
            found,
        )


def refuse_removed(origin: Origin, base: Base) -> None:
    """Say which requests of `origin` only a package provides that it removes. Raises ProvidedByRemoved."""
    names = [spec for spec in origin.packages if base.provider(spec) and not base.provider(spec, origin.removals)]
    if names:
        quoted = ", ".join(f"'{name}'" for name in names)
        raise ProvidedByRemoved(f"Cannot request {quoted} provided by removed package", names)


def refuse_in_base(packages: Iterable[LocalPackage], base: Base) -> None:
    """Say which packages to be layered from files are in the base, whatever the version. Raises AlreadyInBase."""
    names = [str(package.nevra) for package in packages if package.nevra.name in base.by_name]
    if names:
        quoted = ", ".join(f"'{name}'" for name in names)
        hint = "`override replace` puts another version in the place of the base's"
        raise AlreadyInBase(f"Package {quoted} is already in the base", names, hint=hint)


def refuse_not_in_base(names: Iterable[str], base: Base) -> None:
    """Say which packages can't be overridden, since the base has not got them. Raises NotInBase."""
    missing = [name for name in names if name not in base.by_name]
    if missing:
        quoted = ", ".join(f"'{name}'" for name in missing)
        raise NotInBase(f"Package {quoted} is not in the base", missing, hint="only base packages can be overridden")


#: A replacement: the file, or the repository and the package's name.
_Key = LocalPackage | tuple[str, str]


def _targets(origin: Origin, offered: Mapping[str, Nevra]) -> dict[_Key, tuple[str, Nevra | None]]:
    """Each replacement with the name it concerns and, where that is known, the package it brings."""
    local: dict[_Key, tuple[str, Nevra | None]] = {
        package: (package.nevra.name, package.nevra) for package in origin.local_replacements
    }
    return local | {
        (old.repo, name): (name, offered.get(name)) for old in origin.remote_replacements for name in old.packages
    }


def _why_dormant(name: str, new: Nevra | None, base: Base) -> str | None:
    if name not in base.by_name:
        return "not in the base"
    return "the base has the same" if new in base.packages else None


def _has(base: Base, name: str, new: Nevra | None) -> bool:
    """Whether the base has `new`, or a newer version of it."""
    if new is None:
        return False
    theirs = [nevra for nevra in base.by_name.get(name, ()) if nevra.arch == new.arch] or base.by_name.get(name, ())
    return any(compare_evr(_evr(nevra), _evr(new)) >= 0 for nevra in theirs)


def _evr(nevra: Nevra) -> Evr:
    return Evr(nevra.epoch, nevra.version, nevra.release)


def _label(key: _Key) -> str:
    return str(key.nevra) if isinstance(key, LocalPackage) else f"{key[1]} from {key[0]}"
