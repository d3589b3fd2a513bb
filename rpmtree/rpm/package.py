# SPDX-License-Identifier: GPL-2.0-or-later
"""One RPM header as a value: what the package is, owns and runs. Payloads are `rpmtree.rpm.payload`'s."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from rpmtree.rpm.nevra import Nevra

# Bits of RPMTAG_FILEFLAGS (rpmfileAttrs in rpm's rpmfiles.h).
FILE_DOC = 1 << 1
FILE_GHOST = 1 << 6
# Bits of the *FLAGS tags of scripts (rpmscriptFlags in rpm's rpmscript.h).
SCRIPT_EXPAND = 1 << 0
SCRIPT_QFORMAT = 1 << 1


@dataclass(frozen=True, slots=True)
class File:
    """A path that a package owns. `mode` has the type bits; `digest` is hexadecimal, empty where there is none."""

    path: str
    mode: int
    user: str
    group: str
    size: int
    digest: str
    flags: int
    caps: str
    target: str
    lang: str
    #: Names of one file within a package share this number; 0 on a file with a single name.
    link_group: int

    @property
    def is_dir(self) -> bool:
        """Whether the path is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_ghost(self) -> bool:
        """Whether the payload leaves the path out (%ghost)."""
        return bool(self.flags & FILE_GHOST)

    @property
    def is_doc(self) -> bool:
        """Whether the path is documentation (%doc)."""
        return bool(self.flags & FILE_DOC)


@dataclass(frozen=True, slots=True)
class Scriptlet:
    """A script of a package. `phase` is pre, post, posttrans, pretrans, preun, postun or a trigger's kind.

    `interpreter` is the argument vector of `-p`: ("/bin/sh",), ("<lua>",), ("/sbin/ldconfig",) …; a script
    whose body is empty runs the interpreter alone. `flags` holds SCRIPT_* bits.
    """

    phase: str
    interpreter: tuple[str, ...]
    body: str
    flags: int = 0


@dataclass(frozen=True, slots=True)
class TriggerCondition:
    """For a package trigger: the package's name and, where `sense` is not 0, a version to compare with
    (RPMSENSE_LESS 2, GREATER 4, EQUAL 8). For a file trigger: `name` is a path prefix.
    """

    name: str
    sense: int = 0
    evr: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A script that other packages or files set off; `script.phase` is triggerin, triggerprein, triggerun,
    triggerpostun, filetriggerin, filetriggerun, transfiletriggerin, … ; higher `priority` runs first.
    """

    script: Scriptlet
    conditions: tuple[TriggerCondition, ...]
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Package:
    """What one RPM header says. `header` is what rpm.hdr.unload() gives, signature tags merged in."""

    nevra: Nevra
    header: bytes
    build_time: int
    source_rpm: str
    files: Sequence[File]
    scriptlets: tuple[Scriptlet, ...]
    triggers: tuple[Trigger, ...]
    #: RPMTAG_INSTPREFIXES; relocatable packages see it as RPM_INSTALL_PREFIXn.
    prefixes: tuple[str, ...] = ()
    #: Bytes of all files.
    size: int = 0

    @property
    def name(self) -> str:
        """The package's name."""
        return self.nevra.name

    def files_below(self, prefix: str) -> Sequence[File]:
        """The files whose paths begin with `prefix`."""
        if isinstance(self.files, LazyFiles):
            return self.files.below(prefix)
        return [file for file in self.files if file.path.startswith(prefix)]


class LazyFiles(Sequence[File]):
    """The files of an `rpm.hdr`, read when they are first looked at: of an installed package most never are."""

    __slots__ = ("_files", "_header")

    def __init__(self, header: Any) -> None:
        self._header = header
        self._files: tuple[File, ...] | None = None

    def _all(self) -> tuple[File, ...]:
        if self._files is None:
            self._files = files_of(self._header)
        return self._files

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[File]:
        return iter(self._all())

    @overload
    def __getitem__(self, index: int) -> File: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[File]: ...
    def __getitem__(self, index: int | slice) -> File | Sequence[File]:
        return self._all()[index]

    def below(self, prefix: str) -> Sequence[File]:
        """The files whose paths begin with `prefix`; no others are read."""
        if self._files is None:
            return files_of(self._header, prefix)
        return [file for file in self._files if file.path.startswith(prefix)]


_SCRIPTS = {
    "pretrans": ("PRETRANS", "PRETRANSPROG", "PRETRANSFLAGS"),
    "pre": ("PREIN", "PREINPROG", "PREINFLAGS"),
    "post": ("POSTIN", "POSTINPROG", "POSTINFLAGS"),
    "preun": ("PREUN", "PREUNPROG", "PREUNFLAGS"),
    "postun": ("POSTUN", "POSTUNPROG", "POSTUNFLAGS"),
    "posttrans": ("POSTTRANS", "POSTTRANSPROG", "POSTTRANSFLAGS"),
}
#: Tag family → the kind by the sense bits of its conditions (RPMSENSE_TRIGGER* in rpm's rpmds.h).
_TRIGGERS = {
    "TRIGGER": {
        1 << 25: "triggerprein",
        1 << 16: "triggerin",
        1 << 17: "triggerun",
        1 << 18: "triggerpostun",
    },
    "FILETRIGGER": {1 << 16: "filetriggerin", 1 << 17: "filetriggerun", 1 << 18: "filetriggerpostun"},
    "TRANSFILETRIGGER": {
        1 << 16: "transfiletriggerin",
        1 << 17: "transfiletriggerun",
        1 << 18: "transfiletriggerpostun",
    },
}
_COMPARISON = 2 | 4 | 8


def from_header(header: Any) -> Package:
    """Read an `rpm.hdr`."""
    return Package(
        nevra=nevra_of(header),
        header=header.unload(),
        build_time=header["BUILDTIME"] or 0,
        source_rpm=_text(header["SOURCERPM"]),
        files=files_of(header),
        size=size_of(header),
        scriptlets=scriptlets_of(header),
        triggers=triggers_of(header),
        prefixes=tuple(_text(prefix) for prefix in header["INSTPREFIXES"]),
    )


def installed_from_header(header: Any, blob: bytes) -> Package:
    """Read the `rpm.hdr` of a package that is installed, of which `blob` is what unload() gives.

    Its own scripts, which have run, are left out; its files are read when they are looked at.
    """
    return Package(
        nevra=nevra_of(header),
        header=blob,
        build_time=header["BUILDTIME"] or 0,
        source_rpm=_text(header["SOURCERPM"]),
        files=LazyFiles(header),
        size=size_of(header),
        scriptlets=(),
        triggers=triggers_of(header),
    )


def size_of(header: Any) -> int:
    """The bytes of an `rpm.hdr`'s files (RPMTAG_SIZE)."""
    return int(header["LONGSIZE"] or header["SIZE"] or 0)


def nevra_of(header: Any) -> Nevra:
    """Name, epoch, version, release and architecture of an `rpm.hdr`."""
    return Nevra(
        _text(header["NAME"]),
        header["EPOCH"] or 0,
        _text(header["VERSION"]),
        _text(header["RELEASE"]),
        _text(header["ARCH"]),
    )


def provides_of(header: Any) -> tuple[str, ...]:
    """What an `rpm.hdr` provides: `name` or `name = [epoch:]version[-release]`."""
    return tuple(map(_text, header["PROVIDENEVRS"]))


def files_of(header: Any, prefix: str = "") -> tuple[File, ...]:
    """The files of an `rpm.hdr` whose paths begin with `prefix`, in the header's order."""
    directories = [_text(name) for name in header["DIRNAMES"]]
    fitting = {at for at, name in enumerate(directories) if name.startswith(prefix) or prefix.startswith(name)}
    if not fitting:
        return ()
    indexes = header["DIRINDEXES"]
    chosen = [at for at, index in enumerate(indexes) if index in fitting]
    count = len(header["BASENAMES"])
    sizes, caps = header["LONGFILESIZES"] or header["FILESIZES"], header["FILECAPS"] or [""] * count
    inodes, devices, modes = header["FILEINODES"], header["FILEDEVICES"], header["FILEMODES"]
    names, users, owners = header["BASENAMES"], header["FILEUSERNAME"], header["FILEGROUPNAME"]
    digests, flags, targets, langs = (header[f"FILE{tag}"] for tag in ("DIGESTS", "FLAGS", "LINKTOS", "LANGS"))
    if {len(column) for column in (indexes, sizes, caps, inodes, devices, modes, users, owners, digests, flags,
                                   targets, langs)} != {count}:  # fmt: skip
        raise ValueError("the header's columns of files have different lengths")
    groups = _link_groups(list(zip(devices, inodes, modes, strict=True)))
    found = (
        File(
            path=directories[indexes[at]] + _text(names[at]), mode=modes[at] & 0xFFFF,
            user=_text(users[at]), group=_text(owners[at]), size=sizes[at], digest=_text(digests[at]),
            flags=flags[at], caps=_text(caps[at]), target=_text(targets[at]), lang=_text(langs[at]),
            link_group=groups[at],
        )
        for at in chosen
    )  # fmt: skip
    return tuple(file for file in found if file.path.startswith(prefix)) if prefix else tuple(found)


def _link_groups(identities: list[tuple[int, int, int]]) -> list[int]:
    """A number for each file: 0, or one shared by the names of one inode."""
    seen: dict[tuple[int, int], int] = {}
    for device, inode, mode in identities:
        if stat.S_ISREG(mode & 0xFFFF):
            seen[device, inode] = seen.get((device, inode), 0) + 1
    numbers = {identity: number for number, identity in enumerate((i for i, n in seen.items() if n > 1), start=1)}
    return [numbers.get((device, inode), 0) if stat.S_ISREG(mode & 0xFFFF) else 0
            for device, inode, mode in identities]  # fmt: skip


def scriptlets_of(header: Any) -> tuple[Scriptlet, ...]:
    """The scripts of an `rpm.hdr` that are not triggers."""
    found = []
    for phase, (body_tag, program_tag, flags_tag) in _SCRIPTS.items():
        program = header[program_tag]
        if program:
            words = (program,) if isinstance(program, str | bytes) else tuple(program)
            found.append(Scriptlet(phase, tuple(map(_text, words)), _text(header[body_tag]), header[flags_tag] or 0))
    return tuple(found)


def triggers_of(header: Any) -> tuple[Trigger, ...]:
    """The triggers and file triggers of an `rpm.hdr`."""
    return tuple(trigger for family in _TRIGGERS for trigger in _family_of(header, family))


def _family_of(header: Any, family: str) -> list[Trigger]:
    bodies = header[f"{family}SCRIPTS"]
    if not bodies:
        return []
    flags = header[f"{family}SCRIPTFLAGS"] or [0] * len(bodies)
    priorities = header[f"{family}PRIORITIES"] if family != "TRIGGER" else []
    conditions: dict[tuple[int, str], list[TriggerCondition]] = {}
    for name, sense, evr, index in zip(
        header[f"{family}NAME"], header[f"{family}FLAGS"], header[f"{family}VERSION"], header[f"{family}INDEX"],
        strict=True,
    ):  # fmt: skip
        for bit, kind in _TRIGGERS[family].items():
            if sense & bit:
                condition = TriggerCondition(_text(name), sense & _COMPARISON, _text(evr))
                conditions.setdefault((index, kind), []).append(condition)
    programs = header[f"{family}SCRIPTPROG"]
    return [
        Trigger(
            Scriptlet(kind, (_text(programs[index]),), _text(bodies[index]), flags[index]),
            tuple(wanted),
            priorities[index] if priorities else 0,
        )
        for (index, kind), wanted in sorted(conditions.items())
    ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
