# SPDX-License-Identifier: GPL-2.0-or-later
"""What single values of an installation may be, in either direction: read from a kickstart file, or written to one.

Each function gives the value back as it is to be used, or raises ValueError with what is wrong about it. They are the
choke point for text that ends up in /etc/fstab, /etc/passwd, boot loader entries and command lines of tools.
"""

from __future__ import annotations

import base64
import binascii
import re

#: MiB; a PiB.
LARGEST = 2**30
#: useradd(8) with the limits of utmp, and what Anaconda takes.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\-]*)?")
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_LANG = re.compile(r"[A-Za-z]{1,8}(?:_[A-Za-z]{2,8})?(?:\.[A-Za-z0-9-]{1,16})?(?:@[A-Za-z0-9]{1,16})?")
_KEYMAP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,62}")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,3}")
_PATH = re.compile(r"(?:/[A-Za-z0-9_.+@-]+)+")
_OSTREE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,126}")
_REF = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)*")
_URL = re.compile(r"(?:https?://[A-Za-z0-9\[]|file:///)[A-Za-z0-9\]\[:/?@!$&()*+,;=._~%-]*")
_LABEL = re.compile(r"[A-Za-z0-9_.:/+][A-Za-z0-9_.:/+-]*")
_MOUNT_OPTION = re.compile(r"[A-Za-z0-9_.-]+(?:=[A-Za-z0-9_.:/+@%-]+)?")
_KERNEL_ARGUMENT = re.compile(r'(?:[!#-~]|"[ !#-~]*")+')
_CRYPT = "./0-9A-Za-z"
#: crypt(5): yescrypt, gost-yescrypt, scrypt, bcrypt, SHA-512, SHA-256, MD5.
_HASH = re.compile(
    rf"\$(?:g?y\$[{_CRYPT}]+\$[{_CRYPT}]{{0,86}}\$[{_CRYPT}]{{43}}"
    rf"|7\$[{_CRYPT}]{{11,97}}\$[{_CRYPT}]{{43}}"
    rf"|2[abxy]\$[0-9]{{2}}\$[{_CRYPT}]{{53}}"
    rf"|6\$(?:rounds=[1-9][0-9]{{0,8}}\$)?[^$:\n!*\s]{{1,16}}\$[{_CRYPT}]{{86}}"
    rf"|5\$(?:rounds=[1-9][0-9]{{0,8}}\$)?[^$:\n!*\s]{{1,16}}\$[{_CRYPT}]{{43}}"
    rf"|1\$[^$:\n!*\s]{{1,8}}\$[{_CRYPT}]{{22}})"
)
#: What people write for a hash that no password has.
_NO_HASH = ("*", "!", "!!", "x", "locked", "*LK*")
_KEY_TYPE = re.compile(
    r"ssh-ed25519|ssh-rsa|ssh-dss|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com"
)
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
#: Bytes of a label: ext4(5), mkfs.xfs(8), mkswap(8).
_LABEL_BYTES = {"ext4": 16, "xfs": 12, "swap": 16}


def _one(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"not {what}: {_shown(text)}")
    return text


def _shown(text: str) -> str:
    """A text for an error's message, which is one line."""
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def user_name(text: str) -> str:
    """The name of a user other than root."""
    return _one(_NAME, text, "a user's name")


def group_name(text: str) -> str:
    """The name of a group."""
    return _one(_NAME, text, "a group's name")


def number_of_account(number: int) -> int:
    """A user's or group's number: neither root's, nor one that means nobody or nothing."""
    if not 0 < number < 2**32 - 1 or number in (65534, 65535):
        raise ValueError(f"not a number that an account can have: {number}")
    return number


def unit(text: str) -> str:
    """A unit of systemd, with or without `.service`."""
    if len(text) > 255:
        raise ValueError("a unit's name longer than 255 characters")
    return _one(_UNIT, text, "a unit's name")


def hostname(text: str) -> str:
    """The name of a machine: labels of letters, digits and hyphens, at most 64 characters (hostname 7)."""
    if len(text) > 64 or not all(_HOST_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(f"not a host name: {_shown(text)}")
    return text


def language(text: str) -> str:
    """A locale: `de_DE.UTF-8`."""
    return _one(_LANG, text, "a locale")


def keymap(text: str) -> str:
    """A keyboard layout's name."""
    return _one(_KEYMAP, text, "a keyboard layout")


def timezone(text: str) -> str:
    """A time zone as in /usr/share/zoneinfo."""
    return _one(_ZONE, text, "a time zone")


def path(text: str) -> str:
    """An absolute path without `.` and `..`."""
    if {".", ".."} & set(text.split("/")) or len(text) > 255:
        raise ValueError(f"not a plain absolute path: {_shown(text)}")
    return _one(_PATH, text, "a plain absolute path")


def osname(text: str) -> str:
    """The directory in /ostree/deploy."""
    return _one(_OSTREE_NAME, text, "a name for an operating system in /ostree/deploy")


def remote(text: str) -> str:
    """A remote's name."""
    return _one(_OSTREE_NAME, text, "a remote's name")


def ref(text: str) -> str:
    """A branch's name."""
    if {".", ".."} & set(text.split("/")) or len(text) > 255:
        raise ValueError(f"not a branch name: {_shown(text)}")
    return _one(_REF, text, "a branch name")


def url(text: str) -> str:
    """The address of a repository."""
    if len(text) > 2048:
        raise ValueError("an address longer than 2048 characters")
    return _one(_URL, text, "an http:, https: or file: address")


def image(text: str) -> str:
    """A container image's name, as of podman."""
    return _one(re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,511}"), text, "a container image")


def size(mebibytes: int) -> int:
    """A partition's size."""
    if not 1 <= mebibytes <= LARGEST:
        raise ValueError(f"not a size between 1 and {LARGEST} MiB: {mebibytes}")
    return mebibytes


def seconds(number: int) -> int:
    """How long a boot menu waits."""
    if not 0 <= number <= 3600:
        raise ValueError(f"not a time between 0 and 3600 seconds: {number}")
    return number


def label(text: str, filesystem: str) -> str:
    """A file system's label, as long as that one can have."""
    if len(text) > _LABEL_BYTES[filesystem]:
        raise ValueError(f"a label of {filesystem} has at most {_LABEL_BYTES[filesystem]} characters: {_shown(text)}")
    return _one(_LABEL, text, "a label")


def mount_options(text: str) -> tuple[str, ...]:
    """Options of fstab(5), of which `defaults` says nothing."""
    options = text.split(",")
    return tuple(_one(_MOUNT_OPTION, option, "a mount option") for option in options if option != "defaults")


def kernel_arguments(text: str) -> tuple[str, ...]:
    """Arguments of a kernel command line: a space in double quotes is part of one."""
    if len(text) > 2048:  # COMMAND_LINE_SIZE on x86
        raise ValueError("kernel arguments longer than 2048 characters")
    found = []
    rest = text.strip(" ")
    while rest:
        match = _KERNEL_ARGUMENT.match(rest)
        if match is None or rest[match.end() : match.end() + 1] not in ("", " "):
            raise ValueError(f"not a kernel argument: {_shown(rest)}")
        found.append(match.group())
        rest = rest[match.end() :].lstrip(" ")
    return tuple(found)


def gecos(text: str) -> str:
    """A full name, as in /etc/passwd."""
    if ":" in text or len(text) > 255 or not _PRINTABLE.fullmatch(text):
        raise ValueError(f"not a full name that /etc/passwd can have: {_shown(text)}")
    return text


def password(text: str) -> str:
    """A password in plain text, as crypt(3) takes it."""
    if not text or len(text.encode()) > 511 or not _PRINTABLE.fullmatch(text):
        raise ValueError("not a password: empty, longer than 511 bytes, or with control characters")
    return text


def password_hash(text: str) -> str | None:
    """A hash of crypt(5); None for a word that is none on purpose, which no password fits."""
    if text in _NO_HASH:
        return None
    if not text.isascii() or not _HASH.fullmatch(text):
        raise ValueError("not a hash of crypt(5): yescrypt, bcrypt, scrypt, SHA-512, SHA-256 or MD5")
    return text


def ssh_key(text: str) -> str:
    """A public key as in a line of authorized_keys, without options."""
    kind, _, rest = text.strip(" ").partition(" ")
    encoded, _, remark = rest.strip(" ").partition(" ")
    remark = remark.strip(" ")
    if not _KEY_TYPE.fullmatch(kind) or len(text) > 16384 or not _PRINTABLE.fullmatch(remark):
        raise ValueError("not a public SSH key: TYPE BASE64 [REMARK]")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not a public SSH key: its base64 is broken") from None
    # RFC 4253: the blob begins with its type, as a length of four bytes and the name.
    if blob[:4] != len(kind).to_bytes(4, "big") or blob[4 : 4 + len(kind)] != kind.encode():
        raise ValueError(f"not a public SSH key: it says {kind}, and is something else")
    return " ".join(part for part in (kind, encoded, remark) if part)
