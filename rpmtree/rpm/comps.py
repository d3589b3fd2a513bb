# SPDX-License-Identifier: GPL-2.0-or-later
"""Package groups (comps.xml): what `@group` and `@^environment` in a request stand for."""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

import zstandard

from rpmtree.errors import FetchError
from rpmtree.rpm.metadata import parse_xml

_LARGEST = 64 << 20
#: Optional packages are left out, as dnf does, and those wanted only together with another one.
_KINDS = ("mandatory", "default")


@dataclass(slots=True)
class Groups:
    """Groups by id and by lower-case name, of all repositories together."""

    packages: dict[str, list[str]] = field(default_factory=dict)
    environments: dict[str, list[str]] = field(default_factory=dict)

    def expand(self, spec: str) -> list[str] | None:
        """The names of packages that `@group` or `@^environment` stands for; None if there is no such group."""
        if spec.startswith("@^"):
            groups = self.environments.get(spec[2:].lower())
            return None if groups is None else [name for group in groups for name in self.packages.get(group, [])]
        return self.packages.get(spec[1:].lower())


def read_groups(files: Sequence[Path]) -> Groups:
    """Read comps files, compressed or not. Raises FetchError."""
    found = Groups()
    for path in files:
        root = parse_xml(_content(path), str(path))
        for group in root.findall("group"):
            names = [
                (requested.text or "").strip()
                for requested in group.iterfind("packagelist/packagereq")
                if requested.get("type", "mandatory") in _KINDS
            ]
            for key in _names(group):
                found.packages.setdefault(key, []).extend(names)
        for environment in root.findall("environment"):
            groups = [(member.text or "").strip().lower() for member in environment.iterfind("grouplist/groupid")]
            for key in _names(environment):
                found.environments.setdefault(key, []).extend(groups)
    return found


def _names(element: Element) -> set[str]:
    return {text.strip().lower() for text in (element.findtext("id"), element.findtext("name")) if text}


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            start = file.read(6)
            file.seek(0)
            if start.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=file) as unpacked:
                    data = unpacked.read(_LARGEST + 1)
            elif start.startswith(b"\xfd7zXZ\0"):
                with lzma.LZMAFile(file) as unpacked:
                    data = unpacked.read(_LARGEST + 1)
            elif start.startswith(b"\x28\xb5\x2f\xfd"):
                data = zstandard.ZstdDecompressor().stream_reader(file).read(_LARGEST + 1)
            else:
                data = file.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise FetchError(f"{path} can't be read: {error}") from error
    if len(data) > _LARGEST:
        raise FetchError(f"{path} is unpacked larger than {_LARGEST} bytes")
    return data
