# SPDX-License-Identifier: GPL-2.0-or-later
"""What may be followed: every form that is taken, and what is refused before it gets into a file or a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layering import allowed
from layering.refspec import (
    Base,
    Branch,
    BranchOnly,
    Commit,
    LocalRepo,
    RemoteOnly,
    Target,
    parse_base,
    parse_target,
    resolve,
)

COMMIT = "0123456789abcdef" * 4

TARGETS = [
    ("granite:granite/12/x86_64/server", Branch("granite", "granite/12/x86_64/server")),
    ("ostree://granite:g", Branch("granite", "g")),
    (":local/branch", Branch(None, "local/branch")),
    ("basalt:", RemoteOnly("basalt")),
    ("granite/13", BranchOnly("granite/13")),
    (COMMIT, Commit(COMMIT)),
    ("/srv/repo:granite/12", LocalRepo("/srv/repo", "granite/12")),
    (f"/srv/my repo:{COMMIT}", LocalRepo("/srv/my repo", COMMIT)),
    (f"{COMMIT[:-1]}", BranchOnly(COMMIT[:-1])),  # a commit cut short is a branch's name
]


@pytest.mark.parametrize(("text", "target"), TARGETS)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target


BASES = [("granite:g/12", Branch("granite", "g/12")), ("g/12", Branch(None, "g/12")), (COMMIT, Commit(COMMIT))]


@pytest.mark.parametrize(("text", "base"), BASES)
def test_a_base_is_read_and_written(text: str, base: Base) -> None:
    assert parse_base(text) == base
    assert str(base) == text


REFUSED = [
    "", ":", "::", "-remote:b", "remote:-b", "r:../b", "r:a/../b", "r:.", "r:a//b", "r:/a", "r:a/", "r:a b", "r e:b",
    "r:b\n", "r\n:b", "r:b\r", "r:b\x00", "r:b]", "r:b=c", "r:b;c", "r:b\\n", "r:b:c", "r:ünicode", "r:\u202eb",
    "r:" + "b" * 256, "r" * 256 + ":b", "r:$(id)", "r:`id`", "/srv/repo", "/srv/repo:", "/srv/repo:../b", "/srv\n:b",
    "/srv/\u202erepo:b", "./repo:b", "ostree-unverified-registry:quay.io/a/b", "ostree-image-signed:docker://quay.io/a",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_a_bad_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not |^a container image"):
        parse_target(text)


@pytest.mark.parametrize("text", ["", ":b", "r:", "r:b\n", "r:b c", "/srv/repo:b", "-b", "r:a/../b"])
def test_a_bad_base_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        parse_base(text)


CURRENT = Branch("granite", "server/12")
RESOLVED = [
    (Branch(None, "b"), Branch(None, "b")),
    (RemoteOnly("basalt"), Branch("basalt", "server/12")),
    (BranchOnly("server/13"), Branch("granite", "server/13")),
    (Commit(COMMIT), Commit(COMMIT)),
    (LocalRepo("/srv", "b"), LocalRepo("/srv", "b")),
]


@pytest.mark.parametrize(("target", "base"), RESOLVED)
def test_what_a_target_leaves_out_is_taken_from_the_current_base(target: Target, base: Base) -> None:
    assert resolve(target, CURRENT) == base


@pytest.mark.parametrize("target", [RemoteOnly("r"), BranchOnly("b")])
def test_a_commit_has_no_remote_or_branch_to_take(target: Target) -> None:
    with pytest.raises(ValueError, match="remote:branch"):
        resolve(target, Commit(COMMIT))


SPECS = [
    "powerline", "gcc-c++", "libstdc++.i686", "powerline-1:2.0~rc1^x-1.noarch", "podman >= 4.1", "perl(Foo::Bar)",
    "libfoo.so.1()(64bit)", "/usr/bin/vi", "@core", "@^server", "kernel*", "[a-c]*", "font(:lang=en)",
]  # fmt: skip


@pytest.mark.parametrize("text", SPECS)
def test_a_package_request_is_allowed(text: str) -> None:
    assert allowed.package_spec(text) == text


BAD_SPECS = [
    "", " ", "-e", "--root=/", ";id", "a;b", "a\nb", "a\\b", "a\x00", "$(id)", "`id`", "a|b", "*", "?*", "a ", " a",
    '"a"', "a" * 513, "\u202ea", "é", "/usr/../etc/shadow",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_SPECS)
def test_a_bad_package_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a p"):
        allowed.package_spec(text)


@pytest.mark.parametrize("text", ["why: because; of \\ this", "Grüße", "日本"])
def test_a_line_for_people_may_have_any_letters(text: str) -> None:
    assert allowed.free_text(text) == text


@pytest.mark.parametrize("text", ["", " ", "a\nb", "a\rb", "a\tb", "\x1b[31m", "a\u2028b", "a\u202eb", "x" * 1001])
def test_what_is_not_seen_is_no_line_for_people(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a line"):
        allowed.free_text(text)


CHECKS = (
    allowed.package_name, allowed.package_spec, allowed.repo_id, allowed.remote_name, allowed.branch_name,
    allowed.commit, allowed.digest,
)  # fmt: skip


@given(st.text(), st.sampled_from(CHECKS))
def test_nothing_that_gets_through_ends_a_line_a_list_or_an_option(text: str, check: object) -> None:
    assert callable(check)
    try:
        check(text)
    except ValueError:
        return
    else:
        assert text.isascii()
        assert text.isprintable()
        assert text[0] != "-"
        assert not set(text) & set(';\\"`$|#')
