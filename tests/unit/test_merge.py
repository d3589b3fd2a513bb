# SPDX-License-Identifier: GPL-2.0-or-later
"""Putting package trees together, with trees and packages made by hand."""

from __future__ import annotations

import hashlib
import re
import stat

import pytest

from rpmtree.errors import ConflictError, ToolError
from rpmtree.ostree import objects
from rpmtree.ostree.tree import Directory
from rpmtree.pkgcache.paths import place
from rpmtree.root.merge import Merger
from rpmtree.root.spec import FileFilter
from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import FILE_DOC, File, Package

REG, DIR, LNK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK


def owned(
    path: str, mode: int = REG | 0o644, content: str = "", target: str = "", flags: int = 0, lang: str = ""
) -> File:
    digest = hashlib.sha256(content.encode()).hexdigest() if stat.S_ISREG(mode) else ""
    return File(path, mode, "root", "root", len(content), digest, flags, "", target, lang, 0)


def package(name: str, *files: File) -> tuple[Package, Directory]:
    """A package and the tree that an import would give: a file's checksum tells its content and mode."""
    root = Directory()
    for file in files:
        path = place(file.path[1:]).path
        if file.is_dir:
            root.make(path).meta = objects.dirmeta(file.mode)
        else:
            parent, _, base = path.rpartition("/")
            root.make(parent).files[base] = hashlib.sha256(f"{file.digest}{file.mode}{file.target}".encode()).digest()
    return Package(Nevra(name, 0, "1", "1", "noarch"), b"", 0, "", files, (), ()), root


def merged(*packages: tuple[Package, Directory], chosen: FileFilter | None = None) -> Directory:
    merger = Merger(chosen or FileFilter())
    for value, root in packages:
        merger.add(value, root)
    return merger.root


def paths(root: Directory) -> set[str]:
    return {f"{path}/{name}" for path, directory in root.walk() for name in directory.files}


def mode(root: Directory, path: str) -> int:
    found = root.directory(path)
    assert found is not None
    return objects.parse_dirmeta(found.meta)[0]


def test_union() -> None:
    root = merged(package("a", owned("/usr/a")), package("b", owned("/usr/b"), owned("/etc/b")))
    assert paths(root) == {"usr/a", "usr/b", "etc/b"}


def test_the_last_owner_of_a_directory_sets_its_mode() -> None:
    a, b = package("a", owned("/usr/d", DIR | 0o700)), package("b", owned("/usr/d", DIR | 0o755))
    c = package("c", owned("/usr/d/file"))
    assert mode(merged(a, b), "usr/d") == 0o755
    a, b = package("a", owned("/usr/d", DIR | 0o700)), package("b", owned("/usr/d", DIR | 0o755))
    assert mode(merged(b, a, c), "usr/d") == 0o700, "a directory that is only implied changes nothing"


def test_one_file_in_two_packages() -> None:
    same = merged(package("a", owned("/usr/x", content="1")), package("b", owned("/usr/x", content="1")))
    assert paths(same) == {"usr/x"}
    later = package("b", owned("/usr/x", REG | 0o755, content="1"))
    wanted = later[1].directory("usr").files["x"]  # type: ignore[union-attr]
    changed = merged(package("a", owned("/usr/x", content="1")), later)
    assert changed.directory("usr").files["x"] == wanted  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (owned("/usr/x", content="1"), owned("/usr/x", content="2")),
        (owned("/usr/x", LNK | 0o777, target="a"), owned("/usr/x", LNK | 0o777, target="b")),
        (owned("/usr/x", DIR | 0o755), owned("/usr/x", content="1")),
    ],
)
def test_conflicts(first: File, second: File) -> None:
    with pytest.raises(ConflictError) as caught:
        merged(package("a", first), package("b", second))
    assert caught.value.path == "/usr/x"
    assert caught.value.packages == ("a-1-1.noarch", "b-1-1.noarch")


@pytest.mark.parametrize(
    ("target", "landed"),
    [
        ("usr/lib", "usr/lib/x/f"),
        ("/usr/lib", "usr/lib/x/f"),
        ("../../../usr/lib", "usr/lib/x/f"),
        ("usr/there/../lib", "usr/lib/x/f"),
    ],
)
def test_links_lead_files_of_other_packages(target: str, landed: str) -> None:
    root = merged(
        package("base", owned("/lib", LNK | 0o777, target=target), owned("/usr/lib", DIR | 0o755)),
        package("b", owned("/lib/x/f")),
    )
    assert landed in paths(root)


@pytest.mark.parametrize("target", ["/var/lib", "../../srv/x", "lib", "usr/file"])
def test_links_lead_nowhere_else(target: str) -> None:
    base = package("base", owned("/lib", LNK | 0o777, target=target), owned("/usr/file"))
    with pytest.raises(ToolError):
        merged(base, package("b", owned("/lib/x/f")))


def test_left_out() -> None:
    files = [
        owned("/usr/share/doc/p", DIR | 0o755, flags=FILE_DOC),
        owned("/usr/share/doc/p/README", flags=FILE_DOC),
        owned("/usr/share/locale/de/p.mo", lang="de"),
        owned("/usr/share/locale/de_AT/p.mo", lang="de_AT"),
        owned("/usr/share/locale/fr/p.mo", lang="fr"),
        owned("/usr/bin/p-debug"),
        owned("/usr/bin/p"),
    ]
    chosen = FileFilter(documentation=False, languages=("de_DE",), removed={"p": (re.compile("/bin/.*-debug$"),)})
    root = merged(package("p", *files), package("q", owned("/usr/bin/q-debug")), chosen=chosen)
    assert paths(root) == {"usr/share/locale/de/p.mo", "usr/bin/p", "usr/bin/q-debug"}
    assert root.directory("usr/share/doc/p") is None
    everything = merged(package("p", *files))
    assert len(paths(everything)) == 6


def test_a_removed_file_that_another_package_owns_stays() -> None:
    chosen = FileFilter(removed={"a": (re.compile("shared"),)})
    root = merged(package("a", owned("/usr/shared")), package("b", owned("/usr/shared")), chosen=chosen)
    assert paths(root) == {"usr/shared"}


def test_what_is_left_out_is_what_the_rpm_database_says() -> None:
    files = [
        owned("/usr/share/fr", DIR | 0o755),
        owned("/usr/share/fr/a", lang="fr"),
        owned("/usr/share/de", lang="de"),
    ]
    root = merged(package("p", *files), chosen=FileFilter(languages=("de",)))
    assert paths(root) == {"usr/share/de"}
    assert root.directory("usr/share/fr") is None, "a directory goes with the last of its files"
    assert len(paths(merged(package("p", *files), chosen=FileFilter(languages=("all",))))) == 2
