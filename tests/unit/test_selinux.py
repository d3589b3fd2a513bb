# SPDX-License-Identifier: GPL-2.0-or-later
"""Which policy is in force, what is read of it, and what its expressions begin with."""

from __future__ import annotations

import pytest

from rpmtree.finish.selinux import with_aliases
from rpmtree.ostree.relabel import labelled
from rpmtree.ostree.selinux import Policy, _beginning, _keys, policy_name, read_policy


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ("SELINUX=enforcing\nSELINUXTYPE=targeted\n", "targeted"),
        ("# of Debian\n  SELINUX = permissive \nSELINUXTYPE=default", "default"),
        ("SELINUX=Enforcing\nSELINUXTYPE=mls\nSETLOCALDEFS=0\n", "mls"),
        ("SELINUX=disabled\nSELINUXTYPE=targeted\n", None),
        ("#SELINUX=enforcing\nSELINUXTYPE=targeted\n", None),
        ("SELINUX=enforcing\n", None),
        ("SELINUX=enforcing\nSELINUXTYPE=..\n", None),
        ("SELINUX=enforcing\nSELINUXTYPE=a/b\n", None),
        ("", None),
    ],
)
def test_policy_name(config: str, name: str | None) -> None:
    assert policy_name(config.encode()) == name


def test_a_policy_is_what_decides_labels() -> None:
    there = {
        "etc/selinux/config": b"SELINUX=enforcing\nSELINUXTYPE=x\n",
        "etc/selinux/x/contexts/files/file_contexts": b"/.* a:b:c:s0\n",
        "etc/selinux/x/contexts/files/file_contexts.bin": b"\x8a\xff|\xf9",
        "etc/selinux/x/contexts/files/file_contexts.subs": b"/a /b\n",
        "etc/selinux/x/policy/policy.33": b"\x8c\xff|\xf9",
    }
    found = read_policy(there.get)
    assert found is not None
    assert (found.name, sorted(found.files)) == ("x", ["", ".subs"])
    for path, data in there.items():
        other = read_policy({**there, path: data + b"#"}.get)
        assert other is not None
        assert (other.checksum != found.checksum) == path.endswith(("file_contexts", ".subs"))
        without = read_policy({name: there[name] for name in there if name != path}.get)
        assert (without is None) == path.endswith(("config", "file_contexts"))
    assert Policy("y", found.files).checksum == found.checksum


@pytest.mark.parametrize(
    ("expression", "beginning"),
    [
        ("/usr/bin/passwd", "/usr/bin/passwd"),
        (r"/etc/passwd\.lock", "/etc/passwd.lock"),
        ("/usr/lib(64)?/x", "/usr/lib"),
        ("/usr/lib64?/x", "/usr/lib6"),
        ("/usr/libx*/x", "/usr/lib"),
        ("/usr/libx{2}/x", "/usr/lib"),
        ("/usr/libx+/x", "/usr/libx"),
        ("/usr/[^/]*/x", "/usr/"),
        (r"/usr/\w+", "/usr/"),
        (r"/usr/lib\?", "/usr/lib?"),
        (r"/usr/lib\.?x", "/usr/lib"),
        ("/usr/(a|b)", "/usr/"),
        ("/usr/a|/usr/b", ""),
        ("(/usr)?(/a(b|c))|/d", ""),
        ("/usr/[|]", "/usr/"),
        (r"/usr/\|a", "/usr/|a"),
        (".*", ""),
        ("^/usr", ""),
        ("/usr/ä*", "/usr/"),
    ],
)
def test_beginning(expression: str, beginning: str) -> None:
    assert _beginning(expression.encode().decode("latin-1")) == beginning


def test_keys() -> None:
    aliases = [("/usr/etc", "/etc"), ("/etc/init.d", "/etc/rc.d"), ("/usr/lib64", "/usr/lib"), ("/r", "/")]
    assert _keys("/usr/bin", aliases) == ("/usr/bin",)
    assert _keys("/usr/lib64/x", aliases) == ("/usr/lib/x", "/usr/lib64/x")
    assert _keys("/usr/etc/init.d", aliases) == ("/etc/init.d", "/etc/rc.d", "/usr/etc/init.d")
    assert _keys("/usr", aliases) == ("/etc", "/etc/rc.d", "/usr", "/usr/lib")
    assert _keys("/r/bin", aliases) == ("/bin", "/r/bin")
    assert _keys("/a/x", [("/a", "/a/a")]) == ("",)


def test_labelled() -> None:
    before = ((b"security.capability", b"c"), (b"security.selinux", b"old"), (b"user.pax.flags", b"p"))
    assert labelled(before, b"new")[1] == (b"security.selinux", b"new")
    assert [name for name, _ in labelled(before, b"new")] == [name for name, _ in before]
    assert labelled(before, None) == (before[0], before[2])
    assert labelled((), b"new") == ((b"security.selinux", b"new"),)


def test_aliases() -> None:
    added = "/home /var/home\n/usr/etc /etc\n/usr/lib/opt /opt\n"
    assert with_aliases("") == added
    assert with_aliases("/run /var/run") == f"/run /var/run\n{added}"
    assert with_aliases("/var/home\t/home\n") == f"#/var/home\t/home\n{added}"
    assert with_aliases("# a\n\n/etc/x /y\n") == f"/usr/etc/x /y\n# a\n\n/etc/x /y\n{added}/usr/etc/x /y\n"
    assert with_aliases("/usr/etc /etc\n") == "/usr/etc /etc\n/home /var/home\n/usr/lib/opt /opt\n"
    done = with_aliases("/etc/x /y\n/var/home /home\n")
    assert with_aliases(done) == done
