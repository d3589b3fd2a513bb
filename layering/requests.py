# SPDX-License-Identifier: GPL-2.0-or-later
"""What an admin asks for, as functions from an origin to the next: nothing is looked up, nothing is written.

Whether a request makes sense on a base is `layering.classify`'s to say. All that is wrong with a call is said in
one error. A function that has nothing to change returns the origin that it was given.

What holds for a deployment and not for the one made after it (`libostree-transient`: pinned) is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from layering import allowed
from layering.origin import LocalPackage, Origin, RemoteReplacement
from layering.refspec import Base, Branch, Commit
from rpmtree.errors import ToolError, UsageError
from rpmtree.rpm.nevra import Nevra

_TRANSIENT_GROUP, _TRANSIENT_KEYS = "libostree-transient", frozenset({("origin", "unlocked")})


class RequestError(ToolError):
    """What is asked doesn't fit what is requested already; `names` are the arguments that don't."""

    def __init__(self, message: str, names: Iterable[str], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.names = tuple(names)


class DoneAlready(RequestError):
    """The origin is what is asked for."""


class AlreadyRequested(DoneAlready):
    """The packages are requested already."""


class NotRequested(DoneAlready):
    """The packages are not requested."""


class OverrideExists(DoneAlready):
    """The packages are overridden already."""


class NoOverride(DoneAlready):
    """The packages are not overridden."""


class SameBase(DoneAlready):
    """The system is to leave its base for that very base."""


def install(origin: Origin, packages: Sequence[str], *, idempotent: bool = False) -> Origin:
    """Request `packages`. Raises UsageError; AlreadyRequested, unless `idempotent`."""
    _check(allowed.package_spec, packages)
    layered = {str(package.nevra) for package in (*origin.local_packages, *origin.local_fileoverride)}
    known = {*origin.packages, *layered}
    if not idempotent:
        _refuse_requested([name for name in packages if name in known])
    return _next(origin, packages=(*origin.packages, *(name for name in packages if name not in layered)))


def install_local(
    origin: Origin,
    packages: Sequence[LocalPackage],
    *,
    fileoverride: bool = False,
    follow: bool = False,
    idempotent: bool = False,
) -> Origin:
    """Request RPMs that came as files; another build of a package (name and architecture) takes its place.

    `fileoverride`: they may replace files of other packages. `follow`: a repository's newer version is taken.
    Raises AlreadyRequested, unless `idempotent`.
    """
    layered = {*origin.local_packages, *origin.local_fileoverride}
    if not idempotent:
        _refuse_requested([str(package.nevra) for package in packages if package in layered])
    new = {(package.nevra.name, package.nevra.arch): package for package in packages if package not in layered}
    kept, kept_override = (
        tuple(old for old in field if (old.nevra.name, old.nevra.arch) not in new)
        for field in (origin.local_packages, origin.local_fileoverride)
    )
    return _next(
        origin,
        local_packages=kept if fileoverride else (*kept, *new.values()),
        local_fileoverride=(*kept_override, *new.values()) if fileoverride else kept_override,
        follow=(*origin.follow, *(package.nevra.name for package in packages if follow)),
    )


def uninstall(origin: Origin, names: Sequence[str], *, idempotent: bool = False) -> Origin:
    """Take requests back: as they were made, or a package's name or NEVRA.

    Raises NotRequested, unless `idempotent`.
    """
    packages = set(origin.packages)
    local = {*origin.local_packages, *origin.local_fileoverride}
    unknown = []
    for name in names:
        exact = {package for package in local if str(package.nevra) == name}
        named = {package for package in local if package.nevra.name == name}
        plain = _plain_name(name)
        if exact:
            local -= exact
        elif name in packages:
            packages.remove(name)
        elif named:
            local -= named
        elif plain in packages:
            packages.remove(plain)
        else:
            unknown.append(name)
    if unknown and not idempotent:
        requested = ", ".join((*origin.packages, *(str(package.nevra) for package in sorted(local))))
        raise NotRequested(
            f"Package/capability {_quoted(unknown)} {_are(unknown)} not currently requested",
            unknown,
            hint=f"requested: {requested or 'nothing'}",
        )
    return _next(
        origin,
        packages=tuple(packages),
        local_packages=tuple(local.intersection(origin.local_packages)),
        local_fileoverride=tuple(local.intersection(origin.local_fileoverride)),
    )


def uninstall_all(origin: Origin) -> Origin:
    """Take all requests for packages back; overrides stay."""
    return _next(origin, packages=(), local_packages=(), local_fileoverride=())


def override_remove(origin: Origin, names: Sequence[str], *, reason: str | None = None) -> Origin:
    """Remove base packages. Raises UsageError, OverrideExists."""
    _check(allowed.package_name, names)
    _refuse_overridden(name for name in names if name in origin.removals or name in origin.replaced_names)
    return _next(origin, removals=(*origin.removals, *names), reasons=_because(origin, names, reason))


def override_replace_local(
    origin: Origin, packages: Sequence[LocalPackage], *, reason: str | None = None, until_newer: bool = False
) -> Origin:
    """Replace base packages by RPMs that came as files; an earlier replacement of a package gives way.

    `until_newer`: until the base has that version, or a newer one.
    Raises UsageError; OverrideExists, where a package is removed or replaced by that very file.
    """
    names = [package.nevra.name for package in packages]
    known = {package.nevra.name for package in packages if package in origin.local_replacements}
    _refuse_overridden(name for name in names if name in origin.removals or name in known)
    return _next(
        _without_replacements(origin, names),
        local_replacements=(*_other_local(origin, names), *packages),
        **_override_terms(origin, names, reason, until_newer),
    )


def override_replace_from(
    origin: Origin, repo: str, packages: Sequence[str], *, reason: str | None = None, until_newer: bool = False
) -> Origin:
    """Take base packages from the repository `repo`; an earlier replacement of a package gives way.

    `until_newer`: until the base has what the repository has, or a newer version.
    Raises UsageError; OverrideExists, where a package is removed or taken from there already.
    """
    _check(allowed.repo_id, [repo])
    _check(allowed.package_name, packages)
    known = {name for old in origin.remote_replacements if old.repo == repo for name in old.packages}
    _refuse_overridden(name for name in packages if name in origin.removals or name in known)
    cleared = _without_replacements(origin, packages)
    return _next(
        cleared,
        remote_replacements=(*cleared.remote_replacements, RemoteReplacement(repo, tuple(packages))),
        **_override_terms(origin, packages, reason, until_newer),
    )


def override_reset(origin: Origin, names: Sequence[str]) -> Origin:
    """Undo the overrides of packages, given by name or NEVRA. Raises NoOverride."""
    overridden = {*origin.removals, *origin.replaced_names}
    by_nevra = {str(package.nevra): package.nevra.name for package in origin.local_replacements}
    found = {name: next((n for n in (name, by_nevra.get(name), _plain_name(name)) if n in overridden), None)
             for name in names}  # fmt: skip
    unknown = [name for name, known in found.items() if known is None]
    if unknown:
        raise NoOverride(
            f"Package {_quoted(unknown)} {_are(unknown)} not overridden",
            unknown,
            hint=f"overridden: {', '.join(sorted(overridden)) or 'nothing'}",
        )
    reset = {name for name in found.values() if name is not None}
    cleared = _without_replacements(origin, reset)
    return _next(cleared, removals=tuple(name for name in origin.removals if name not in reset))


def override_reset_all(origin: Origin) -> Origin:
    """Undo all overrides."""
    return _next(origin, removals=(), local_replacements=(), remote_replacements=())


def rebase(
    origin: Origin,
    base: Base,
    *,
    commit: str | None = None,
    custom_url: str | None = None,
    custom_description: str | None = None,
) -> Origin:
    """Follow `base`, kept at its `commit` if one is given. Requests and overrides stay.

    The custom texts say who manages what is followed, and come together or not at all.
    Raises UsageError; SameBase, where nothing would change.
    """
    if (custom_url is None) != (custom_description is None):
        raise UsageError("the custom origin's URL and its description must be given together")
    _check(allowed.free_text, [text for text in (custom_url, custom_description) if text is not None])
    _check(allowed.commit, [commit] if commit is not None else [])
    if isinstance(base, Commit) and commit not in (None, base.checksum):
        raise UsageError("a commit to follow and another commit of it were given")
    changed = _next(
        origin,
        base=base,
        override_commit=commit if isinstance(base, Branch) else None,
        custom_url=custom_url,
        custom_description=custom_description,
        unconfigured_state=None,
    )
    if changed is origin:
        raise SameBase(f"Old and new refs are equal: {base}", [str(base)])
    return changed


def pin(origin: Origin, commit: str) -> Origin:
    """Stay at `commit` of the branch; an origin that follows a commit follows this one. Raises UsageError."""
    _check(allowed.commit, [commit])
    if isinstance(origin.base, Commit):
        return _next(origin, base=Commit(commit))
    return _next(origin, override_commit=commit)


def unpin(origin: Origin) -> Origin:
    """Follow the branch again, as an upgrade does."""
    return _next(origin, override_commit=None)


def set_initramfs(origin: Origin, *, regenerate: bool, args: Sequence[str] = ()) -> Origin:
    """Make an initramfs for this machine (with arguments for dracut), or use the base's. Raises UsageError."""
    _check(allowed.free_text, args)
    if args and not regenerate:
        raise UsageError("arguments for an initramfs that is not made have no effect")
    return _next(origin, regenerate_initramfs=regenerate, initramfs_args=tuple(args))


def reset(origin: Origin, *, overlays: bool = False, overrides: bool = False, initramfs: bool = False) -> Origin:
    """Take back requests, overrides, what is done to the initramfs; all of it if none is named."""
    everything = not (overlays or overrides or initramfs)
    changed = origin
    if overlays or everything:
        changed = uninstall_all(changed)
    if overrides or everything:
        changed = override_reset_all(changed)
    if initramfs or everything:
        changed = _next(changed, regenerate_initramfs=False, initramfs_args=(), initramfs_etc=())
    return changed


def without_transient(origin: Origin) -> Origin:
    """The origin for the next deployment, without what holds for this one alone."""
    kept = tuple(
        extra
        for extra in origin.extras
        if extra.group != _TRANSIENT_GROUP and (extra.group, extra.key) not in _TRANSIENT_KEYS
    )
    return origin if kept == origin.extras else replace(origin, extras=kept)


def _next(origin: Origin, **changes: Any) -> Origin:
    """`origin` changed; what was said about packages that are no longer concerned goes as well."""
    changed = replace(origin, **changes)
    overridden = {*changed.removals, *changed.replaced_names}
    changed = replace(
        changed,
        follow=tuple(name for name in changed.follow if name in changed.local_names),
        until_newer=tuple(name for name in changed.until_newer if name in changed.replaced_names),
        reasons=tuple((name, text) for name, text in changed.reasons if name in overridden),
    )
    return origin if changed == origin else without_transient(changed)


def _check(check: Callable[[str], str], texts: Iterable[str]) -> None:
    for text in texts:
        try:
            check(text)
        except ValueError as error:
            raise UsageError(str(error)) from error


def _plain_name(text: str) -> str | None:
    """The name in a NEVRA; None if `text` is none."""
    try:
        return Nevra.parse(text).name
    except ValueError:
        return None


def _other_local(origin: Origin, names: Collection[str]) -> tuple[LocalPackage, ...]:
    return tuple(package for package in origin.local_replacements if package.nevra.name not in names)


def _without_replacements(origin: Origin, names: Collection[str]) -> Origin:
    remote = (
        RemoteReplacement(old.repo, tuple(name for name in old.packages if name not in names))
        for old in origin.remote_replacements
    )
    return replace(origin, local_replacements=_other_local(origin, names), remote_replacements=tuple(remote))


def _because(origin: Origin, names: Collection[str], reason: str | None) -> tuple[tuple[str, str], ...]:
    """The reasons with that of `names` set anew: a new override has its own reason, or none."""
    _check(allowed.free_text, [reason] if reason is not None else [])
    kept = tuple((name, text) for name, text in origin.reasons if name not in names)
    return (*kept, *((name, reason) for name in names)) if reason is not None else kept


def _override_terms(
    origin: Origin, names: Collection[str], reason: str | None, until_newer: bool
) -> dict[str, tuple[Any, ...]]:
    kept = tuple(name for name in origin.until_newer if name not in names)
    return {
        "reasons": _because(origin, names, reason),
        "until_newer": (*kept, *names) if until_newer else kept,
    }


def _refuse_requested(names: Sequence[str]) -> None:
    if names:
        message = f"Package/capability {_quoted(names)} {_are(names)} already requested"
        raise AlreadyRequested(message, names, hint="--idempotent takes that as done")


def _refuse_overridden(found: Iterable[str]) -> None:
    if names := tuple(found):
        hint = f"`override reset {' '.join(names)}` undoes it"
        raise OverrideExists(f"Override already exists for package {_quoted(names)}", names, hint=hint)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
