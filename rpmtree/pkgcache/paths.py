# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a package's path belongs in a tree that OSTree deploys. Pure.

The rules are those of rpm-ostree's importer (rust/src/importer.rs), but for /usr/local and /opt, whose
place depends on the treefile: they are kept apart here, and placed when a root is put together.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

MAX_PATH = 4096
MAX_NAME = 255
#: Directories within directories: libostree pulls no tree that is deeper than 256 (OSTREE_MAX_RECURSION).
MAX_DEPTH = 250
_TOP_KEPT = {"usr", "etc", "bin", "sbin", "lib", "lib64", "lib32", "libx32"}
#: Directories that only `filesystem` ships; their content is made anew for every deployment.
_TOP_SKELETON = {"dev", "proc", "sys", "home", "root", "srv", "mnt", "media", "tmp", "sysroot", "ostree"}
#: Packages whose files outside the allowed places are left out without a word, as rpm-ostree does.
QUIETLY_SKIPPED = {"filesystem", "rootfiles", "base-files"}
_PREFIXES = (
    ("boot", "usr/lib/ostree-boot"),
    ("opt", "usr/lib/opt"),
    ("var/lib/alternatives", "usr/lib/alternatives"),
    ("var/lib/vagrant", "usr/lib/vagrant"),
)
#: A policy's modules, which libostree wants where the policy is; rpm-ostree does so with those of `targeted` alone.
#: The directory itself is for root only, and that of the policy for everyone.
_MODULES = re.compile(r"var/lib/selinux/(?=[^/]+/)")
_IN_VAR_SKIPPED = re.compile(r"var/lib/(rpm|selinux)")


#: What nearly all paths look like: ASCII, no component that begins with a dot.
_PLAIN = re.compile(r"(?:/(?!\.)[!-.0-~]{1,255})+")


class Fate(Enum):
    """What becomes of a path."""

    KEEP = auto()  # it goes into the tree, at `Placement.path`
    TMPFILES = auto()  # a directory or link made at boot: a tmpfiles.d line
    SKIP = auto()  # the system has its own
    UNSUPPORTED = auto()  # no place for it: an error unless the package is one of QUIETLY_SKIPPED


class Placement(NamedTuple):
    """Where a path goes; `path` has no leading slash and is only meant for KEEP and TMPFILES."""

    fate: Fate
    path: str = ""


def checked(path: str) -> str:
    """An absolute path without its leading slash. Raises ValueError, saying why, if it isn't a plain one."""
    if _PLAIN.fullmatch(path) and len(path) <= MAX_PATH and path.count("/") <= MAX_DEPTH:
        return path[1:]
    if not path.startswith("/"):
        raise ValueError("is not absolute")
    if "\0" in path:
        raise ValueError("holds a NUL byte")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_PATH:
        raise ValueError(f"is longer than {MAX_PATH} bytes")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ValueError("is not UTF-8, which OSTree asks of names") from None
    relative = path[1:]
    if relative.count("/") >= MAX_DEPTH:
        raise ValueError(f"is deeper than {MAX_DEPTH} directories")
    for part in relative.split("/"):
        if part in ("", ".", ".."):
            raise ValueError(f"has the component “{part}”")
        if len(part.encode()) > MAX_NAME:
            raise ValueError(f"has a component longer than {MAX_NAME} bytes")
        if part.startswith(".wh."):
            raise ValueError("has a name that layered images read as a deletion")
    return relative


def place(relative: str) -> Placement:
    """The place of a checked path (no leading slash)."""
    if relative.startswith(("usr/", "etc/")):  # nearly all
        return Placement(Fate.KEEP, relative)
    for source, destination in _PREFIXES:
        if relative == source or relative.startswith(f"{source}/"):
            return Placement(Fate.KEEP, destination + relative[len(source) :])
    if (modules := _MODULES.match(relative)) is not None:
        return Placement(Fate.KEEP, f"etc/selinux/{relative[modules.end() :]}")
    top = relative.partition("/")[0]
    if top in _TOP_KEPT:
        return Placement(Fate.KEEP, relative)
    if top in ("var", "run"):
        if relative == top or _IN_VAR_SKIPPED.match(relative):
            return Placement(Fate.SKIP)
        return Placement(Fate.TMPFILES, relative)
    if top in _TOP_SKELETON and "/" not in relative:
        return Placement(Fate.SKIP)
    return Placement(Fate.UNSUPPORTED)


def tmpfiles_line(path: str, mode: int, user: str, group: str, target: str = "") -> str:
    """The tmpfiles.d line for a directory, or for a link to `target`, below /var or /run (tmpfiles.d(5))."""
    absolute = "/" + path
    if absolute.startswith("/var/run/"):
        absolute = absolute[len("/var") :]
    if target:
        return f"L {quoted(absolute)} - - - - {quoted(target)}"
    return f"d {quoted(absolute)} {mode & 0o7777:04o} {quoted(user)} {quoted(group)} - -"


def quoted(text: str) -> str:
    """A field of a tmpfiles.d line: specifiers doubled, odd names in quotes with C escapes."""
    doubled = text.replace("%", "%%")
    if re.fullmatch(r"[A-Za-z0-9/_.,:@%+=^~-]+", doubled):
        return doubled
    escaped = "".join(
        f"\\x{ord(char):02x}" if ord(char) < 0x20 or ord(char) == 0x7F else f"\\{char}" if char in '\\"' else char
        for char in doubled
    )
    return f'"{escaped}"'


def ref_of(name: str, evra: str, choices: str = "") -> str:
    """The branch of a package in the cache: rpm-ostree's scheme, where `_HH` stands for other characters.

    One that was imported with choices has a branch beside it, by the choices' name.
    """
    return f"{f'strata/pkg/{choices}' if choices else 'rpmostree/pkg'}/{_escaped(name)}/{_escaped(evra)}"


def local_ref(sha256: str) -> str:
    """The branch of a package that came as the file with this digest."""
    return f"rpmostree/local/{sha256}"


def _escaped(text: str) -> str:
    return re.sub(
        r"[^A-Za-z0-9.-]",
        lambda match: "__" if match.group() == "_" else "".join(f"_{byte:02X}" for byte in match.group().encode()),
        text,
    )
