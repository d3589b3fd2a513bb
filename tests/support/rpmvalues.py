# SPDX-License-Identifier: GPL-2.0-or-later
"""What one RPM says, as values: files, scripts, triggers, dependencies, and raw overrides. No input or output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# RPMFILE_* (rpmfiles.h)
CONFIG, DOC, MISSINGOK, NOREPLACE, GHOST, LICENSE, README, ARTIFACT = 1, 2, 8, 16, 64, 128, 256, 4096
# RPMSENSE_* (rpmds.h)
LESS, GREATER, EQUAL = 2, 4, 8
POSTTRANS, PREREQ, PRETRANS, INTERP, PRE, POST, PREUN, POSTUN = 32, 64, 128, 256, 512, 1024, 2048, 4096
TRIGGERIN, TRIGGERUN, TRIGGERPOSTUN, RPMLIB, TRIGGERPREIN = 1 << 16, 1 << 17, 1 << 18, 1 << 24, 1 << 25
TRIGGERS = {
    "triggerin": TRIGGERIN, "triggerun": TRIGGERUN, "triggerpostun": TRIGGERPOSTUN, "triggerprein": TRIGGERPREIN,
}  # fmt: skip
# RPMSCRIPT_FLAG_* (rpmscript.h): %post -e, -q, -c
EXPAND, QFORMAT, CRITICAL = 1, 2, 4

#: Relation → tags of its names, versions, flags.
RELATIONS = {
    "provides": (1047, 1113, 1112), "requires": (1049, 1050, 1048), "conflicts": (1054, 1055, 1053),
    "obsoletes": (1090, 1115, 1114), "recommends": (5046, 5047, 5048), "suggests": (5049, 5050, 5051),
    "supplements": (5052, 5053, 5054), "enhances": (5055, 5056, 5057),
}  # fmt: skip
#: Phase → tags of body, interpreter, flags, and the RPMSENSE bit of what it needs.
SCRIPTS = {
    "pre": (1023, 1085, 5020, PRE), "post": (1024, 1086, 5021, POST), "preun": (1025, 1087, 5022, PREUN),
    "postun": (1026, 1088, 5023, POSTUN), "pretrans": (1151, 1153, 5024, PRETRANS),
    "posttrans": (1152, 1154, 5025, POSTTRANS), "verifyscript": (1079, 1091, 5026, 1 << 13),
}  # fmt: skip
#: Family → tags of bodies, interpreters, flags, condition names, indexes, versions, senses, priorities.
TRIGGER_TAGS = {
    "": (1065, 1092, 5027, 1066, 1069, 1067, 1068, None),
    "file": (5066, 5067, 5068, 5069, 5070, 5071, 5072, 5084),
    "transfile": (5076, 5077, 5078, 5079, 5080, 5081, 5082, 5085),
}
_SENSES = {"<": LESS, ">": GREATER, "=": EQUAL, "<=": LESS | EQUAL, ">=": GREATER | EQUAL}
Tag = tuple[int, int | str | bytes | Sequence[int] | Sequence[str]]


@dataclass(frozen=True, slots=True)
class File:
    """What a package owns at one path. `mode` has the type bits; `hardlink` names another path of the package."""

    mode: int
    content: bytes = b""
    user: str = "root"
    group: str = "root"
    mtime: int | None = None
    flags: int = 0
    target: str = ""
    caps: str = ""
    lang: str = ""
    hardlink: str = ""
    rdev: int = 0
    verify: int = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Script:
    """A scriptlet's body, its interpreter with arguments, its EXPAND/QFORMAT/CRITICAL bits."""

    body: str
    interpreter: tuple[str, ...] = ("/bin/sh",)
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Trigger:
    """`kind` is triggerin, filetriggerun, transfiletriggerin …; conditions are dependencies or path prefixes."""

    kind: str
    conditions: tuple[str, ...]
    script: Script
    priority: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Dependency:
    """A name (or a rich dependency in parentheses), a comparison and RPMSENSE bits."""

    name: str
    evr: str = ""
    flags: int = 0

    @classmethod
    def parse(cls, text: str, extra: int = 0) -> Dependency:
        """From `foo`, `foo >= 1:2.0-3` or `(a if b)`; `extra` adds RPMSENSE bits."""
        if text.startswith("("):
            return cls(text, "", extra)
        match = re.fullmatch(r"(\S+)(?:\s*([<>]=?|=)\s*(\S+))?", text)
        if not match:
            raise ValueError(f"not a dependency: {text!r}")
        name, operator, evr = match.groups()
        return cls(name, evr or "", extra | _SENSES.get(operator, 0))


@dataclass(frozen=True, slots=True)
class Raw:
    """What a hostile or damaged package says instead. Digests still match what is written."""

    #: Path → name bytes in the cpio stream (`..`, absolute, NUL bytes …).
    names: Mapping[str, bytes] = field(default_factory=dict)
    #: Path → data in the cpio stream, while the header keeps the File's digest and size.
    contents: Mapping[str, bytes] = field(default_factory=dict)
    #: Path → st_mode in the cpio stream.
    modes: Mapping[str, int] = field(default_factory=dict)
    #: Paths that the header has and the payload has not.
    omit: frozenset[str] = frozenset()
    #: Entries of the payload that the header has not: cpio name, st_mode, data; before and after the others.
    first: tuple[tuple[bytes, int, bytes], ...] = ()
    last: tuple[tuple[bytes, int, bytes], ...] = ()
    #: Tag number → value in the header (None removes the tag).
    header: Mapping[int, Tag | None] = field(default_factory=dict)
    signature: Mapping[int, Tag | None] = field(default_factory=dict)
    #: The compressed payload itself, put in place after all digests are made.
    payload: bytes | None = None


@dataclass(frozen=True, slots=True)
class Package:
    """Everything that one RPM says. `relations` are by the keys of RELATIONS, `scripts` by those of SCRIPTS."""

    name: str
    version: str = "1.0"
    release: str = "1"
    epoch: int | None = None
    arch: str = "noarch"
    summary: str = ""
    description: str = ""
    license: str = "GPL-2.0-or-later"
    url: str = ""
    vendor: str = "Strata tests"
    source: str = ""
    group: str = "Unspecified"
    build_time: int = 1_700_000_000
    files: Mapping[str, File] = field(default_factory=dict)
    relations: Mapping[str, Sequence[Dependency]] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    changelog: tuple[tuple[int, str, str], ...] = ()
    prefixes: tuple[str, ...] = ()
    compression: str = "zstd"
    level: int = 1
    #: Whether scripts add Requires on their interpreters, as rpmbuild does.
    require_interpreters: bool = True
    raw: Raw = field(default_factory=Raw)

    @property
    def evr(self) -> str:
        """`epoch:version-release`."""
        return f"{'' if self.epoch is None else f'{self.epoch}:'}{self.version}-{self.release}"

    @property
    def filename(self) -> str:
        """The usual file name."""
        return f"{self.name}-{self.version}-{self.release}.{self.arch}.rpm"
