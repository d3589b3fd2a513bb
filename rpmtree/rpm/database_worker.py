# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes an rpm database of given headers; run as a program of its own by `rpmtree.rpm.database`.

A process of its own, since rpm keeps macros and a root directory for the whole process, takes chroot(2), and gives
back little of the memory it takes. It imports nothing of ours, and little of Python's, so that it starts fast wherever
it lies: half its time would go into json and pathlib.

    database_worker.py ROOT BINDINGS < frames > answer

BINDINGS is the directory in which `rpm` is found. ROOT is a directory that is empty but for "db", which is empty, too,
or holds the database that is to be changed; the database is written into that. Frames are a length (8 bytes, big
endian) and as many bytes. The first is text, the records (numbers in the database) that are to be removed; two make a
package: the header as rpm.hdr.unload() gives it, and a byte for the state of each of its files, or none where all are
normal. The answer is lines of text. At once: the places of the packages in the input, in rpm's install order. When all
is written: how many packages the database holds. Then what rpm objects to, a line each.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import sys

if __name__ == "__main__":
    sys.path.append(sys.argv.pop())

import rpm

TYPE_CHECKING = False  # what `typing` would say
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import IO, Any

#: Of the lead, rpm still reads the magic, the version, and the kind of signature (5: a header).
_LEAD = (b"\xed\xab\xee\xdb\x03\x00".ljust(78, b"\0") + b"\x00\x05").ljust(96, b"\0")
_MAGIC = b"\x8e\xad\xe8\x01\x00\x00\x00\x00"
_SIGNATURES_REGION = 62
#: Tags that rpm gives other numbers when it merges a package's signature header into its main header.
_SIGNATURE_TAGS = {257: 1000, 259: 1002, 261: 1004, 262: 1005, 1046: 1007}
_WIDTHS = {3: 2, 4: 4, 5: 8}


def main(root: str) -> None:
    """Do what the module says."""
    os.umask(0o022)
    removed, *frames = _frames(sys.stdin.buffer)
    headers, states = frames[0::2], frames[1::2]
    erased = [int(number) for number in removed.split()]
    # Payloads were verified when they were imported. The rest is what the host's configuration could change.
    for name, value in {"_dbpath": "/db", "_db_backend": "sqlite", "_pkgverify_level": "none"}.items():
        rpm.addMacro(name, value)
    transaction = rpm.TransactionSet(root)
    transaction.setVSFlags(-1)
    transaction.setFlags(
        rpm.RPMTRANS_FLAG_JUSTDB | rpm.RPMTRANS_FLAG_NOSCRIPTS | rpm.RPMTRANS_FLAG_NOTRIGGERS
        | rpm.RPMTRANS_FLAG_NOPLUGINS | rpm.RPMTRANS_FLAG_NOCONTEXTS
    )  # fmt: skip
    # File conflicts are the assembly's to find; the other filters concern the host, which has no say here.
    transaction.setProbFilter(
        rpm.RPMPROB_FILTER_IGNOREARCH | rpm.RPMPROB_FILTER_IGNOREOS | rpm.RPMPROB_FILTER_DISKSPACE
        | rpm.RPMPROB_FILTER_DISKNODES | rpm.RPMPROB_FILTER_REPLACENEWFILES | rpm.RPMPROB_FILTER_REPLACEOLDFILES
        | rpm.RPMPROB_FILTER_OLDPACKAGE
    )  # fmt: skip
    for number, blob in enumerate(headers):
        transaction.addInstall(rpm.hdr(blob), number, "i")
    for record in erased:
        transaction.addErase(record)
    transaction.order()
    order = [element.Key() for element in transaction if element.Type() == rpm.TR_ADDED]
    _answer([" ".join(map(str, order))])
    problems = transaction.run(_Opener(headers), "") if headers or erased else transaction.initDB()
    transaction.closeDB()
    written = _settle(f"{root}/db", [states[number] for number in order])
    _answer([str(written), *(text.replace("\n", " ") for text, _ in problems or ())])


def _answer(lines: Iterable[str]) -> None:
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


class _Opener:
    """rpm's callback: it wants a package file for each header, and gets one in memory, without a payload."""

    def __init__(self, headers: list[bytes]) -> None:
        self._headers = headers
        self._open: dict[int, int] = {}

    def __call__(self, what: int, amount: int, total: int, key: Any, data: Any) -> int | None:
        if what == rpm.RPMCALLBACK_INST_OPEN_FILE:
            fd = self._open[key] = os.memfd_create("package")
            with open(fd, "wb", closefd=False) as file:
                file.write(package_file(self._headers[key]))
            os.lseek(fd, 0, os.SEEK_SET)
            return fd
        if what == rpm.RPMCALLBACK_INST_CLOSE_FILE:
            os.close(self._open.pop(key))
        return None


def _frames(stream: IO[bytes]) -> Iterator[bytes]:
    while length := stream.read(8):
        yield stream.read(int.from_bytes(length, "big"))


def package_file(blob: bytes) -> bytes:
    """A package file of an unloaded header.

    rpm refuses a main header with entries outside its signed region. Those are what it merged in from the
    signature header: they go back there.
    """
    count, size = struct.unpack_from(">II", blob)
    entries = list(struct.iter_unpack(">IIII", blob[8 : 8 + count * 16]))
    data = blob[8 + count * 16 : 8 + count * 16 + size]
    # The region's entry points to its trailer, which says (as a negative offset) how many entries are in it.
    _, _, trailer, length = entries[0]
    region = -struct.unpack_from(">i", data, trailer + 8)[0] // 16
    end = trailer + length
    main = struct.pack(">II", region, end) + blob[8 : 8 + region * 16] + data[:end]
    extra = [(tag, kind, _value(data, kind, offset, items), items) for tag, kind, offset, items in entries[region:]]
    signatures = _header(sorted((_SIGNATURE_TAGS.get(tag, tag), *rest) for tag, *rest in extra))
    return _LEAD + signatures + bytes(-len(signatures) % 8) + _MAGIC + main


def _value(data: bytes, kind: int, offset: int, items: int) -> bytes:
    """The bytes of a header entry: numbers by width, strings up to their NUL, else one byte an item."""
    if kind in (6, 8, 9):
        end = offset
        for _ in range(items):
            end = data.index(b"\0", end) + 1
        return data[offset:end]
    return data[offset : offset + items * _WIDTHS.get(kind, 1)]


def _header(values: list[Any]) -> bytes:
    """A signature header with magic: its region entry, the given (tag, type, value, count), the region's trailer."""
    index, data = b"", b""
    for tag, kind, value, items in values:
        data += bytes(-len(data) % _WIDTHS.get(kind, 1))
        index += struct.pack(">IIII", tag, kind, len(data), items)
        data += value
    count = len(values) + 1
    region = struct.pack(">IIII", _SIGNATURES_REGION, 7, len(data), 16)
    trailer = struct.pack(">IIiI", _SIGNATURES_REGION, 7, -count * 16, 16)
    return _MAGIC + struct.pack(">II", count, len(data) + 16) + region + index + data + trailer


def _settle(directory: str, states: list[bytes]) -> int:
    """Record file states, and leave one file that a read-only file system can serve; gives the count of packages.

    `states` are in the order of installation. rpm decides about languages and documentation while it unpacks,
    so that without unpacking it takes all files for installed.
    """
    connection = sqlite3.connect(f"{directory}/rpmdb.sqlite")
    query = "SELECT hnum, blob FROM Packages ORDER BY hnum DESC LIMIT ?"
    rows = connection.execute(query, (len(states),)).fetchall()[::-1]  # what was added has the highest numbers
    if len(rows) == len(states):
        changed = [(_with_states(blob, new), hnum) for (hnum, blob), new in zip(rows, states, strict=True) if new]
        connection.executemany("UPDATE Packages SET blob = ? WHERE hnum = ?", changed)
        connection.commit()
    (written,) = connection.execute("SELECT count(*) FROM Packages").fetchone()
    connection.execute("PRAGMA journal_mode=delete")
    connection.close()
    for name in os.listdir(directory):
        if name != "rpmdb.sqlite":
            os.unlink(f"{directory}/{name}")
    return int(written)


def _with_states(blob: bytes, states: bytes) -> bytes:
    """The header with `states` in the place of those that rpm recorded."""
    count, _ = struct.unpack_from(">II", blob)
    for tag, _, offset, items in struct.iter_unpack(">IIII", blob[8 : 8 + count * 16]):
        if tag == rpm.RPMTAG_FILESTATES and items == len(states):
            start = 8 + count * 16 + offset
            return blob[:start] + states + blob[start + items :]
    raise ValueError("rpm recorded no state for each file")


if __name__ == "__main__":
    main(*sys.argv[1:])
