# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import pytest

from rpmtree.pkgcache.paths import Fate, checked, place, quoted, ref_of, tmpfiles_line


@pytest.mark.parametrize(
    ("path", "fate", "placed"),
    [
        ("usr/bin/x", Fate.KEEP, "usr/bin/x"),
        ("bin/x", Fate.KEEP, "bin/x"),
        ("etc/x.conf", Fate.KEEP, "etc/x.conf"),
        ("usr/local/x", Fate.KEEP, "usr/local/x"),
        ("boot/vmlinuz-6", Fate.KEEP, "usr/lib/ostree-boot/vmlinuz-6"),
        ("boot", Fate.KEEP, "usr/lib/ostree-boot"),
        ("bootstrap/x", Fate.UNSUPPORTED, ""),
        ("opt/foo/bin", Fate.KEEP, "usr/lib/opt/foo/bin"),
        ("var/lib/selinux/targeted/active", Fate.KEEP, "etc/selinux/targeted/active"),
        ("var/lib/selinux/default", Fate.SKIP, ""),
        ("var/lib/selinux/default/active/x", Fate.KEEP, "etc/selinux/default/active/x"),
        ("var/lib/selinux", Fate.SKIP, ""),
        ("var/lib/alternatives/x", Fate.KEEP, "usr/lib/alternatives/x"),
        ("var/lib/rpm/rpmdb.sqlite", Fate.SKIP, ""),
        ("var/lib/foo", Fate.TMPFILES, "var/lib/foo"),
        ("run/foo", Fate.TMPFILES, "run/foo"),
        ("srv", Fate.SKIP, ""),
        ("srv/www", Fate.UNSUPPORTED, ""),
        ("data/x", Fate.UNSUPPORTED, ""),
    ],
)
def test_place(path: str, fate: Fate, placed: str) -> None:
    found = place(path)
    assert (found.fate, found.path) == (fate, placed)


@pytest.mark.parametrize(
    "path",
    ["", "usr/bin/x", "/", "//usr", "/usr//x", "/usr/./x", "/usr/../etc", "/..", "/usr/x\0y", "/usr/" + "x" * 256,
     "/" + "x/" * 2100 + "x", "/usr/.wh.x", "/usr/\udcff",
     "/usr" + "/d" * 250],
)  # fmt: skip
def test_checked_refuses(path: str) -> None:
    with pytest.raises(ValueError, match=r"is|holds|has"):
        checked(path)


@pytest.mark.parametrize("path", ["/usr/bin/x", "/usr/" + "x" * 255, "/usr/..x", "/usr/a b\nc", "/usr" + "/d" * 249])
def test_checked_takes(path: str) -> None:
    assert checked(path) == path[1:]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("var/lib/x", 0o40750, "a", "b"), "d /var/lib/x 0750 a b - -"),
        (("run/x", 0o41777, "root", "root"), "d /run/x 1777 root root - -"),
        (("var/run/x", 0o40755, "root", "root"), "d /run/x 0755 root root - -"),
        (("var/x", 0, "", "", "../y"), "L /var/x - - - - ../y"),
        (("var/a b", 0o40755, "root", "root"), 'd "/var/a b" 0755 root root - -'),
        (("var/50%", 0o40755, "root", "root"), "d /var/50%% 0755 root root - -"),
    ],
)
def test_tmpfiles_line(arguments: tuple[str, int, str, str], line: str) -> None:
    assert tmpfiles_line(*arguments) == line


def test_quoted() -> None:
    assert quoted('a"b\\c\né') == '"a\\"b\\\\c\\x0aé"'


@pytest.mark.parametrize(
    ("name", "evra", "ref"),
    [
        ("bash", "5.2-1.x86_64", "rpmostree/pkg/bash/5.2-1.x86__64"),
        ("libstdc++", "1:2~rc1^git+1-1.noarch", "rpmostree/pkg/libstdc_2B_2B/1_3A2_7Erc1_5Egit_2B1-1.noarch"),
    ],
)
def test_ref_of(name: str, evra: str, ref: str) -> None:
    assert ref_of(name, evra) == ref
