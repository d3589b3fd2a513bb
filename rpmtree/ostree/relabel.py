# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects get other SELinux labels. A label is one of the attributes that a checksum covers: each is a new object.

An object may be a file of a deployment, too, that somebody has changed: what is not what its name says is not taken,
for its new name would say that it is right.

Many are shared out to processes, for to copy a file is to read and to hash it. Such a process gets its part as a line
of JSON, {"store", "staging", "files": [[HEX, LABEL or null], …]}, and answers with one: {"files": [HEX or null, …]} or
{"message", "hint"}.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from rpmtree import command
from rpmtree.errors import StoreError, ToolError
from rpmtree.ostree import objects
from rpmtree.ostree.checking import Checker, read_xattrs
from rpmtree.ostree.objects import FileMeta, labelled
from rpmtree.ostree.store import Staging, Store

#: A file or link by its checksum, and the label that it is to have.
Order = tuple[bytes, bytes | None]
#: Smaller files are copied through memory.
_SMALL = 1 << 16
#: So few files, of so many bytes together, are done before a process is there to do them.
_FEW, _FEW_BYTES = 300, 16 << 20
_MAX_PROCESSES = 4


def label_of(path: str) -> bytes | None:
    """The label that a file or link on disk has. Raises StoreError."""
    try:
        return dict(read_xattrs(path)).get(objects.LABEL)
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error


def relabel_directory(meta: bytes, label: bytes | None) -> bytes:
    """A dirmeta object with another label."""
    mode, uid, gid, xattrs = objects.parse_dirmeta_xattrs(meta)
    return objects.dirmeta(mode, uid, gid, labelled(xattrs, label))


def relabel(staging: Staging, checksum: bytes, label: bytes | None) -> bytes | None:
    """Stage a file or link that is staged or stored, with another label; gives its checksum, None if it is damaged.

    Raises StoreError, as for one that is not there.
    """
    path = staging.path_of(checksum)
    try:
        if not Checker().is_file(path, checksum):
            return None
        found = os.lstat(path)
        xattrs = labelled(read_xattrs(path), label)
        if stat.S_ISLNK(found.st_mode):
            return staging.add_link(FileMeta(found.st_mode, found.st_uid, found.st_gid, os.readlink(path), xattrs))
        meta = FileMeta(found.st_mode, found.st_uid, found.st_gid, xattrs=xattrs)
        if found.st_size > _SMALL:
            return staging.add_copy(meta, path)
        with open(path, "rb", buffering=0) as file:
            return staging.add_file(meta, file.read())
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror or error}") from error


def relabel_all(staging: Staging, orders: Sequence[Order]) -> list[bytes | None]:
    """As `relabel`, of many; gives their checksums in this order. Raises StoreError."""
    sizes = [staging.size_of(checksum) for checksum, _ in orders]
    count = min(os.cpu_count() or 1, _MAX_PROCESSES)
    if count == 1 or (len(orders) <= _FEW and sum(sizes) <= _FEW_BYTES):
        return [relabel(staging, *order) for order in orders]
    parts: list[list[int]] = [[] for _ in range(count)]
    weights = [0] * count
    for at in sorted(range(len(orders)), key=lambda at: -sizes[at]):
        lightest = weights.index(min(weights))
        parts[lightest].append(at)
        weights[lightest] += sizes[at] + _SMALL
    results: dict[int, bytes | None] = {}
    for part, checksums in zip(parts, _run([_setup(staging, orders, part) for part in parts if part]), strict=False):
        results.update(zip(part, checksums, strict=True))
    return [results[at] for at in range(len(orders))]


def _setup(staging: Staging, orders: Sequence[Order], part: Iterable[int]) -> dict[str, object]:
    files = [(checksum.hex(), label and label.decode("latin-1")) for checksum, label in (orders[at] for at in part)]
    return {"store": str(staging.store.path), "staging": str(staging.directory), "files": files}


def _run(setups: Sequence[dict[str, object]]) -> list[list[bytes | None]]:
    """Run a process for each; they speak through files, so that nobody waits for a full pipe. Raises StoreError."""
    with ExitStack() as stack:
        running = []
        for setup in setups:
            given, answer, said = (stack.enter_context(tempfile.TemporaryFile()) for _ in range(3))
            given.write(json.dumps(setup).encode())
            given.seek(0)
            process = command.spawn_own(
                "rpmtree.ostree.relabel", stdin=given.fileno(), stdout=answer.fileno(), stderr=said.fileno()
            )
            stack.callback(_end, process)
            running.append((process, answer, said))
        return [_result(*each) for each in running]


def _end(process: subprocess.Popen[bytes]) -> None:
    command.kill(process)
    process.wait()


def _result(process: subprocess.Popen[bytes], answer: IO[bytes], said: IO[bytes]) -> list[bytes | None]:
    process.wait()
    answer.seek(0)
    said.seek(0)
    try:
        found = json.loads(answer.read())
    except ValueError as error:
        raise StoreError("a process that labels files died", detail=command.tail(said.read()) or None) from error
    if "message" in found:
        raise StoreError(found["message"], hint=found["hint"])
    return [checksum and bytes.fromhex(checksum) for checksum in found["files"]]


def main() -> None:
    """Do the part that comes on stdin."""
    setup = json.loads(sys.stdin.readline())
    # As one of several, it has no staging directory of its own.
    staging = Staging(Store(Path(setup["store"])), Path(setup["staging"]))
    try:
        orders = ((bytes.fromhex(checksum), label) for checksum, label in setup["files"])
        done = [relabel(staging, checksum, label and label.encode("latin-1")) for checksum, label in orders]
        answer: dict[str, object] = {"files": [checksum and checksum.hex() for checksum in done]}
    except ToolError as error:
        answer = {"message": error.message, "hint": error.hint}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
