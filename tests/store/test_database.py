# SPDX-License-Identifier: GPL-2.0-or-later
"""The rpm database that is written without payloads is the one that rpm writes when it installs."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.errors import StoreError
from rpmtree.rpm.database import read_database, read_database_headers, write_database
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.signatures import Verifier, read_header_blob
from tests.support.openpgp import Key
from tests.support.rpms import Package, directory, file, hardlink, lua, rpm, symlink, trigger, write_rpm

pytestmark = pytest.mark.needs("root", "rpm", "unshare")

EPOCH = 1_700_000_000
#: In an order in which rpm must not install them.
PACKAGES = (
    rpm("app", requires=["lib >= 2", "tool"], requires_post=["shell"], files={"/usr/bin/app": "a"}, post="exit 1"),
    rpm("lib", version="2.0~rc1", epoch=2, arch="x86_64", files={
        "/usr/lib64/lib.so": "l", "/usr/lib64/l": symlink("x")}),
    rpm("tool", requires_pre=["shell"], files={
        "/usr/bin/tool": file("t", mode=0o4755, caps="cap_net_raw=ep"),
        "/usr/bin/tool2": hardlink("/usr/bin/tool", mode=0o4755),
        "/etc/tool.conf": file("c", config=True),
        "/var/log/tool": file("", ghost=True),
        "/usr/share/doc/tool": directory(),
        "/usr/share/doc/tool/README": file("read me", doc=True),
        "/usr/share/locale/de/tool.mo": file("de", lang="de"),
        "/usr/share/locale/fr/tool.mo": file("fr", lang="fr"),
    }),
    rpm("shell", files={"/usr/bin/sh": "s"}, pretrans=lua("error('no')"),
        triggers=[trigger("transfiletriggerin", "/usr/lib64", "exit 1")]),
    rpm("loop-a", requires=["loop-b"]),
    rpm("loop-b", requires=["loop-a"]),
    rpm("shares", files={"/usr/bin/app": "a", "/usr/share/doc/tool": directory()}),
)  # fmt: skip
STATES = [
    pytest.param((), True, [], id="everything"),
    pytest.param((), False, ["--excludedocs"], id="no documentation"),
    pytest.param(("de", "en"), True, ["-D", "_install_langs de:en"], id="languages"),
    pytest.param(("fr",), False, ["--excludedocs", "-D", "_install_langs fr"], id="both"),
]


def headers_of(tmp_path: Path, packages: tuple[Package, ...] = PACKAGES, key: Key | None = None) -> list[bytes]:
    paths = [write_rpm(tmp_path, package, key=key) for package in packages]
    verifier = Verifier([])
    headers = []
    for path in paths:
        with open(path, "rb") as opened:
            headers.append(verifier.read_header(opened.fileno(), name=path.name, gpgcheck=False).unload())
    return headers


def rpm_says(database: Path, *arguments: str) -> list[str]:
    """The sorted lines of rpm's answer."""
    return sorted(command.run(["rpm", "--dbpath", str(database), *arguments]).stdout.decode().splitlines())


@pytest.mark.parametrize(("langs", "documentation", "options"), STATES)
def test_it_equals_what_rpm_writes_when_it_installs(
    tmp_path: Path, key: Key, langs: tuple[str, ...], documentation: bool, options: list[str]
) -> None:
    ours, root = tmp_path / "ours", tmp_path / "root"
    headers = headers_of(tmp_path, key=key)
    result = write_database(headers, ours, install_langs=langs, documentation=documentation, source_date_epoch=EPOCH)
    root.mkdir()
    install = ["rpm", "--root", str(root), "--dbpath", "/db", "-i", "--nodeps", "--noscripts", "--notriggers",
               "--nosignature", "--ignorearch", *options]  # fmt: skip
    command.run([*install, *map(str, sorted(tmp_path.glob("*.rpm")))], env={"SOURCE_DATE_EPOCH": str(EPOCH)})
    theirs = root / "db"
    for query in (
        ["-qa"],
        ["-qas"],
        ["-qai"],
        ["-qalv"],
        ["-qa", "--qf", "[%{NAME} %{FILENAMES} %{FILESTATES} %{FILECOLORS}\n]"],
        ["-qa", "--qf", "%{NEVRA} %{INSTALLTIME} %{INSTALLTID} %{SIGMD5} %{SHA256HEADER} %{SIGSIZE} %{ARCHIVESIZE}\n"],
        ["-q", "--whatprovides", "/usr/bin/tool", "lib"],
    ):
        assert rpm_says(ours, *query) == rpm_says(theirs, *query)
        assert rpm_says(ours, *query)
    by_number = rpm_says(theirs, "-qa", "--qf", "%{DBINSTANCE} %{NEVRA}\n")
    order = [line.split()[1] for line in sorted(by_number, key=lambda line: int(line.split()[0]))]
    assert [read_header_blob(blob)["NEVRA"] for blob in read_database_headers(ours)] == order
    assert [str(nevra) for nevra in result.order] == order


def test_what_a_package_needs_comes_before_it(tmp_path: Path) -> None:
    order = [nevra.name for nevra in write_database(headers_of(tmp_path), tmp_path / "db", source_date_epoch=0).order]
    assert order.index("shell") < order.index("tool") < order.index("app")
    assert order.index("lib") < order.index("app")
    assert sorted(order) == sorted(package.name for package in PACKAGES)


def test_neither_sequence_nor_time_nor_place_has_a_say(tmp_path: Path) -> None:
    headers = headers_of(tmp_path)
    databases, orders = set(), set()
    for number in range(4):
        random.Random(number).shuffle(headers)
        place = tmp_path / f"a-{'long' * number}" / "db"
        place.parent.mkdir()
        orders.add(write_database(headers, place, source_date_epoch=EPOCH).order)
        databases.add((place / "rpmdb.sqlite").read_bytes())
    assert len(databases) == len(orders) == 1
    write_database(headers, tmp_path / "later", source_date_epoch=EPOCH + 1)
    assert (tmp_path / "later/rpmdb.sqlite").read_bytes() not in databases


def test_one_file_is_left_that_can_be_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    database = tmp_path / "db"
    write_database(headers_of(tmp_path), database, source_date_epoch=EPOCH)
    assert [path.name for path in database.iterdir()] == ["rpmdb.sqlite"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".rpm") == ["db"]
    with open(database / "rpmdb.sqlite", "rb") as opened:
        assert opened.read(20)[18:] == b"\1\1"  # neither reader nor writer wants a write-ahead log
    read_only = f"mount --bind -o ro {database} {database} && ! touch {database}/x && rpm --dbpath {database} -qa"
    done = command.run(["unshare", "--mount", "sh", "-c", read_only])
    assert len(done.stdout.splitlines()) == len(PACKAGES)
    assert [path.name for path in database.iterdir()] == ["rpmdb.sqlite"]


def test_it_is_read_back(tmp_path: Path) -> None:
    write_database(headers_of(tmp_path), tmp_path / "db", source_date_epoch=EPOCH)
    found = read_database(tmp_path / "db")
    assert Nevra("lib", 2, "2.0~rc1", "1", "x86_64") in found
    assert len(found) == len(PACKAGES)
    assert list(found) == sorted(found)


def test_an_empty_one_can_be_written(tmp_path: Path) -> None:
    assert write_database([], tmp_path / "db", source_date_epoch=EPOCH).order == ()
    assert read_database(tmp_path / "db") == ()


def test_two_versions_and_two_architectures_stand_side_by_side(tmp_path: Path) -> None:
    packages = (
        *(rpm("kernel", version=version) for version in ("1", "2")),
        rpm("lib", arch="x86_64", files={"/usr/share/x": "x"}), rpm("lib", arch="i686", files={"/usr/share/x": "x"}),
    )  # fmt: skip
    write_database(headers_of(tmp_path, packages), tmp_path / "db", source_date_epoch=EPOCH)
    assert [f"{nevra.name}-{nevra.version}.{nevra.arch}" for nevra in read_database(tmp_path / "db")] == [
        "kernel-1.noarch", "kernel-2.noarch", "lib-1.0.i686", "lib-1.0.x86_64",
    ]  # fmt: skip


def test_one_package_twice_is_refused(tmp_path: Path) -> None:
    headers = headers_of(tmp_path)
    with pytest.raises(StoreError):
        write_database([*headers, headers[0]], tmp_path / "db", source_date_epoch=EPOCH)
    assert not (tmp_path / "db").exists()


def test_a_place_that_is_taken_is_refused(tmp_path: Path) -> None:
    taken = tmp_path / "db"
    taken.mkdir()
    (taken / "rpmdb.sqlite").write_text("precious")
    with pytest.raises(StoreError):
        write_database(headers_of(tmp_path), taken, source_date_epoch=EPOCH)
    assert (taken / "rpmdb.sqlite").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".rpm") == ["db"]


@pytest.mark.parametrize("damage", ["missing", "empty", "text", "other tables", "half a header"])
def test_a_damaged_one_is_named(tmp_path: Path, damage: str) -> None:
    write_database(headers_of(tmp_path), tmp_path / "db", source_date_epoch=EPOCH)
    path = tmp_path / "db/rpmdb.sqlite"
    assert read_database(tmp_path / "db")
    if damage in ("other tables", "half a header"):
        with sqlite3.connect(path) as connection:
            other = (
                "DROP TABLE Packages" if damage == "other tables" else "UPDATE Packages SET blob=substr(blob, 1, 99)"
            )
            connection.execute(other)
        connection.close()
    elif damage == "missing":
        path.unlink()
    else:
        path.write_text("" if damage == "empty" else "not a database" * 100)
    with pytest.raises(StoreError):
        read_database(tmp_path / "db")
