# SPDX-License-Identifier: GPL-2.0-or-later
"""What the admin asked of a deployment: the frozen `Origin`, and its text, the deployment's .origin file.

Groups and keys are rpm-ostree's, so that either tool reads what the other wrote; `[strata]` is ours. Changing an
origin is `layering.requests`'; which of its entries take effect on a base is `layering.classify`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from layering import allowed, keyfile
from layering.refspec import Base, parse_base
from rpmtree.errors import ConfigError, Place
from rpmtree.rpm.nevra import Nevra

OURS = "strata"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class LocalPackage:
    """An RPM that came as a file: it is kept in the store under its digest (SHA-256 in hexadecimal)."""

    nevra: Nevra
    sha256: str

    def __str__(self) -> str:
        return f"{self.sha256}:{self.nevra}"

    @classmethod
    def parse(cls, text: str) -> LocalPackage:
        """Read `sha256:NEVRA`. Raises ValueError."""
        digest, _, nevra = text.partition(":")
        return cls(Nevra.parse(allowed.package_name(nevra)), allowed.digest(digest))


@dataclass(frozen=True, slots=True, order=True)
class RemoteReplacement:
    """Base packages that are taken from one repository instead, whatever version that has."""

    repo: str
    packages: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join((f"repo={self.repo}", *self.packages))

    @classmethod
    def parse(cls, text: str) -> RemoteReplacement:
        """Read `repo=ID,package,package…`. Raises ValueError."""
        source, *packages = text.split(",")
        kind, _, repo = source.partition("=")
        if kind != "repo" or not packages:
            raise ValueError(f"not repo=ID,package: {text!a}")
        return cls(allowed.repo_id(repo), tuple(map(allowed.package_name, packages)))


@dataclass(frozen=True, slots=True)
class Extra:
    """A key that is not ours to understand: its raw value is carried along."""

    group: str
    key: str
    raw: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What a deployment follows and what is changed on it. Sets are sorted tuples, made so here."""

    base: Base
    #: The commit of the branch that is kept, whatever comes after it.
    override_commit: str | None = None
    #: Who manages a commit that is followed, for programs and for people.
    custom_url: str | None = None
    custom_description: str | None = None
    #: Why this system is not to be upgraded yet: a text to be shown.
    unconfigured_state: str | None = None
    #: Requests: a name, a NEVRA, something provided, `/path`, `@group`.
    packages: tuple[str, ...] = ()
    local_packages: tuple[LocalPackage, ...] = ()
    #: Local packages that may replace files of others.
    local_fileoverride: tuple[LocalPackage, ...] = ()
    #: Names of base packages.
    removals: tuple[str, ...] = ()
    local_replacements: tuple[LocalPackage, ...] = ()
    remote_replacements: tuple[RemoteReplacement, ...] = ()
    regenerate_initramfs: bool = False
    initramfs_args: tuple[str, ...] = ()
    initramfs_etc: tuple[str, ...] = ()
    #: Names of local packages that give way to a newer version in a repository.
    follow: tuple[str, ...] = ()
    #: Names whose override ends when the base has caught up.
    until_newer: tuple[str, ...] = ()
    #: Name of an overridden package → why.
    reasons: tuple[tuple[str, str], ...] = ()
    extras: tuple[Extra, ...] = ()

    def __post_init__(self) -> None:
        by_repo: dict[str, set[str]] = {}
        for replacement in self.remote_replacements:
            by_repo.setdefault(replacement.repo, set()).update(replacement.packages)
        merged = (RemoteReplacement(repo, tuple(sorted(names))) for repo, names in by_repo.items() if names)
        object.__setattr__(self, "remote_replacements", tuple(sorted(merged)))
        object.__setattr__(self, "reasons", tuple(sorted(dict(self.reasons).items())))
        for name in _SETS:
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))

    @property
    def needs_assembly(self) -> bool:
        """Whether a commit of its own is made, rather than the base deployed as it is."""
        return self.regenerate_initramfs or any(getattr(self, name) for name in _CUSTOMISATIONS)

    @property
    def local_names(self) -> frozenset[str]:
        """Names of all packages that came as files to be layered."""
        return frozenset(package.nevra.name for package in (*self.local_packages, *self.local_fileoverride))

    @property
    def replaced_names(self) -> frozenset[str]:
        """Names of all base packages that are to be replaced, by a file or from a repository."""
        remote = (name for replacement in self.remote_replacements for name in replacement.packages)
        return frozenset((*(package.nevra.name for package in self.local_replacements), *remote))


_SETS = (
    "packages", "local_packages", "local_fileoverride", "removals", "local_replacements", "initramfs_etc", "follow",
    "until_newer",
)  # fmt: skip
_CUSTOMISATIONS = (
    "packages", "local_packages", "local_fileoverride", "removals", "local_replacements", "remote_replacements",
)  # fmt: skip


def parse_origin(text: str, file: str) -> Origin:
    """Read the text of an origin file; `file` is for places. Raises ConfigError."""
    groups = keyfile.parse(text, file)
    values: dict[str, Any] = {"base": _base(groups.get("origin", {}), file)}
    for key in _KEYS:
        value = groups.get(key.group, {}).pop(key.name, None)
        if value is not None:
            values[key.field] = _read(key.read, value)
    extras = (Extra(group, name, value.raw) for group, keys in groups.items() for name, value in keys.items())
    return Origin(**values, extras=tuple(extras))


def format_origin(origin: Origin) -> str:
    """The text of an origin file: `parse_origin` of it gives an equal origin."""
    reference = "baserefspec" if origin.needs_assembly else "refspec"
    groups: dict[str, dict[str, str]] = {"origin": {reference: keyfile.from_string(str(origin.base))}}
    for key in _KEYS:
        content = getattr(origin, key.field)
        if content != _DEFAULTS[key.field]:
            groups.setdefault(key.group, {})[key.name] = key.write(content)
    for extra in origin.extras:
        groups.setdefault(extra.group, {})[extra.key] = extra.raw
    return keyfile.render(groups)


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of the file and the field it fills; `read` raises ValueError."""

    group: str
    name: str
    field: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _base(keys: dict[str, keyfile.Value], file: str) -> Base:
    found = [value for name in ("refspec", "baserefspec") if (value := keys.pop(name, None))]
    if not found:
        if "container-image-reference" in keys:
            place = keys["container-image-reference"].place
            raise ConfigError("the base is a container image, which can't be layered on here", place=place)
        raise ConfigError("neither refspec nor baserefspec is in [origin]", place=Place(file))
    bases = [_read(lambda raw: parse_base(keyfile.string(raw)), value) for value in found]
    if bases[0] != bases[-1]:
        raise ConfigError("refspec and baserefspec differ", place=found[-1].place)
    return bases[0]


def _read(read: Callable[[str], T], value: keyfile.Value) -> T:
    try:
        return read(value.raw)
    except ValueError as error:
        raise ConfigError(str(error), place=value.place) from error


def _text(group: str, name: str, field: str, check: Callable[[str], str]) -> _Key:
    return _Key(group, name, field, lambda raw: check(keyfile.string(raw)), keyfile.from_string)


def _list(group: str, name: str, field: str, read: Callable[[str], Any]) -> _Key:
    return _Key(
        *(group, name, field),
        lambda raw: tuple(map(read, keyfile.strings(raw))),
        lambda items: keyfile.from_strings(map(str, items)),
    )


def _reason(text: str) -> tuple[str, str]:
    name, equals, reason = text.partition("=")
    if not equals:
        raise ValueError(f"not package=reason: {text!a}")
    return allowed.package_name(name), allowed.free_text(reason)


_KEYS = (
    _text("origin", "override-commit", "override_commit", allowed.commit),
    _text("origin", "custom-url", "custom_url", allowed.free_text),
    _text("origin", "custom-description", "custom_description", allowed.free_text),
    _text("origin", "unconfigured-state", "unconfigured_state", allowed.free_text),
    _list("packages", "requested", "packages", allowed.package_spec),
    _list("packages", "requested-local", "local_packages", LocalPackage.parse),
    _list("packages", "requested-local-fileoverride", "local_fileoverride", LocalPackage.parse),
    _list("overrides", "remove", "removals", allowed.package_name),
    _list("overrides", "replace-local", "local_replacements", LocalPackage.parse),
    _list("overrides", "replace", "remote_replacements", RemoteReplacement.parse),
    _Key(
        *("rpmostree", "regenerate-initramfs", "regenerate_initramfs"),
        keyfile.boolean,
        lambda wanted: "true" if wanted else "false",
    ),
    _list("rpmostree", "initramfs-args", "initramfs_args", allowed.free_text),
    _list("rpmostree", "initramfs-etc", "initramfs_etc", allowed.free_text),
    _list(OURS, "follow", "follow", allowed.package_name),
    _list(OURS, "until-newer", "until_newer", allowed.package_name),
    _Key(
        *(OURS, "reasons", "reasons"),
        lambda raw: tuple(map(_reason, keyfile.strings(raw))),
        lambda reasons: keyfile.from_strings(map("=".join, reasons)),
    ),
)
_DEFAULTS = {field.name: field.default for field in fields(Origin)}
