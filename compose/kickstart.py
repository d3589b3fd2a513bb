# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose kickstart`: options and a treefile become an `Installation`, and that a file for Anaconda."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from compose.load import LoadedTreefile
from kickstart import values
from kickstart.installation import Account, Installation, Source
from kickstart.rendering import Profile, Wanted, key_of, render, versions
from rpmtree.errors import STORAGE_ERRORS, ToolError, UsageError
from rpmtree.files import write_atomically
from rpmtree.progress import Reporter
from rpmtree.texts import decode, read_regular

T = TypeVar("T")
_LARGEST_KEY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KickstartOptions:
    """The command line; what is None or empty was not said."""

    output: Path
    url: str | None = None
    ref: str | None = None
    remote: str | None = None
    osname: str | None = None
    final_url: str | None = None
    container: str | None = None
    profile: Profile = "metal"
    version: str = "F41"
    lang: str | None = None
    keyboard: str | None = None
    timezone: str | None = None
    hostname: str | None = None
    rootpw_hash: str | None = None
    #: NAME[:GROUP,…]
    users: tuple[str, ...] = ()
    #: NAME=HASH
    user_hashes: tuple[str, ...] = ()
    #: NAME=FILE
    ssh_keys: tuple[str, ...] = ()
    kernel_arguments: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    gpg_key: Path | None = None
    gpg: bool = True


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    options: KickstartOptions
    ref: str | None

    @property
    def lines(self) -> Sequence[str]:
        """The file."""
        return [str(self.options.output)]

    def as_json(self) -> dict[str, Any]:
        """The file, what it installs, and for whom."""
        said = self.options
        found = {"file": str(said.output), "profile": said.profile, "for": said.version}
        return {**found, **({"container": said.container} if said.container else {"ref": self.ref})}


def write_kickstart(options: KickstartOptions, loaded: LoadedTreefile | None, reporter: Reporter) -> Written:
    """Write the kickstart file, durably.

    Raises UsageError for what can't be in it, and ToolError for a place where it can't be; then nothing is written.
    """
    wanted = plan(options, loaded)
    text = render(wanted)
    said = wanted.installation
    if options.profile != "cloud" and not any(
        account.keys or (account.password and not account.locked) for account in _people(said)
    ):
        reporter.warning("nobody can log in to such a machine: no account has a password or a key")
    try:
        write_atomically(options.output, text, 0o600 if _is_secret(said) else 0o644)
    except OSError as error:
        if error.errno in STORAGE_ERRORS:
            raise
        raise ToolError(f"can't write {options.output}: {error.strerror}") from error
    return Written(options, said.source.ref if said.source else None)


def _people(said: Installation) -> tuple[Account, ...]:
    return (*([said.root] if said.root else []), *said.users)


def _is_secret(said: Installation) -> bool:
    """Whether there are hashes in it, which can be guessed at."""
    return any(account.password for account in _people(said))


def plan(options: KickstartOptions, loaded: LoadedTreefile | None) -> Wanted:
    """What the options and the treefile ask for. Raises UsageError."""
    treefile = loaded.treefile if loaded else None
    version = next((name for name in versions() if name == options.version.upper()), None)
    if version is None:
        known = f"{versions()[0]} to {versions()[-1]}"
        raise UsageError(f"--for={options.version}: no such version", hint=f"there are {known}, RHEL7, RHEL8 …")
    named = options.osname or (treefile.osname if treefile else None)
    osname = None if named is None else _checked("--osname", values.osname, named)
    key = None if options.gpg_key is None else _checked("--gpg-key", key_of, _read(options.gpg_key))
    if key is not None and (not options.gpg or options.container):
        raise UsageError("--gpg-key goes with a branch that is verified: neither --no-gpg nor --container")
    return Wanted(
        installation=_installation(options, loaded, osname),
        profile=options.profile,
        version=version,
        image=None if options.container is None else _checked("--container", values.image, options.container),
        osname=osname or "default",
        final_url=None if options.final_url is None else _checked("--final-url", values.url, options.final_url),
        verify_image=options.gpg,
        key=key,
        graphical=treefile.default_target == "graphical.target" if treefile and treefile.default_target else None,
    )


def _installation(options: KickstartOptions, loaded: LoadedTreefile | None, osname: str | None) -> Installation:
    enabled = _all_checked("--enable", values.unit, options.enabled)
    disabled = _all_checked("--disable", values.unit, options.disabled)
    if both := [unit for unit in enabled if unit in disabled]:
        raise UsageError(f"{both[0]} is both enabled and disabled")
    users = _accounts(options)
    return Installation(
        source=_source(options, loaded, osname),
        kernel_arguments=_all_checked("--karg", _kernel_argument, options.kernel_arguments),
        root=users[0],
        users=users[1:],
        timezone=_maybe("--timezone", values.timezone, options.timezone),
        lang=_maybe("--lang", values.language, options.lang),
        keyboard=_maybe("--keyboard", values.keymap, options.keyboard),
        hostname=_maybe("--hostname", values.hostname, options.hostname),
        enabled=enabled,
        disabled=disabled,
        selinux="disabled" if loaded and not loaded.treefile.selinux else None,
    )


def _source(options: KickstartOptions, loaded: LoadedTreefile | None, osname: str | None) -> Source | None:
    """The branch; None where a container image is installed."""
    said = [f"--{name}" for name in ("url", "ref", "remote") if getattr(options, name) is not None]
    said += ["--final-url"] if options.final_url is not None else []
    if options.container is not None:
        if said:
            raise UsageError(f"{said[0]} and --container exclude one another")
        return None
    ref = options.ref or (loaded.treefile.ref if loaded else None)
    if options.url is None or ref is None:
        missing = "--url" if options.url is None else "--ref"
        raise UsageError(f"what is to be installed? {missing} is not said", hint="or name an image: --container=IMAGE")
    ref = _checked("--ref", values.ref, ref)
    # As Anaconda has it: where no name is given for the remote, the operating system's is taken.
    osname = osname or _checked("--osname", values.osname, ref.split("/")[0])
    remote = _checked("--remote", values.remote, options.remote or osname)
    return Source(_checked("--url", values.url, options.url), ref, remote, osname, options.gpg)


def _accounts(options: KickstartOptions) -> tuple[Account, ...]:
    """Root, then the users. Raises UsageError."""
    hash_of_root = _maybe("--rootpw-hash", values.password_hash, options.rootpw_hash)
    found = {"root": Account("root", hash_of_root, locked=hash_of_root is None)}
    for text in options.users:
        name, _, groups = text.partition(":")
        name = _checked("--user", values.user_name, name)
        if name in found:
            raise UsageError(f"--user={text}: {name} is there already")
        members = _all_checked("--user", values.group_name, [group for group in groups.split(",") if group])
        found[name] = Account(name, groups=tuple(dict.fromkeys(members)))
    for name, text in _pairs("--user-hash", options.user_hashes, found):
        if name == "root":
            raise UsageError("--user-hash is for users", hint="root's is --rootpw-hash")
        password = _checked("--user-hash", values.password_hash, text)
        found[name] = replace(found[name], password=password, locked=password is None)
    for name, text in _pairs("--ssh-key", options.ssh_keys, found):
        found[name] = replace(found[name], keys=(*found[name].keys, *_keys(Path(text))))
    return tuple(found.values())


def _pairs(option: str, texts: Iterable[str], known: dict[str, Account]) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise UsageError(f"{option}={text}: not NAME=VALUE")
        if name not in known:
            raise UsageError(f"{option}={text}: there is no user {name}", hint=f"add --user={name}")
        yield name, value


def _keys(file: Path) -> list[str]:
    """The keys in a file such as id_ed25519.pub or authorized_keys. Raises UsageError."""
    lines = [line.strip() for line in decode(_read(file), str(file)).splitlines()]
    found = [_checked(f"--ssh-key {file}", values.ssh_key, line) for line in lines if line and not line.startswith("#")]
    if not found:
        raise UsageError(f"no key is in {file}")
    return found


def _read(file: Path) -> bytes:
    return read_regular(str(file), _LARGEST_KEY)


def _kernel_argument(text: str) -> str:
    found = values.kernel_arguments(text)
    if len(found) != 1:
        raise ValueError(f"not one kernel argument: {text!r}")
    return found[0]


def _checked(option: str, check: Callable[[Any], T], value: object) -> T:
    try:
        return check(value)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def _maybe(option: str, check: Callable[[Any], T], value: object) -> T | None:
    return None if value is None else _checked(option, check, value)


def _all_checked(option: str, check: Callable[[str], str], texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(_checked(option, check, text) for text in texts)
