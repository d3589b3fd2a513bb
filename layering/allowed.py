# SPDX-License-Identifier: GPL-2.0-or-later
"""What may stand in an origin, a reference or a boot entry: lists of what is allowed, in one place.

Each function returns its argument, or raises ValueError with one line that names it. Who calls knows whether the
text came from a command line (UsageError) or from a file (ConfigError with its place).
"""

from __future__ import annotations

import re
import unicodedata

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+~^:-]*")
_SPEC = re.compile(r"[A-Za-z0-9_/@*?\[(%.+][A-Za-z0-9 ._+~^:()<>=*?\[\]@/%!,&{}'-]*")
_WILD_ONLY = re.compile(r"[*?\[\]. ]*")
_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_REPO_ID = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]*")
_COMMIT = re.compile(r"[0-9a-f]{64}")
_DIGEST = _COMMIT
#: Controls, formats (which turn the direction of text), surrogates, private use, line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_LONGEST_NAME, _LONGEST_SPEC, _LONGEST_BRANCH, _LONGEST_TEXT = 255, 512, 255, 1000


def package_name(text: str) -> str:
    """A package's name, alone or with version, release and architecture."""
    if len(text) > _LONGEST_NAME or not _NAME.fullmatch(text):
        raise ValueError(f"not a package name: {_shown(text)}")
    return text


def package_spec(text: str) -> str:
    """What may be asked for: a name, a NEVRA, something provided (`perl(X)`, `x >= 1`), `/path`, `@group`."""
    if len(text) > _LONGEST_SPEC or not _SPEC.fullmatch(text) or text.endswith(" ") or _WILD_ONLY.fullmatch(text):
        raise ValueError(f"not a package request: {_shown(text)}")
    if text.startswith("/") and ".." in text.split("/"):
        raise ValueError(f"not a path without `..`: {_shown(text)}")
    return text


def repo_id(text: str) -> str:
    """The id of a package repository."""
    if len(text) > _LONGEST_NAME or not _REPO_ID.fullmatch(text):
        raise ValueError(f"not a repository id: {_shown(text)}")
    return text


def remote_name(text: str) -> str:
    """The name of an OSTree remote; also what a stateroot may be called."""
    if len(text) > _LONGEST_NAME or not _COMPONENT.fullmatch(text):
        raise ValueError(f"not the name of a remote: {_shown(text)}")
    return text


def branch_name(text: str) -> str:
    """An OSTree branch: words with `/` between them."""
    if len(text) > _LONGEST_BRANCH or not all(map(_COMPONENT.fullmatch, text.split("/"))):
        raise ValueError(f"not the name of a branch: {_shown(text)}")
    return text


def commit(text: str) -> str:
    """A commit's checksum."""
    if not _COMMIT.fullmatch(text):
        raise ValueError(f"not a commit (64 digits 0-9a-f): {_shown(text)}")
    return text


def is_commit(text: str) -> bool:
    """Whether `text` has the form of a commit's checksum."""
    return _COMMIT.fullmatch(text) is not None


def digest(text: str) -> str:
    """A SHA-256 in hexadecimal."""
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"not a SHA-256 (64 digits 0-9a-f): {_shown(text)}")
    return text


def free_text(text: str) -> str:
    """A line for people: any letters, nothing that is not seen."""
    if not text.strip() or len(text) > _LONGEST_TEXT or any(unicodedata.category(c) in _UNSEEN for c in text):
        raise ValueError(f"not a line of at most {_LONGEST_TEXT} visible characters: {_shown(text)}")
    return text


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else f"{text[:77]}...") if text else "(empty)"
