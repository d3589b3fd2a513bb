# SPDX-License-Identifier: GPL-2.0-or-later
"""RPM files taken apart: where the payload lies, and a newer build of a package made out of its RPM.

Only what the benchmarks need: headers as rpm 4 writes them, payloads compressed with zstd.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Sequence

import zstandard

from benchmarks.measure import BenchmarkError
from tests.support.openpgp import Key
from tests.support.rpmvalues import EQUAL, GREATER, LESS, Tag
from tests.support.rpmwriter import (
    BIN,
    HEADER_IMMUTABLE,
    HEADER_SIGNATURES,
    I18N,
    INT16,
    INT32,
    STRING,
    STRINGS,
    header_blob,
)

_LEAD = 96
_WIDTHS = {INT16: "H", INT32: "I"}
NAME, VERSION, RELEASE, EPOCH, ARCH = 1000, 1001, 1002, 1003, 1022
COMPRESSOR = 1125
_SIZES, _MODES, _DIGESTS, _FLAGS, _DIRECTORY_OF, _NAMES, _DIRECTORIES = 1028, 1030, 1035, 1037, 1116, 1117, 1118
_PROVIDE_VERSIONS = 1113
_REQUIRES, _REQUIRE_FLAGS, _REQUIRE_VERSIONS = 1049, 1048, 1050
_PAYLOAD_DIGEST, _PAYLOAD_DIGEST_ALT = 5092, 5097

Value = str | bytes | list[int] | list[str]
#: Number → (type, value).
Tags = dict[int, tuple[int, Value]]


def split(data: bytes) -> tuple[bytes, bytes]:
    """The main header, with its magic, and the payload, still compressed."""
    start = (_end(data, _LEAD) + 7) // 8 * 8
    end = _end(data, start)
    return data[start:end], data[end:]


def _end(data: bytes, start: int) -> int:
    count, size = struct.unpack_from(">II", data, start + 8)
    return start + 16 + 16 * int(count) + int(size)


def read_tags(header: bytes) -> Tags:
    """The tags of a header but for its region. Raises BenchmarkError for a strange type."""
    count, _ = struct.unpack_from(">II", header, 8)
    store = header[16 + 16 * count :]
    tags: Tags = {}
    for index in range(count):
        number, kind, offset, length = struct.unpack_from(">iiii", header, 16 + 16 * index)
        if number in (HEADER_IMMUTABLE, HEADER_SIGNATURES):
            continue
        tags[number] = kind, _value(store, kind, offset, length)
    return tags


def _value(store: bytes, kind: int, offset: int, count: int) -> Value:
    if kind == BIN:
        return store[offset : offset + count]
    if kind in _WIDTHS:
        return list(struct.unpack_from(f">{count}{_WIDTHS[kind]}", store, offset))
    if kind == STRING:
        return _text(store[offset : store.index(b"\0", offset)])
    if kind in (STRINGS, I18N):
        return [_text(part) for part in store[offset:].split(b"\0", count)[:count]]
    raise BenchmarkError(f"a header has a tag of type {kind}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def decompress(payload: bytes) -> bytes:
    """The cpio archive of a payload compressed with zstd."""
    return zstandard.ZstdDecompressor().decompressobj().decompress(payload)


def bump(data: bytes, changed: str, key: Key) -> bytes:
    """The RPM of a newer build: the release one up, the last byte of the regular file `changed` another, signed anew.

    Raises BenchmarkError if the package has no such file, or one that can't be changed alone.
    """
    header, payload = split(data)
    tags = read_tags(header)
    if tags.get(COMPRESSOR, (STRING, "gzip"))[1] != "zstd":
        raise BenchmarkError(f"the payload of {text(tags, NAME)} is not compressed with zstd")
    archive = decompress(payload)
    index = paths(tags).index(changed)
    content = _content(archive, changed)
    digests = _strings(tags, _DIGESTS)
    if archive.count(content) != 1 or hashlib.sha256(content).hexdigest() != digests[index]:
        raise BenchmarkError(f"{changed} is there more than once, or is not what the header says")
    newer = content[:-1] + (b" " if content.endswith(b"\n") else b"\n")
    archive = archive.replace(content, newer)
    digests[index] = hashlib.sha256(newer).hexdigest()
    _bump_release(tags)
    payload = zstandard.ZstdCompressor(level=3).compress(archive)
    tags[_PAYLOAD_DIGEST] = STRINGS, [hashlib.sha256(payload).hexdigest()]
    tags[_PAYLOAD_DIGEST_ALT] = STRINGS, [hashlib.sha256(archive).hexdigest()]
    header = header_blob(tags, HEADER_IMMUTABLE)
    signatures: dict[int, Tag] = {
        268: (BIN, key.sign(header)),
        273: (STRING, hashlib.sha256(header).hexdigest()),
        1000: (INT32, [len(header) + len(payload)]),
        1007: (INT32, [len(archive)]),
    }
    signature = header_blob(signatures, HEADER_SIGNATURES)
    return b"".join((data[:_LEAD], signature, b"\0" * (-len(signature) % 8), header, payload))


def text(tags: Tags, number: int) -> str:
    """The value of a tag that is a text."""
    value = tags[number][1]
    assert isinstance(value, str)
    return value


def paths(tags: Tags) -> list[str]:
    """The paths of the package's files, in the header's order."""
    directories = _strings(tags, _DIRECTORIES)
    names = zip(_numbers(tags, _DIRECTORY_OF), _strings(tags, _NAMES), strict=True)
    return [f"{directories[at]}{name}" for at, name in names]


def plain_files(tags: Tags, within: str) -> list[str]:
    """Regular files below `within` with nothing special about them (%config, %doc, %ghost), and 64 bytes or more."""
    if _DIRECTORY_OF not in tags:
        return []
    columns = zip(paths(tags), _numbers(tags, _MODES), _numbers(tags, _FLAGS), _numbers(tags, _SIZES), strict=True)
    return [
        path
        for path, mode, flags, size in columns
        if path.startswith(within) and mode >> 12 == 0o10 and not flags and size >= 64
    ]


def exact_requires(tags: Tags) -> list[tuple[str, str]]:
    """The requirements of `name = version`: the two of them."""
    if _REQUIRES not in tags:
        return []
    flags = _numbers(tags, _REQUIRE_FLAGS)
    columns = zip(_strings(tags, _REQUIRES), flags, _strings(tags, _REQUIRE_VERSIONS), strict=True)
    return [(name, version) for name, sense, version in columns if sense & (LESS | GREATER | EQUAL) == EQUAL]


def newer_release(release: str) -> str:
    """The release with its first number one up: 1 → 2, 3.el9 → 4.el9, and 1 in front where there is none."""
    match = re.search(r"\d+", release)
    return f"{release}1" if match is None else f"{release[: match.start()]}{int(match[0]) + 1}{release[match.end() :]}"


def evr(tags: Tags) -> str:
    """`epoch:version-release` as provides say it: without an epoch if there is none."""
    epoch = f"{_numbers(tags, EPOCH)[0]}:" if EPOCH in tags else ""
    return f"{epoch}{text(tags, VERSION)}-{text(tags, RELEASE)}"


def _bump_release(tags: Tags) -> None:
    old = evr(tags)
    tags[RELEASE] = STRING, newer_release(text(tags, RELEASE))
    versions = _strings(tags, _PROVIDE_VERSIONS)
    tags[_PROVIDE_VERSIONS] = STRINGS, [evr(tags) if version == old else version for version in versions]


def _content(archive: bytes, path: str) -> bytes:
    """The data of a file in a cpio archive (newc)."""
    at = 0
    while archive[at : at + 6] == b"070701":
        size, length = int(archive[at + 54 : at + 62], 16), int(archive[at + 94 : at + 102], 16)
        start = at + (110 + length + 3) // 4 * 4
        if archive[at + 110 : at + 109 + length] == b"." + path.encode("utf-8", "surrogateescape"):
            return archive[start : start + size]
        at = start + (size + 3) // 4 * 4
    raise BenchmarkError(f"the payload has no {path}")


def _strings(tags: Tags, number: int) -> list[str]:
    value = tags[number][1]
    assert isinstance(value, list)
    return value  # type: ignore[return-value]


def _numbers(tags: Tags, number: int) -> Sequence[int]:
    value = tags[number][1]
    assert isinstance(value, list)
    return value  # type: ignore[return-value]
