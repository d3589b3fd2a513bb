# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's versions and dependencies, and the merged tree."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Container
from pathlib import Path

import pytest

from tests.distro import deb, lock
from tests.distro.archive import Stanza, mirrors, stanzas
from tests.distro.versions import clauses, compare, evr, requirement


@pytest.mark.parametrize(
    ("debian", "expected"),
    [("1.2-3", "1.2-3"), ("1:2.0-rc-3", "1:2.0_rc-3"), ("20230311", "20230311-0"), ("0:1-1", "0:1-1"),
     ("1.0~rc1-1~bpo12+1", "1.0~rc1-1~bpo12+1"), ("2.39.5-.", "2.39.5-9999999")],
)  # fmt: skip
def test_evr(debian: str, expected: str) -> None:
    assert str(evr(debian)) == expected


@pytest.mark.parametrize(
    ("lower", "higher"),
    [("1.0~rc1-1", "1.0-1"), ("1.0-1", "1.0-1+b1"), ("1.9", "1.10"), ("2.0", "1:1.0"), ("1.0-1~bpo12+1", "1.0-1"),
     ("1.0a", "1.0+"), ("1.0", "1.0.1"), ("1.0-1", "1.0-."), ("5.4-1+deb12u2", "5.4-1+deb12u10")],
)  # fmt: skip
def test_compare(lower: str, higher: str) -> None:
    assert compare(lower, higher) < 0 < compare(higher, lower)
    assert compare(lower, lower) == 0


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("libc6 (>= 2.36), bash:any", ["libc6 >= 2.36-0", "bash"]),
        ("a (<< 1.2-3~) | b, c:any (= 1) [amd64]", ["(a < 1.2-3~ or b)", "c = 1-0"]),
        ("debconf (>= 0.5) | debconf-2.0, x", ["", "x"]),
    ],
)
def test_requirement(field: str, expected: list[str]) -> None:
    assert [requirement(clause, {"debconf"}) for clause in clauses(field)] == expected


def test_stanzas() -> None:
    assert list(stanzas("A: 1\nB: x\n y\n\n\nA: 2\n")) == [{"A": "1", "B": "x\ny"}, {"A": "2"}]


def test_mirrors_come_from_both_formats_of_sources(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb [arch=amd64] http://other.invalid/apt bookworm main\n")
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb\n# a comment\nURIs: http://mirror.invalid/debian/\nSuites: bookworm bookworm-updates\n"
    )
    assert mirrors(tmp_path).main == "http://mirror.invalid/debian"
    assert mirrors(tmp_path).security == "http://mirror.invalid/debian-security"


class Shelf:
    """What `lock.resolve` asks an archive for."""

    def __init__(self, *shelf: tuple[str, str]) -> None:
        self.shelf = shelf

    def versions(self, names: Container[str]) -> list[tuple[str, Stanza]]:
        kernel = {"Package": "linux-image-cloud-amd64", "Depends": "linux-image-6.1-9 (= 6.1.9-1)"}
        rows = [{"Package": name, "Version": version, "SHA256": version} for name, version in self.shelf]
        return [("main", row) for row in [kernel, *rows] if row["Package"] in names]


@pytest.mark.parametrize(
    ("name", "version", "taken", "differs"),
    [
        ("a", "1.0-2", "1.0-2", False), ("a", "1.0-1", "1.0-2", True), ("a", "1.0-3", "2.0-1", True),
        ("a", "9-1", "2.0-1", True), ("linux-image-6.1-8", "6.1.8-1", "6.1.9-1", True), ("gone", "1-1", None, True),
    ],
)  # fmt: skip
def test_a_vanished_pin_takes_the_nearest_newer(name: str, version: str, taken: str | None, differs: bool) -> None:
    shelf = Shelf(("a", "2.0-1"), ("a", "1.0-2"), ("linux-image-6.1-9", "6.1.9-1"))
    found, differences = lock.resolve([lock.Pin(0, name, version, version)], shelf)
    assert [stanza["Version"] for _, stanza in found] == ([taken] if taken else [])
    assert bool(differences) == differs


def make_deb(path: Path, entries: list[tarfile.TarInfo]) -> Path:
    def tar(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            for info, data in members:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return out.getvalue()

    control = tar(
        [(tarfile.TarInfo("./control"), b"Package: p\nVersion: 1\n"), (tarfile.TarInfo("./conffiles"), b"/etc/p\n")]
    )
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar", control),
        ("data.tar", tar([(info, b"") for info in entries])),
    ]
    with path.open("wb") as out:
        out.write(b"!<arch>\n")
        for name, data in members:
            out.write(
                f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
            )
    return path


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("entry", "path", "target"),
    [
        (link("./lib/x/liba.so.1", "liba.so.1.2"), "/usr/lib/x/liba.so.1", "liba.so.1.2"),
        (link("./usr/lib/x/liba.so", "/lib/x/liba.so.1"), "/usr/lib/x/liba.so", "/usr/lib/x/liba.so.1"),
        (link("./bin/a", "../usr/bin/b"), "/usr/bin/a", "b"),
        (link("./usr/sbin/a", "../../sbin/b"), "/usr/sbin/a", "b"),
        (link("./bin/a", "/etc/alternatives/a"), "/usr/bin/a", "/etc/alternatives/a"),
        (link("./etc/a", "../usr/lib/a"), "/etc/a", "../usr/lib/a"),
    ],
)
def test_links_move_with_the_merged_tree(tmp_path: Path, entry: tarfile.TarInfo, path: str, target: str) -> None:
    files = deb.read(make_deb(tmp_path / "p.deb", [entry])).files
    assert {name: item.target for name, item in files.items()} == {path: target}


def test_a_link_onto_itself_is_dropped(tmp_path: Path) -> None:
    entries = [link("./lib/a", "/usr/lib/a"), link("./bin/b", "./bin/a", tarfile.LNKTYPE)]
    found = deb.read(make_deb(tmp_path / "p.deb", entries))
    assert list(found.files) == ["/usr/bin/b"]
    assert found.files["/usr/bin/b"].hardlink == "/usr/bin/a"
    assert found.conffiles == {"/etc/p"}
