# SPDX-License-Identifier: GPL-2.0-or-later
"""What single texts of a treefile may hold, as types that the model is made of.

These are the choke points for text that ends up in file names, refs, unit names and generated files: a text that
could end a line or leave a directory does not get past them.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, PlainSerializer, StrictInt, StrictStr

_REF = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.-]+)*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@:-]*")
_UNIT = re.compile(r"[A-Za-z0-9_.@:\\-]+")
_VARIABLE = re.compile(r"[A-Za-z0-9_]+")
#: Of a list: there may be several packages in it.
_LONGEST_ENTRY = 64 * 1024
#: To compile one takes time, and more than its length.
_LONGEST_EXPRESSION = 1000
_RESERVED_VARIABLES = ("releasever", "basearch")
#: rpm-ostree's (treefile.rs), and what it took before it had them: containers' files for the host.
_ADD_FILES_TOPS = ("usr/", "etc/", "bin/", "sbin/", "lib/", "lib64/", "exports/")


def check_ref(text: str) -> str:
    """A branch's name as libostree takes it, at most 255 bytes. Raises ValueError."""
    if not _REF.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise ValueError(f"not a branch name: {text!r} (letters, digits and . _ - in parts joined by /)")
    if len(text) > 255:
        raise ValueError("a branch name longer than 255 characters")
    return text


def split_packages(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Split each entry at white space, but for what stands in single quotes. Raises ValueError."""
    found: list[str] = []
    for entry in entries:
        outside = True
        if len(entry) > _LONGEST_ENTRY:
            raise ValueError(f"longer than {_LONGEST_ENTRY} characters")
        for part in entry.split("'"):
            found.extend(part.split() if outside else [part])
            outside = not outside
        # After an even number of quotes the last part was outside of them.
        if outside:
            raise ValueError(f"Missing terminating quote: {entry}")
    for package in found:
        if not package.strip() or not package.isprintable():
            raise ValueError(f"not a package: {package!r}")
    return tuple(found)


def _quote_packages(packages: tuple[str, ...]) -> list[str]:
    """The entries that `split_packages` reads as these packages."""
    return [f"'{package}'" if re.search(r"\s", package) else package for package in packages]


def _line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be one line of printable text")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or len(text) > 255:
        raise ValueError(f"not a name: {text!r} (letters, digits and . _ + @ : -)")
    return text


def _account(text: str) -> str:
    if ":" in text:
        raise ValueError(f"not a user or group: {text!r}")
    return _name(text)


def _unit(text: str) -> str:
    if not _UNIT.fullmatch(text) or text in (".", "..") or len(text) > 255:
        raise ValueError(f"not a systemd unit: {text!r}")
    return text


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise ValueError(f"not a variable's name: {text!r} (letters, digits and _)")
    if text in _RESERVED_VARIABLES:
        raise ValueError(f"cannot define reserved variable '{text}'")
    return text


def _repo_variable(text: str) -> str:
    if text in _RESERVED_VARIABLES:
        raise ValueError(f'Treefile repo var "{text}" invalid; use "{text}" field instead')
    if not _VARIABLE.fullmatch(text):
        raise ValueError(f"not a variable's name: {text!r} (letters, digits and _)")
    return text


def _file(text: str) -> str:
    if "://" in text:
        raise ValueError(f"must be a file on this machine, not an address: {text}")
    return _line(text)


def _relative(text: str) -> str:
    """A path below the root without a leading slash, `.` or `..`; one trailing slash is dropped."""
    path = _line(text).removesuffix("/")
    if path.startswith("/"):
        raise ValueError(f"must be relative to the root: {text}")
    if {"", ".", ".."} & set(path.split("/")):
        raise ValueError(f"must not contain '..', '.' or '//': {text}")
    return path


def _add_files_destination(text: str) -> str:
    path = text.lstrip("/")
    if not path.startswith(_ADD_FILES_TOPS) or path.startswith("usr/local/"):
        raise ValueError(f"Unsupported path in add-files: {text}")
    return _relative(path)


def _suffix(text: str) -> str:
    if len(text) != 1 or not text.isascii() or not text.isprintable():
        raise ValueError(f"Invalid automatic-version-suffix, must be exactly one ASCII character: {text}")
    return text


def _releasever(value: str | int) -> str:
    return _name(str(value))


def _remove_rule(rule: tuple[str, ...]) -> tuple[str, ...]:
    if len(rule) < 2:
        raise ValueError("expected a package and at least one regular expression")
    for text in rule[1:]:
        if len(text) > _LONGEST_EXPRESSION:
            raise ValueError(f"a regular expression longer than {_LONGEST_EXPRESSION} characters")
        try:
            re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"not a regular expression: {text!r} ({error})") from error
    return (_name(rule[0]), *rule[1:])


#: One line that a person reads.
Line = Annotated[StrictStr, AfterValidator(_line)]
#: A name of a package, repository or OS: one path component, no option.
Name = Annotated[StrictStr, AfterValidator(_name)]
#: A systemd unit, which may have escapes (`\\x2d`) in its name.
Unit = Annotated[StrictStr, AfterValidator(_unit)]
#: The name of a user or group: no colon, which ends it in /etc/passwd and /etc/group.
Account = Annotated[StrictStr, AfterValidator(_account)]
#: The same, or `*` for all of them.
AccountOrAll = Annotated[StrictStr, AfterValidator(lambda text: text if text == "*" else _account(text))]
#: A name in `variables`.
VariableName = Annotated[StrictStr, AfterValidator(_variable)]
#: A name in `repovars`.
RepoVariable = Annotated[StrictStr, AfterValidator(_repo_variable)]
#: A file beside the treefile that names it.
File = Annotated[StrictStr, AfterValidator(_file)]
#: A path in the root.
Relative = Annotated[StrictStr, AfterValidator(_relative)]
#: Where `add-files` may put files, without a leading slash.
Destination = Annotated[StrictStr, AfterValidator(_add_files_destination)]
Suffix = Annotated[StrictStr, AfterValidator(_suffix)]
#: A release; a number is taken as its digits.
Releasever = Annotated[StrictStr | StrictInt, AfterValidator(_releasever)]
#: A package, then regular expressions for its files.
RemoveRule = Annotated[tuple[StrictStr, ...], AfterValidator(_remove_rule)]
#: Packages, one a text.
Packages = Annotated[
    tuple[StrictStr, ...],
    AfterValidator(split_packages),
    PlainSerializer(_quote_packages, return_type=list[str], when_used="json"),
]
