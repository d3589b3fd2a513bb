# SPDX-License-Identifier: GPL-2.0-or-later
"""A direct writer of RPM v4 packages: lead, signature header, header, cpio payload.

`rpmbuild` costs 0.23–1.4 s a package, this 1–16 ms. It says what it is told: it checks nothing, so that
hostile packages can be made on purpose (`rpmvalues.Raw`). What a friendly caller writes is `tests.support.rpms`'s.
Layout and tag numbers: rpm's docs/manual/format.md and rpmtag.h.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import stat
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import zstandard

from tests.support.openpgp import Key
from tests.support.rpmvalues import (
    EQUAL,
    EXPAND,
    GHOST,
    INTERP,
    LESS,
    RELATIONS,
    RPMLIB,
    SCRIPTS,
    TRIGGER_TAGS,
    TRIGGERS,
    Dependency,
    File,
    Package,
    Tag,
    Trigger,
)

MAGIC = bytes.fromhex("8eade80100000000")
INT16, INT32, STRING, BIN, STRINGS, I18N = 3, 4, 6, 7, 8, 9
HEADER_SIGNATURES, HEADER_IMMUTABLE = 62, 63


def rpm_bytes(package: Package, *, key: Key | None = None, signed_at: int | None = None, expires: int = 0) -> bytes:
    """The whole file. `signed_at` (seconds since the epoch) and `expires` (seconds after it) shape the signature."""
    archive = b"".join(_cpio(package))
    payload, level = _compress(archive, package.compression, package.level)
    tags = _main_tags(package) | {
        1126: (STRING, level),
        5092: (STRINGS, [hashlib.sha256(payload).hexdigest()]),
        5093: (INT32, [8]),
        5097: (STRINGS, [hashlib.sha256(archive).hexdigest()]),
    }
    header = header_blob(_overridden(tags, package.raw.header), HEADER_IMMUTABLE)
    signatures: dict[int, Tag] = {
        269: (STRING, hashlib.sha1(header).hexdigest()),
        273: (STRING, hashlib.sha256(header).hexdigest()),
        1000: (INT32, [len(header) + len(payload)]),
        1004: (BIN, hashlib.md5(header + payload).digest()),
        1007: (INT32, [len(archive)]),
    }
    if key is not None:
        signatures[268] = (BIN, key.sign(header, created=signed_at, expires_after=expires))
    signature = header_blob(_overridden(signatures, package.raw.signature), HEADER_SIGNATURES)
    padding = b"\0" * (-len(signature) % 8)
    body = payload if package.raw.payload is None else package.raw.payload
    return b"".join((_lead(package), signature, padding, header, body))


def write_rpm(directory: Path, package: Package, *, key: Key | None = None) -> Path:
    """Write `package` under its usual name into an existing directory; gives the path."""
    path = directory / package.filename
    path.write_bytes(rpm_bytes(package, key=key))
    return path


def signed(data: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """The RPM `data`, which another program wrote, with a signature of its header, as `sign` gives one."""
    start = 96 + len(MAGIC)  # behind the lead
    count, size = struct.unpack_from(">II", data, start)
    end = start + 8 + 16 * count + size
    main = end + -(end - 96) % 8
    count, size = struct.unpack_from(">II", data, main + len(MAGIC))
    header = data[main : main + len(MAGIC) + 8 + 16 * count + size]
    old = _tags(data[96:end])
    kept = {number: tag for number, tag in old.items() if number in (269, 273, 1000, 1004, 1007)}
    signature = header_blob(kept | {268: (BIN, sign(header))}, HEADER_SIGNATURES)
    return b"".join((data[:96], signature, b"\0" * (-len(signature) % 8), data[main:]))


def _tags(blob: bytes) -> dict[int, Tag]:
    """The tags of a header structure that are a number, a text or bytes."""
    count = int.from_bytes(blob[8:12])
    store = blob[16 + 16 * count :]
    found: dict[int, Tag] = {}
    for index in range(count):
        number, kind, offset, amount = struct.unpack_from(">iiii", blob, 16 + 16 * index)
        if kind == INT32:
            found[number] = (kind, list(struct.unpack_from(f">{amount}I", store, offset)))
        elif kind == STRING:
            found[number] = (kind, store[offset : store.index(b"\0", offset)].decode())
        elif kind == BIN:
            found[number] = (kind, store[offset : offset + amount])
    return found


def header_blob(tags: Mapping[int, Tag], region: int) -> bytes:
    """A header structure with its magic and its region tag; `tags` are number → (type, value)."""
    entries, store = [], bytearray()
    for number in sorted(tags):
        kind, value = tags[number]
        data, count, alignment = _encoded(kind, value)
        store += b"\0" * (-len(store) % alignment)
        entries.append(struct.pack(">iiii", number, kind, len(store), count))
        store += data
    trailer = struct.pack(">iiii", region, BIN, -16 * (len(entries) + 1), 16)
    entries.insert(0, struct.pack(">iiii", region, BIN, len(store), 16))
    return MAGIC + struct.pack(">II", len(entries), len(store) + 16) + b"".join(entries) + bytes(store) + trailer


def _encoded(kind: int, value: object) -> tuple[bytes, int, int]:
    """Data, count and alignment of a tag's value."""
    if kind in (INT16, INT32):
        numbers = [value] if isinstance(value, int) else list(value)  # type: ignore[call-overload]
        letter, size = ("H", 2) if kind == INT16 else ("I", 4)
        return struct.pack(f">{len(numbers)}{letter}", *numbers), len(numbers), size
    if isinstance(value, bytes):
        return value, len(value), 1
    if isinstance(value, str):
        return _text(value) + b"\0", 1, 1
    strings = list(value)  # type: ignore[call-overload]
    return b"".join(_text(string) + b"\0" for string in strings), len(strings), 1


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _overridden(tags: Mapping[int, Tag], raw: Mapping[int, Tag | None]) -> dict[int, Tag]:
    merged: dict[int, Tag | None] = {**tags, **raw}
    return {number: tag for number, tag in merged.items() if tag is not None}


def _lead(package: Package) -> bytes:
    name = _text(f"{package.name}-{package.version}-{package.release}")[:65]
    return struct.pack(">4sBBhh66shh16x", b"\xed\xab\xee\xdb", 3, 0, 0, 1, name, 1, 5)


def _main_tags(package: Package) -> dict[int, Tag]:
    summary = package.summary or f"The package {package.name}"
    tags: dict[int, Tag] = {
        100: (STRINGS, ["C"]), 1000: (STRING, package.name), 1001: (STRING, package.version),
        1002: (STRING, package.release), 1004: (I18N, [summary]), 1005: (I18N, [package.description or summary]),
        1006: (INT32, package.build_time), 1007: (STRING, "localhost"), 1011: (STRING, package.vendor),
        1014: (STRING, package.license), 1016: (I18N, [package.group]), 1021: (STRING, "linux"),
        1022: (STRING, package.arch), 1064: (STRING, "4.18.0"), 1124: (STRING, "cpio"),
        1125: (STRING, package.compression if package.compression != "none" else "gzip"), 5062: (STRING, "utf-8"),
        1044: (STRING, package.source or f"{package.name}-{package.version}-{package.release}.src.rpm"),
        1009: (INT32, sum(len(item.content) for item in package.files.values() if not item.hardlink)),
    }  # fmt: skip
    if package.epoch is not None:
        tags[1003] = (INT32, package.epoch)
    if package.url:
        tags[1020] = (STRING, package.url)
    if package.prefixes:
        tags[1098] = (STRINGS, package.prefixes)
    if package.changelog:
        tags[1080] = (INT32, [when for when, _, _ in package.changelog])
        tags[1081] = (STRINGS, [who for _, who, _ in package.changelog])
        tags[1082] = (STRINGS, [text for _, _, text in package.changelog])
    tags |= _relation_tags(package)
    for phase, script in package.scripts.items():
        body, program, flags, _ = SCRIPTS[phase]
        if script.body:
            tags[body] = (STRING, script.body)
        single = len(script.interpreter) == 1
        tags[program] = (STRING, script.interpreter[0]) if single else (STRINGS, script.interpreter)
        if script.flags:
            tags[flags] = (INT32, script.flags)
    return tags | _trigger_tags(package.triggers) | _file_tags(package)


def _relation_tags(package: Package) -> dict[int, Tag]:
    own = [Dependency(package.name, package.evr, EQUAL)]
    if package.arch == "x86_64":
        own.append(Dependency(f"{package.name}(x86-64)", package.evr, EQUAL))
    implied = {"provides": own, "requires": _implied_requires(package)}
    tags: dict[int, Tag] = {}
    for kind, (names, versions, flags) in RELATIONS.items():
        wanted = dict.fromkeys((*package.relations.get(kind, ()), *implied.get(kind, ())))
        found = sorted(wanted, key=lambda dependency: (dependency.name, dependency.evr, dependency.flags))
        if found:
            tags[names] = (STRINGS, [dependency.name for dependency in found])
            tags[versions] = (STRINGS, [dependency.evr for dependency in found])
            tags[flags] = (INT32, [dependency.flags for dependency in found])
    return tags


def _implied_requires(package: Package) -> Iterable[Dependency]:
    """The rpmlib() features that the package uses, and the interpreters of its scripts."""
    relations = [dependency for kind in package.relations.values() for dependency in kind]
    versions = [package.version, package.release, *(dependency.evr for dependency in relations)]
    scripts = [*package.scripts.values(), *(trigger.script for trigger in package.triggers)]
    features = {
        "CompressedFileNames": ("3.0.4-1", bool(package.files)),
        "FileDigests": ("4.6.0-1", bool(package.files)),
        "PayloadFilesHavePrefix": ("4.0-1", True),
        "PayloadIsZstd": ("5.4.18-1", package.compression == "zstd"),
        "PayloadIsXz": ("5.2-1", package.compression == "xz"),
        "FileCaps": ("4.6.1-1", any(item.caps for item in package.files.values())),
        "TildeInVersions": ("4.10.0-1", any("~" in version for version in versions)),
        "CaretInVersions": ("4.15.0-1", any("^" in version for version in versions)),
        "RichDependencies": ("4.12.0-1", any(dependency.name.startswith("(") for dependency in relations)),
        "BuiltinLuaScripts": ("4.2.2-1", any(script.interpreter[0] == "<lua>" for script in scripts)),
        "ScriptletInterpreterArgs": ("4.0.3-1", any(len(script.interpreter) > 1 for script in scripts)),
        "ScriptletExpansion": ("4.9.0-1", any(script.flags & EXPAND for script in scripts)),
    }
    for feature, (version, used) in features.items():
        if used:
            yield Dependency(f"rpmlib({feature})", version, RPMLIB | LESS | EQUAL)
    if package.require_interpreters:
        for phase, script in package.scripts.items():
            if script.interpreter[0] != "<lua>":
                yield Dependency(script.interpreter[0], "", INTERP | SCRIPTS[phase][3])
        for trigger in package.triggers:
            if trigger.script.interpreter[0] != "<lua>":
                yield Dependency(trigger.script.interpreter[0], "", INTERP)


def _trigger_tags(triggers: Sequence[Trigger]) -> dict[int, Tag]:
    tags: dict[int, Tag] = {}
    for family, numbers in TRIGGER_TAGS.items():
        mine = [trigger for trigger in triggers if re.sub("trigger.*", "", trigger.kind) == family]
        if not mine:
            continue
        conditions = [
            (index, Dependency.parse(text) if not family else Dependency(text), TRIGGERS[trigger.kind[len(family) :]])
            for index, trigger in enumerate(mine)
            for text in trigger.conditions
        ]
        bodies, programs, flags, names, indexes, versions, senses, priorities = numbers
        tags[bodies] = (STRINGS, [trigger.script.body for trigger in mine])
        tags[programs] = (STRINGS, [trigger.script.interpreter[0] for trigger in mine])
        tags[flags] = (INT32, [trigger.script.flags for trigger in mine])
        tags[names] = (STRINGS, [dependency.name for _, dependency, _ in conditions])
        tags[indexes] = (INT32, [index for index, _, _ in conditions])
        tags[versions] = (STRINGS, [dependency.evr for _, dependency, _ in conditions])
        tags[senses] = (INT32, [dependency.flags | sense for _, dependency, sense in conditions])
        if priorities is not None:
            tags[priorities] = (INT32, [trigger.priority for trigger in mine])
    return tags


def _ordered(package: Package) -> list[str]:
    """Paths by bytes, as librpm's binary search wants them."""
    return sorted(package.files, key=_text)


def _inodes(package: Package) -> dict[str, int]:
    """Path → inode number within the package; names of one file share it."""
    numbers = {path: number for number, path in enumerate(_ordered(package), 1) if not package.files[path].hardlink}
    return {path: numbers[item.hardlink or path] for path, item in package.files.items()}


def _data(package: Package, item: File) -> bytes:
    return package.files[item.hardlink].content if item.hardlink else item.content


def _file_tags(package: Package) -> dict[int, Tag]:
    paths = _ordered(package)
    if not paths:
        return {}
    items, inodes = [package.files[path] for path in paths], _inodes(package)
    directories = list(dict.fromkeys(path[: path.rindex("/") + 1] for path in paths))
    position = {directory: index for index, directory in enumerate(directories)}
    tags: dict[int, Tag] = {
        1028: (INT32, [_size(package, item) for item in items]),
        1030: (INT16, [item.mode for item in items]),
        1033: (INT16, [item.rdev for item in items]),
        1034: (INT32, [package.build_time if item.mtime is None else item.mtime for item in items]),
        1035: (STRINGS, [_digest(package, item) for item in items]),
        1036: (STRINGS, [item.target for item in items]),
        1037: (INT32, [item.flags for item in items]),
        1039: (STRINGS, [item.user for item in items]),
        1040: (STRINGS, [item.group for item in items]),
        1045: (INT32, [item.verify for item in items]),
        1095: (INT32, [1] * len(items)),
        1096: (INT32, [inodes[path] for path in paths]),
        1097: (STRINGS, [item.lang for item in items]),
        1116: (INT32, [position[path[: path.rindex("/") + 1]] for path in paths]),
        1117: (STRINGS, [path[path.rindex("/") + 1 :] for path in paths]),
        1118: (STRINGS, directories),
        5011: (INT32, [8]),
    }
    if any(item.caps for item in items):
        tags[5010] = (STRINGS, [item.caps for item in items])
    return tags


def _size(package: Package, item: File) -> int:
    if stat.S_ISREG(item.mode):
        return len(_data(package, item))
    return len(_text(item.target)) if stat.S_ISLNK(item.mode) else 4096 if stat.S_ISDIR(item.mode) else 0


def _digest(package: Package, item: File) -> str:
    return hashlib.sha256(_data(package, item)).hexdigest() if stat.S_ISREG(item.mode) else ""


def _cpio(package: Package) -> Iterable[bytes]:
    """The payload. Names of one file are adjacent and the last one carries the data: rpm 4.18 reads nothing else."""
    raw, inodes = package.raw, _inodes(package)
    groups: dict[int, list[str]] = {}
    for path in _ordered(package):
        if not package.files[path].flags & GHOST and path not in raw.omit:
            groups.setdefault(inodes[path], []).append(path)
    for name, mode, data in raw.first:
        yield _cpio_entry(name, 0, mode, 1, 0, data)
    for inode, paths in groups.items():
        for path in paths:
            item = package.files[path]
            data = raw.contents.get(path, _text(item.target)) if stat.S_ISLNK(item.mode) else b""
            if stat.S_ISREG(item.mode) and path == paths[-1]:
                data = raw.contents.get(path, _data(package, item))
            mtime = package.build_time if item.mtime is None else item.mtime
            name, mode = raw.names.get(path, _text(f".{path}")), raw.modes.get(path, item.mode)
            yield _cpio_entry(name, inode, mode, len(paths), mtime, data, item.rdev)
    for name, mode, data in raw.last:
        yield _cpio_entry(name, 0, mode, 1, 0, data)
    yield _cpio_entry(b"TRAILER!!!", 0, 0, 1, 0, b"")


def _cpio_entry(name: bytes, inode: int, mode: int, links: int, mtime: int, data: bytes, rdev: int = 0) -> bytes:
    fields = (inode, mode, 0, 0, links, mtime, len(data), 0, 0, rdev >> 8, rdev & 0xFF, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % number for number in fields) + name + b"\0"
    return b"".join((head, b"\0" * (-len(head) % 4), data, b"\0" * (-len(data) % 4)))


def _compress(archive: bytes, compression: str, level: int) -> tuple[bytes, str]:
    """The compressed payload and PAYLOADFLAGS. "none" is gzip with stored blocks: rpm knows no bare cpio."""
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=level).compress(archive), str(level)
    if compression == "xz":
        return lzma.compress(archive, preset=level), str(level)
    return gzip.compress(archive, 0 if compression == "none" else level, mtime=0), str(level)
