# SPDX-License-Identifier: GPL-2.0-or-later
"""Packages imported with a treefile's choices about modes and attributes, beside those without."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from rpmtree.errors import FetchError
from rpmtree.ostree import repo, tree
from rpmtree.ostree.objects import Kind
from rpmtree.ostree.store import Store
from rpmtree.pkgcache.cache import CachedPackage, PackageCache, Wanted
from rpmtree.pkgcache.choices import USUAL, ImportChoices
from rpmtree.progress import Reporter
from rpmtree.rpm.nevra import Nevra
from tests.support.rpms import Package, Raw, directory, file, hardlink, rpm, symlink, write_rpm
from tests.support.rpmwriter import STRINGS

pytestmark = pytest.mark.needs("root", "ostree", "rpm:", "gi:")
READONLY, IMA = ImportChoices(readonly_executables=True), ImportChoices(ima=True)
FILES = {
    "/etc/conf": file("conf", config=True),
    "/etc/hook": file("hook", mode=0o755, config=True),
    "/usr/bin": directory(),
    "/usr/bin/link": symlink("tool"),
    "/usr/bin/ping": file("ping", mode=0o755, caps="cap_net_raw=ep"),
    "/usr/bin/su": file("su", mode=0o4711),
    "/usr/bin/tool": file("tool", mode=0o755),
    "/usr/bin/tool2": hardlink("/usr/bin/tool", mode=0o755),
    "/usr/share/data": file("data", mode=0o644),
    "/usr/share/none": file("none"),
}
#: A line for each of FILES: hexadecimal, empty for none; zeros are a placeholder.
SIGNATURES = ["0302" + "aa" * 20] * len(FILES)
SIGNATURES[-1], SIGNATURES[-2] = "", "00" * 20
FILE_SIGNATURES = 274  # RPMSIGTAG_FILESIGNATURES in rpm's rpmtag.h


def signed(signatures: list[str] = SIGNATURES) -> Package:
    return rpm("foo", files=FILES, raw=Raw(signature={FILE_SIGNATURES: (STRINGS, signatures)}))


class Cache:
    """A cache, and one RPM to import."""

    def __init__(self, tmp_path: Path) -> None:
        repo.create(tmp_path / "cache", "bare")
        self.packages = PackageCache(Store(tmp_path / "cache"))
        self._top = tmp_path

    def wanted(self, package: Package, choices: ImportChoices, size: int = 0) -> tuple[Wanted, Path]:
        path = write_rpm(self._top, package)
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        return Wanted(Nevra(package.name, 0, "1.0", "1", "noarch"), checksum, False, (), size, choices=choices), path

    def add(self, package: Package, choices: ImportChoices = USUAL, size: int = 0) -> dict[str, Path]:
        """Path in the package → its object."""
        (found,) = self.packages.add([self.wanted(package, choices, size)], Reporter())
        return self.objects(found)

    def objects(self, found: CachedPackage) -> dict[str, Path]:
        store = self.packages.store
        return {
            f"/{path}/{name}": Path(store.object_path(Kind.FILE, checksum))
            for path, below in tree.load(store, found.commit.tree, found.commit.meta).walk()
            for name, checksum in below.files.items()
        }


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def modes(objects: dict[str, Path]) -> dict[str, int]:
    found = {path: place.lstat().st_mode for path, place in objects.items()}
    return {path: stat.S_IMODE(mode) for path, mode in found.items() if stat.S_ISREG(mode)}


def with_signature(objects: dict[str, Path]) -> set[str]:
    return {path for path, place in objects.items() if not place.is_symlink() and "security.ima" in os.listxattr(place)}


@pytest.mark.parametrize("size", [0, 1 << 30])  # here, and in a process of its own
def test_executables_without_the_right_to_write(cache: Cache, size: int) -> None:
    usual, found = modes(cache.add(signed())), modes(cache.add(signed(), READONLY, size))
    changed = {path: found[path] for path in found if found[path] != usual[path]}
    assert changed == {
        "/etc/hook": 0o555, "/usr/bin/ping": 0o555, "/usr/bin/su": 0o4511, "/usr/bin/tool": 0o555,
        "/usr/bin/tool2": 0o555,
    }  # fmt: skip


@pytest.mark.parametrize("size", [0, 1 << 30])
def test_signatures_become_attributes(cache: Cache, size: int) -> None:
    assert with_signature(cache.add(signed())) == set()
    found = cache.add(signed(), IMA, size)
    assert with_signature(found) == {"/etc/hook", "/usr/bin/ping", "/usr/bin/su", "/usr/bin/tool", "/usr/bin/tool2"}
    assert os.getxattr(found["/usr/bin/su"], "security.ima") == bytes.fromhex(SIGNATURES[0])
    assert sorted(os.listxattr(found["/usr/bin/ping"])) == ["security.capability", "security.ima"]


def test_a_package_without_signatures_is_as_usual(cache: Cache) -> None:
    plain = rpm("foo", files=FILES)
    assert cache.add(plain, IMA) == cache.add(plain)


@pytest.mark.parametrize("signatures", [["03"], ["xy"] * len(FILES)])
def test_signatures_that_make_no_sense_are_refused(cache: Cache, signatures: list[str]) -> None:
    cache.add(signed(signatures))  # nobody looks at them
    with pytest.raises(FetchError, match=r"foo-1\.0-1\.noarch is refused"):
        cache.add(signed(signatures), IMA)


def test_each_choice_has_its_own_commit(cache: Cache) -> None:
    both = ImportChoices(readonly_executables=True, ima=True)
    kinds = [ImportChoices(), READONLY, IMA, both]
    for count, choices in enumerate(kinds):
        wanted = [cache.wanted(signed(), kind)[0] for kind in kinds]
        assert [cache.packages.find(want) is not None for want in wanted] == [at < count for at in range(len(kinds))]
        cache.add(signed(), choices)
    found = [cache.packages.find(cache.wanted(signed(), kind)[0]) for kind in kinds]
    assert len({package.checksum for package in found if package is not None}) == len(kinds)
