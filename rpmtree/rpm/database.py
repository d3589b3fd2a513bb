# SPDX-License-Identifier: GPL-2.0-or-later
"""The rpm database of a root: written from headers, fresh or on top of a base's, and read back.

rpm itself writes it (`rpmtree.rpm.database_worker`, in a process of its own), without looking at payloads, at the
host's configuration of places, or at a tree. Where it lies in an image is a finishing step's matter.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpmtree import command
from rpmtree.errors import StoreError
from rpmtree.files import remove_tree
from rpmtree.rpm.filestates import left_out
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import files_of, nevra_of
from rpmtree.rpm.signatures import read_header_blob

DATABASE_FILE = "rpmdb.sqlite"


@dataclass(frozen=True, slots=True)
class Record:
    """A package in a database: its number there, and its header as rpm.hdr.unload() gives it."""

    number: int
    header: bytes


@dataclass(frozen=True, slots=True)
class Replacing:
    """A database that packages are added to: its file, which is copied, and the numbers of records that go."""

    database: Path
    removed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DatabaseResult:
    """What was written. `order` is rpm's install order: what a package's scripts need comes before it."""

    order: tuple[Nevra, ...]


def write_database(
    headers: Sequence[bytes],
    directory: Path,
    *,
    install_langs: Sequence[str] = (),
    documentation: bool = True,
    source_date_epoch: int,
) -> DatabaseResult:
    """Write the database as `writing_database` does, and wait for it."""
    with writing_database(
        headers,
        directory,
        install_langs=install_langs,
        documentation=documentation,
        source_date_epoch=source_date_epoch,
    ) as writing:
        return DatabaseResult(writing.order())


class Writing:
    """A database that is being written."""

    def __init__(self, names: Sequence[Nevra], answers: Iterator[str]) -> None:
        self._names = names
        self._answers = answers
        self._order: tuple[Nevra, ...] | None = None

    def order(self) -> tuple[Nevra, ...]:
        """Rpm's install order, waited for the first time. Raises StoreError."""
        if self._order is None:
            self._order = tuple(self._names[int(number)] for number in next(self._answers).split())
        return self._order


@contextmanager
def writing_database(
    headers: Sequence[bytes],
    directory: Path,
    *,
    install_langs: Sequence[str] = (),
    documentation: bool = True,
    source_date_epoch: int,
    base: Replacing | None = None,
) -> Iterator[Writing]:
    """Write the database of the packages `headers` (as rpm.hdr.unload() gives them) as the new `directory`.

    With `base`, that database's other packages are in it as well; the order is that of `headers`' packages alone.

    The body of the context runs meanwhile, and may ask for the install order; when the context ends well, the
    database is there.

    The file and the order depend on the set of headers alone, not on their sequence: install times and the
    transaction's number are `source_date_epoch` (seconds). `install_langs` (none: all languages) and
    `documentation` decide which files are recorded as not installed, as dnf's options of these names do.
    The parent directory must exist; `directory` must not, or be empty. Needs root, since rpm uses chroot(2).
    Raises StoreError.
    """
    by_name = sorted((nevra_of(read_header_blob(header)), header) for header in headers)
    names = [name for name, _ in by_name]
    twice = [str(name) for name, count in Counter(names).items() if count > 1]
    if twice:
        raise StoreError(f"a package is to be recorded twice: {', '.join(twice)}")
    states = (_states(header, install_langs, documentation) for _, header in by_name)
    parts = (part for (_, header), state in zip(by_name, states, strict=True) for part in (header, state))
    removed = " ".join(map(str, base.removed if base else ())).encode()
    frames = b"".join(len(part).to_bytes(8, "big") + part for part in (removed, *parts))
    wanted = len(names) + (_count(base.database) - len(base.removed) if base else 0)
    work = Path(tempfile.mkdtemp(prefix=".rpmdb-", dir=directory.parent))
    try:
        (work / "db").mkdir()
        (work / "db").chmod(0o755)
        if base is not None:
            shutil.copyfile(base.database, work / "db" / DATABASE_FILE)
        with _worker(work, source_date_epoch, frames) as answers:
            writing = Writing(names, answers)
            yield writing
            writing.order()
            _check(int(next(answers)), wanted, problems=tuple(answers))
        try:
            os.rename(work / "db", directory)
        except OSError as error:
            raise StoreError(f"can't write the rpm database to {directory}: {error.strerror}") from error
    finally:
        remove_tree(work)


def _check(written: int, wanted: int, problems: Sequence[str]) -> None:
    if problems or written != wanted:
        raise StoreError(
            f"the rpm database holds {written} of {wanted} packages",
            hint="this may be a bug of ours; the lines below are rpm's",
            detail="\n".join(problems),
        )


def read_database(directory: Path) -> tuple[Nevra, ...]:
    """The packages recorded in the database in `directory`, sorted. Raises StoreError.

    The file is read without a lock and without rpm: rpm would take its place from the host's macros, and could
    not open a database on a read-only file system that another tool left in WAL mode.
    """
    return tuple(sorted(nevra_of(read_header_blob(blob)) for blob in read_database_headers(directory)))


def read_database_headers(directory: Path) -> list[bytes]:
    """The headers recorded in the database in `directory`, in the order of installation. Raises StoreError."""
    path = directory / DATABASE_FILE
    if not path.is_file():
        raise StoreError(f"{directory} has no rpm database in sqlite form")
    return [record.header for record in read_records(path)]


def read_records(database: Path) -> list[Record]:
    """The packages recorded in the file `database`, in the order of installation. Raises StoreError."""
    with _reading(database) as connection:
        return [Record(*row) for row in connection.execute("SELECT hnum, blob FROM Packages ORDER BY hnum")]


def _count(database: Path) -> int:
    with _reading(database) as connection:
        return int(connection.execute("SELECT count(*) FROM Packages").fetchone()[0])


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"the rpm database {database} is damaged: {error}") from error


def _states(header: bytes, install_langs: Sequence[str], documentation: bool) -> bytes:
    """The state of each file as rpm numbers it (0 normal, 2 not installed); empty where all are normal."""
    if documentation and not install_langs:
        return b""
    files = files_of(read_header_blob(header))
    out = left_out(files, install_langs=install_langs, documentation=documentation)
    return bytes(2 if file.path in out else 0 for file in files) if out else b""


def _bindings() -> Path:
    """The directory that holds rpm's bindings."""
    import rpm

    return Path(rpm.__file__).parent.parent


@contextmanager
def _worker(root: Path, epoch: int, frames: bytes) -> Iterator[Iterator[str]]:
    """The process that writes; gives the lines of its answer as they come."""
    program = Path(__file__).with_name("database_worker.py")
    # From a file: a pipe would have us wait until it has started, and it reads when it is ready for it.
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as errors:
        stdin.write(frames)
        stdin.seek(0)
        process = command.spawn(
            # Without `site`, which takes longer than all else until the bindings are there; it is told where they are.
            [sys.executable, "-I", "-S", str(program), str(root.absolute()), str(_bindings())],
            stdin=stdin.fileno(),
            stderr=errors.fileno(),
            env={"SOURCE_DATE_EPOCH": str(epoch)},
            cwd=root,
        )
        assert process.stdout

        def answers() -> Iterator[str]:
            assert process.stdout
            while line := process.stdout.readline():
                yield line.decode("utf-8", "surrogateescape").rstrip("\n")
            if process.wait() != 0:
                errors.seek(0)
                raise StoreError("rpm could not write the database", detail=command.tail(errors.read()))

        try:
            yield answers()
        finally:
            command.kill(process)
            process.wait()
            process.stdout.close()
