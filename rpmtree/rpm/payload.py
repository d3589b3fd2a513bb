# SPDX-License-Identifier: GPL-2.0-or-later
"""The payload of an RPM as a stream of entries, never a whole file in memory.

What the entries mean, and whether they agree with the header, is the reader's business.
"""

from __future__ import annotations

import bz2
import io
import lzma
import os
import struct
import zlib
from binascii import unhexlify
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Protocol, cast

import zstandard

from rpmtree.errors import FetchError

_CHUNK = 1 << 17
#: Twice what the strongest presets of xz and zstd need; the stream says how much it wants.
_LARGEST_WINDOW = 1 << 27
_NEWC = b"070701"
_NEWC_CRC = b"070702"
#: rpm's own format for packages with files over 4 GiB: an index into the header in the place of metadata.
_STRIPPED = b"07070X"
_TRAILER = b"TRAILER!!!"
#: inode, mode, uid, gid, links, time, size, 4 device numbers, length of the name, checksum.
_FIELDS = struct.Struct(">13I")


class Digest(Protocol):
    """What `hashlib` gives."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cpio entry. `index` is into the header's files where the format says so, else None; `name` and
    `size` are then None, for the header knows them.
    """

    name: bytes | None
    mode: int
    size: int | None
    links: int
    inode: int
    index: int | None = None


class PayloadReader:
    """Reads entries in order: iterate, and read each entry's data with `read` before going on.

    `fd` stands at the payload; all bytes taken from it go through `digests`, whose sums are right after
    `finish`. Raises FetchError, naming `package`, where the stream is not a payload.
    """

    def __init__(self, fd: int, compressor: str, digests: tuple[Digest, ...], package: str) -> None:
        self._package = package
        self._raw = _Tee(fd, digests)
        self._stream = io.BufferedReader(_open(self._raw, compressor, package), 1 << 17)
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        while (entry := self._next()) is not None:
            yield entry

    def begin(self, size: int) -> None:
        """Say how many bytes of data the present entry has, where its format leaves that to the header."""
        self._left = size
        self._padding = -size % 4

    def read(self, limit: int = -1) -> bytes:
        """Up to `limit` bytes of the present entry's data; all that is left by default. b"" at its end."""
        wanted = self._left if limit < 0 else min(limit, self._left)
        data = self._exactly(wanted) if wanted else b""
        self._left -= len(data)
        return data

    def finish(self) -> None:
        """Take what follows the last entry, so that the digests cover the payload to its end."""
        self._raw.drain()

    def _next(self) -> Entry | None:
        if self._left:
            raise self._broken("an entry was not read to its end")
        # One read for the padding behind the last entry and the header: this runs for every file there is.
        padding, self._padding = self._padding, 0
        magic = self._exactly(padding + 6)[padding:]
        if magic == _STRIPPED:
            return self._stripped()
        if magic not in (_NEWC, _NEWC_CRC):
            raise self._broken("there is no cpio header where one should be")
        try:
            inode, mode, _, _, links, _, size, *_, length, _ = _FIELDS.unpack(unhexlify(self._exactly(104)))
        except ValueError:
            raise self._broken("a cpio header holds something other than numbers") from None
        if not 0 < length <= 4097:
            raise self._broken("a name is empty or longer than 4096 bytes")
        name = self._exactly(length + -(110 + length) % 4)[: length - 1]
        if name == _TRAILER:
            return None
        self.begin(size)
        return Entry(name, mode, size, links, inode)

    def _stripped(self) -> Entry:
        index = self._exactly(10)[:8]  # the header of 14 bytes is padded to 16
        try:
            return Entry(None, 0, None, 1, 0, int(index, 16))
        except ValueError:
            raise self._broken("a cpio header holds something other than a number") from None

    def _exactly(self, count: int) -> bytes:
        try:
            data = self._stream.read(count)
        except (EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError, ValueError) as error:
            raise self._broken(str(error)) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._broken(str(error)) from error
        if len(data) != count:
            raise self._broken("it ends too early")
        return data

    def _broken(self, why: str) -> FetchError:
        return FetchError(f"the payload of {self._package} is damaged: {why}")


class _Tee(io.RawIOBase):
    """The bytes of a descriptor, each also given to the digests."""

    def __init__(self, fd: int, digests: tuple[Digest, ...]) -> None:
        super().__init__()
        self._fd = fd
        self._digests = digests

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = os.read(self._fd, _CHUNK if size < 0 else size)
        for digest in self._digests:
            digest.update(data)
        return data

    def drain(self) -> None:
        """Read to the end."""
        while self.read(_CHUNK):
            pass


class _Decompressed(io.RawIOBase):
    """A stream through one of the standard library's decompressor objects."""

    def __init__(self, source: _Tee, make: Callable[[], Any]) -> None:
        super().__init__()
        self._source = source
        self._make = make
        self._decompressor = make()
        self._waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            data = self._decompress(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            if not self._waiting:
                self._waiting = self._source.read(_CHUNK)
                if not self._waiting:
                    return 0

    def _decompress(self, limit: int) -> bytes:
        if self._decompressor.eof:
            if not self._waiting:
                return b""
            self._decompressor = self._make()
        data: bytes = self._decompressor.decompress(self._waiting, limit)
        # zlib hands back what it did not take; lzma and bz2 keep it and say when they need more.
        self._waiting = getattr(self._decompressor, "unconsumed_tail", b"")
        if self._decompressor.eof:
            self._waiting = self._decompressor.unused_data
        return data


def _open(source: _Tee, compressor: str, package: str) -> io.RawIOBase:
    """The decompressed stream. `compressor` is RPMTAG_PAYLOADCOMPRESSOR; empty means gzip, as in rpm."""
    match compressor:
        case "zstd":
            decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
            reader: Any = decompressor.stream_reader(
                cast("IO[bytes]", source), read_size=_CHUNK, read_across_frames=True
            )
            return cast("io.RawIOBase", reader)
        case "gzip" | "":
            return _Decompressed(source, lambda: zlib.decompressobj(wbits=31))
        case "xz":
            return _Decompressed(source, lambda: lzma.LZMADecompressor(memlimit=_LARGEST_WINDOW))
        case "lzma":
            return _Decompressed(source, lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LARGEST_WINDOW))
        case "bzip2":
            return _Decompressed(source, bz2.BZ2Decompressor)
        case "identity" | "none":
            return _Decompressed(source, _Identity)
    raise FetchError(f"the payload of {package} is compressed by {compressor}, which is not supported")


class _Identity:
    """A decompressor object that does nothing."""

    eof = False

    def __init__(self) -> None:
        self.unconsumed_tail = b""

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Hand on at most `limit` bytes."""
        self.unconsumed_tail = data[limit:]
        return data[:limit]
