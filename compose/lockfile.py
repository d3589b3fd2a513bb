# SPDX-License-Identifier: GPL-2.0-or-later
"""Lockfiles: which build of each package a compose may take.

    {"packages": {NAME or NAME.ARCH: {"evra" or "evr", "digest"?, "metadata"?}}, "metadata": {...}}

The format is rpm-ostree's. Beyond it, a key may end in an architecture, so that two architectures of one package
can be locked apart; files written here have such keys only where they are needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StrictStr, model_validator

from compose.nodes import Limits, below
from compose.parts import Section
from compose.texts import Name
from compose.validate import read_model
from rpmtree.errors import ConfigError

#: A lock of a large desktop has some thousand packages, with five values each.
_LIMITS = Limits(size=16 * 1024 * 1024, depth=16, nodes=400_000)
_EVR = re.compile(r"(?:(?P<epoch>[0-9]+):)?(?P<rest>[^\s:/-]+-[^\s:/-]+)")
_DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
#: RPM's architectures, to tell NAME.ARCH from a name with a dot.
_ARCH = re.compile(
    r"noarch|x86_64(?:_v[234])?|i[3-6]86|aarch64|armv[5-8]h?n?l|ppc64(?:le)?|ppc|s390x?|riscv64|loongarch64|sparc(?:64)?"
)


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One build: `evr` as `[epoch:]version-release` without an epoch of zero; without an arch, it holds for each."""

    name: str
    evr: str
    arch: str | None = None
    #: `sha256:HEX` of the package file.
    digest: str | None = None
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)

    def matches(self, evr: str, arch: str) -> bool:
        """Whether that build is this one."""
        return normal_evr(evr) == self.evr and self.arch in (None, arch)


@dataclass(frozen=True, slots=True)
class Lock:
    """What lockfiles say together. Keys are NAME or NAME.ARCH, as in the files."""

    packages: Mapping[str, LockedPackage] = field(default_factory=dict)

    def find(self, name: str, arch: str) -> LockedPackage | None:
        """The lock that holds for a package; None where it is free. A NAME.ARCH goes before a NAME.

        A build that is offered is allowed if there is no lock for it, or `matches` says yes.
        """
        return self.packages.get(f"{name}.{arch}") or self.packages.get(name)


def read(paths: Sequence[Path]) -> Lock:
    """Lockfiles as one: for a name in several, the last file counts. Raises ConfigError with all problems of a file."""
    packages: dict[str, LockedPackage] = {}
    for path in paths:
        for key, locked in _read_file(str(path)).items():
            _unlock(packages, key, locked)
            packages[key] = locked
    return Lock(packages)


def to_text(packages: Iterable[LockedPackage], *, generated: datetime, repos: Mapping[str, datetime]) -> str:
    """A lockfile: JSON, sorted, with the source package of each where its `metadata` has one.

    `generated` is now, cut to the day, so that two composes of one day differ only where packages do; `repos` are the
    times of the repositories' metadata, which are exact, since they say what was looked at. All times are aware.
    """
    builds = sorted(packages, key=lambda package: (package.name, package.arch or "", package.evr))
    archs: dict[str, set[str | None]] = {}
    for package in builds:
        archs.setdefault(package.name, set()).add(package.arch)
    day = generated.astimezone(UTC).replace(hour=0, minute=0, second=0)
    content = {
        "packages": {
            f"{package.name}.{package.arch}" if len(archs[package.name]) > 1 else package.name: _entry(package)
            for package in builds
        },
        "metadata": {
            "generated": _time(day),
            "rpmmd_repos": {repo: {"generated": _time(repos[repo])} for repo in sorted(repos)},
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def normal_evr(evr: str) -> str:
    """`[epoch:]version-release` without an epoch of zero. Raises ValueError."""
    match = _EVR.fullmatch(evr)
    if match is None:
        raise ValueError(f"not [epoch:]version-release: {evr!r}")
    epoch = int(match["epoch"] or 0)
    return f"{epoch}:{match['rest']}" if epoch else match["rest"]


def _check_evra(evra: str) -> str:
    evr, _, arch = evra.rpartition(".")
    if not _ARCH.fullmatch(arch):
        raise ValueError(f"not [epoch:]version-release.architecture: {evra!r}")
    normal_evr(evr)
    return evra


def _check_evr(evr: str) -> str:
    normal_evr(evr)
    return evr


def _check_digest(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"not a digest such as sha256:0123…: {digest!r}")
    return digest


class _Entry(Section):
    evra: Annotated[StrictStr, AfterValidator(_check_evra)] | None = None
    evr: Annotated[StrictStr, AfterValidator(_check_evr)] | None = None
    digest: Annotated[StrictStr, AfterValidator(_check_digest)] | None = None
    metadata: dict[StrictStr, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.evra is None) == (self.evr is None):
            raise ValueError("expected one of 'evra' and 'evr'")
        return self


class _Repo(Section):
    generated: StrictStr


class _Metadata(Section):
    model_config = ConfigDict(alias_generator=None)

    generated: StrictStr | None = None
    rpmmd_repos: dict[StrictStr, _Repo] = Field(default_factory=dict)


class _File(Section):
    packages: dict[Name, _Entry] = Field(default_factory=dict)
    metadata: _Metadata | None = None


def _read_file(file: str) -> dict[str, LockedPackage]:
    content, root, _ = read_model(_File, file, lenient=False, limits=_LIMITS)
    locked = {key: _locked(key, entry) for key, entry in content.packages.items()}
    for key, package in locked.items():
        if key not in (package.name, f"{package.name}.{package.arch}"):
            node = below(root, "packages")
            place = node.keys[key] if node else root.place
            raise ConfigError(f"{key}: its evra is for another architecture, {package.arch}", place=place)
    return locked


def _locked(key: str, entry: _Entry) -> LockedPackage:
    name, dot, key_arch = key.rpartition(".")
    if not dot or not _ARCH.fullmatch(key_arch):
        name, key_arch = key, ""
    evr, arch = entry.evr or "", key_arch or None
    if entry.evra is not None:
        evr, _, arch = entry.evra.rpartition(".")
    return LockedPackage(name, normal_evr(evr), arch, entry.digest, entry.metadata)


def _unlock(packages: dict[str, LockedPackage], key: str, locked: LockedPackage) -> None:
    """Take out what a later file's entry replaces under another key: NAME all NAME.ARCH, NAME.ARCH its own build."""
    if key == locked.name:
        replaced = [other for other, package in packages.items() if package.name == locked.name]
    else:
        plain = packages.get(locked.name)
        replaced = [locked.name] if plain and plain.arch == locked.arch else []
    for other in replaced:
        del packages[other]


def _entry(package: LockedPackage) -> dict[str, JsonValue]:
    entry: dict[str, JsonValue] = {"evra": f"{package.evr}.{package.arch}"} if package.arch else {"evr": package.evr}
    if package.digest:
        entry["digest"] = package.digest
    if "sourcerpm" in package.metadata:
        entry["metadata"] = {"sourcerpm": package.metadata["sourcerpm"]}
    return entry


def _time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
