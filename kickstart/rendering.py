# SPDX-License-Identifier: GPL-2.0-or-later
"""An `Installation` becomes a kickstart file for Anaconda: the way back of `kickstart.reading`.

The templates beside this module say what a profile's machines are like. Each value goes through `quoting.quoted`, for
there is no other way for a template to put one in; what comes out is parsed by pykickstart for the version asked for.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kickstart.installation import Account, Installation
from kickstart.quoting import Unquotable, joined, quoted
from rpmtree.errors import UsageError

if TYPE_CHECKING:
    from jinja2 import Environment

Profile = Literal["metal", "vm", "cloud"]
DEFAULT_VERSION = "F41"
#: Both the screen and the first serial line, the last of which gets the messages.
_CONSOLES = ("console=tty0", "console=ttyS0,115200n8")
_CLOUD_INIT = ("cloud-init-local", "cloud-init", "cloud-config", "cloud-final")
#: RFC 9580, 4.2: a public key as the first packet, in the old format and the new one.
_KEY_PACKETS = (0x98, 0x99, 0x9A, 0xC6)
_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*[ \t]*\r?\n(?P<key>[A-Za-z0-9+/=\s]+?)"
    r"(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END PGP PUBLIC KEY BLOCK-----"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A kickstart file to write."""

    installation: Installation
    profile: Profile = "metal"
    #: As pykickstart calls it: F41, RHEL9.
    version: str = DEFAULT_VERSION
    #: A container image to install, and not the branch of the installation; with the name for /ostree/deploy.
    image: str | None = None
    osname: str = "default"
    #: Where the machine finds the branch when it is installed, if elsewhere.
    final_url: str | None = None
    #: Whether a container image's signature is verified; of a branch, `Source.gpg` says that.
    verify_image: bool = True
    #: An OpenPGP key, as packets; see `key_of`.
    key: bytes | None = None
    #: Whether the default target is a graphical one; None: the branch has it already.
    graphical: bool | None = None


def versions() -> tuple[str, ...]:
    """The versions of kickstart files that can install a branch, oldest first."""
    from pykickstart.version import F21, RHEL7, versionMap

    numbers = {name: number for name, number in versionMap.items() if number >= F21 or number == RHEL7}
    return tuple(sorted((name for name in numbers if name != "DEVEL"), key=numbers.__getitem__))


def key_of(data: bytes) -> bytes:
    """The OpenPGP public key in a file, armored or not, as packets. Raises ValueError."""
    if data[:5] == b"-----":
        match = _ARMOR.search(data.decode("ascii", "replace"))
        try:
            data = base64.b64decode(re.sub(r"\s", "", match["key"]) if match else "", validate=True)
        except binascii.Error:
            data = b""
    if not data or data[0] not in _KEY_PACKETS:
        raise ValueError("not an OpenPGP public key")
    return data


def render(wanted: Wanted) -> str:
    """The kickstart file. Raises UsageError where a value can't be in one, or the version can't say it."""
    text = fill_in(wanted)
    check(text, wanted.version)
    return text


def fill_in(wanted: Wanted) -> str:
    """The template with its values, not checked yet. Raises UsageError where a value can't be in it."""
    wanted = _with_profile(wanted)
    try:
        return _templates().get_template(f"{wanted.profile}.ks.j2").render(_variables(wanted))
    except Unquotable as error:
        raise UsageError(f"a kickstart file can't hold {error}") from error


def _with_profile(wanted: Wanted) -> Wanted:
    """What belongs to the profile and is a list that a user adds to."""
    said = wanted.installation
    if wanted.profile == "metal":
        return wanted
    arguments = (*_CONSOLES, *said.kernel_arguments)
    if wanted.profile == "vm":
        return replace(wanted, installation=replace(said, kernel_arguments=arguments))
    if said.root and said.root.password is not None:
        raise UsageError("the root of a cloud image has no password", hint="give cloud-init a key, or use --profile=vm")
    units = [unit for unit in ("sshd", *_CLOUD_INIT) if unit not in (*said.enabled, *said.disabled)]
    timeout = 1 if said.boot_timeout is None else said.boot_timeout
    enabled = (*said.enabled, *units)
    more = replace(said, kernel_arguments=arguments, enabled=enabled, boot_timeout=timeout)
    return replace(wanted, installation=more)


def _variables(wanted: Wanted) -> Mapping[str, Any]:
    said = wanted.installation
    if wanted.image is None and said.source is None:
        raise UsageError("neither a branch nor a container image is named")
    lines = [] if wanted.key is None else base64.encodebytes(wanted.key).decode("ascii").split()
    return {
        **{name: getattr(said, name) for name in Installation.__dataclass_fields__},
        "lang": said.lang or "en_US.UTF-8",
        "keyboard": said.keyboard or "us",
        "timezone": said.timezone or "Etc/UTC",
        "root": said.root or Account("root", locked=True),
        "users": list(said.users),
        "version": wanted.version,
        "image": wanted.image,
        "osname": wanted.osname,
        "graphical": wanted.graphical,
        "gpg": wanted.verify_image if said.source is None else said.source.gpg,
        "final_url": wanted.final_url or (said.source.url if said.source else None),
        "key": lines,
    }


@cache
def _templates() -> Environment:
    """Where all that is put into a template is quoted: `finalize` is the last to see a value, and sees each."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        finalize=quoted,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  # not HTML; see finalize
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["joined"] = joined
    return environment


def check(text: str, version: str) -> None:
    """Have pykickstart read a file as that version's installer does. Raises UsageError, naming the directive."""
    from pykickstart.errors import KickstartError, KickstartParseWarning
    from pykickstart.parser import KickstartParser
    from pykickstart.version import makeVersion, versionMap

    parser = KickstartParser(makeVersion(versionMap[version]), followIncludes=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KickstartParseWarning)  # what is deprecated still works
        try:
            parser.readKickstartFromString(text)
        except KickstartError as error:
            line = text.splitlines()[(error.lineno or 1) - 1]
            message = f"the installer of {version} can't read {line.split()[0] if line.split() else 'this'}"
            hint = "name a newer version with --for, or leave out what it does not know"
            raise UsageError(message, hint=hint, detail=f"{line}\n{' '.join(str(error.message).split())}") from error
