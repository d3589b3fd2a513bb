# SPDX-License-Identifier: GPL-2.0-or-later
"""Origin files: what is read, what is written, that GLib reads the same, and where an error is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layering import keyfile
from layering.origin import Extra, LocalPackage, Origin, RemoteReplacement, format_origin, parse_origin
from layering.refspec import Branch, Commit
from rpmtree.errors import ConfigError, Place
from rpmtree.rpm.nevra import Nevra

COMMIT, DIGEST = "0123456789abcdef" * 4, "ab" * 32
BASE = Branch("granite", "granite/12")


def local(nevra: str, digest: str = DIGEST) -> LocalPackage:
    return LocalPackage(Nevra.parse(nevra), digest)


FULL = f"""\
[origin]
baserefspec=granite:granite/12
override-commit={COMMIT}
custom-url=https://example.com/a;b
custom-description=Kept by: \\\\ fleet
unconfigured-state=Register first

[packages]
requested=/usr/bin/vi;perl(A::B);podman >= 4.1;powerline;
requested-local={DIGEST}:tool-1:2.0-1.x86_64;
requested-local-fileoverride={DIGEST}:forced-1-1.noarch;

[overrides]
remove=nano;
replace-local={DIGEST}:bash-5.3-1.x86_64;
replace=repo=updates,glibc,glibc-common;

[rpmostree]
regenerate-initramfs=true
initramfs-args=-I;/etc/a b;
initramfs-etc=/etc/crypttab;
ex-cliwrap=true

[strata]
follow=tool;
until-newer=bash;
reasons=bash=broken\\;\\ssee #12;

[libostree-transient]
pinned=true
"""

ORIGIN = Origin(
    BASE,
    override_commit=COMMIT,
    custom_url="https://example.com/a;b",
    custom_description="Kept by: \\ fleet",
    unconfigured_state="Register first",
    packages=("/usr/bin/vi", "perl(A::B)", "podman >= 4.1", "powerline"),
    local_packages=(local("tool-1:2.0-1.x86_64"),),
    local_fileoverride=(local("forced-1-1.noarch"),),
    removals=("nano",),
    local_replacements=(local("bash-5.3-1.x86_64"),),
    remote_replacements=(RemoteReplacement("updates", ("glibc", "glibc-common")),),
    regenerate_initramfs=True,
    initramfs_args=("-I", "/etc/a b"),
    initramfs_etc=("/etc/crypttab",),
    follow=("tool",),
    until_newer=("bash",),
    reasons=(("bash", "broken; see #12"),),
    extras=(Extra("rpmostree", "ex-cliwrap", "true"), Extra("libostree-transient", "pinned", "true")),
)


def test_every_key_is_read() -> None:
    assert parse_origin(FULL, "x.origin") == ORIGIN


def test_every_key_is_written() -> None:
    assert format_origin(ORIGIN) == FULL


SMALL = [
    ("[origin]\nrefspec=r:b\n", Origin(Branch("r", "b"))),
    ("[origin]\nrefspec=b\n", Origin(Branch(None, "b"))),
    (f"[origin]\nrefspec={COMMIT}\n", Origin(Commit(COMMIT))),
    ("[origin]\nbaserefspec=r:b\n\n[packages]\nrequested=a;\n", Origin(Branch("r", "b"), packages=("a",))),
    ("[origin]\nbaserefspec=r:b\n\n[overrides]\nremove=a;\n", Origin(Branch("r", "b"), removals=("a",))),
    (
        "[origin]\nbaserefspec=r:b\n\n[rpmostree]\nregenerate-initramfs=true\n",
        Origin(Branch("r", "b"), regenerate_initramfs=True),
    ),
    # These are kept or done without a commit of our own.
    (
        "[origin]\nrefspec=r:b\n\n[rpmostree]\ninitramfs-etc=/etc/a;\n",
        Origin(Branch("r", "b"), initramfs_etc=("/etc/a",)),
    ),
    (
        "[origin]\nrefspec=r:b\nunlocked=x\n\n[new]\na=\\q ;b \n",
        Origin(Branch("r", "b"), extras=(Extra("origin", "unlocked", "x"), Extra("new", "a", "\\q ;b "))),
    ),
]


@pytest.mark.parametrize(("text", "origin"), SMALL)
def test_text_and_value_are_each_other(text: str, origin: Origin) -> None:
    assert parse_origin(text, "x") == origin
    assert format_origin(origin) == text


#: As GLib takes them, if not as it writes them.
OTHER_SPELLINGS = [
    "# a comment\n\n  [origin]  \n  refspec = r:b\n",
    "[origin]\r\nrefspec=r:b\r\n",
    "[origin]\nrefspec=x:y\nrefspec=r:b",
    "[origin]\nrefspec=r:b\n[packages]\nrequested=\n",
    "[origin]\nrefspec=r:b\n[empty]\n[rpmostree]\nregenerate-initramfs=0\n",
    "[packages]\nrequested=\n[origin]\n[other]\n[origin]\nrefspec=r:b\nbaserefspec=r:b\n",
]


@pytest.mark.parametrize("text", OTHER_SPELLINGS)
def test_other_spellings_are_read(text: str) -> None:
    assert parse_origin(text, "x") == Origin(Branch("r", "b"))


def test_sets_are_sorted_and_have_no_doubles() -> None:
    origin = Origin(
        BASE,
        packages=("b", "a", "b"),
        remote_replacements=(
            RemoteReplacement("z", ("b", "a")),
            RemoteReplacement("y", ()),
            RemoteReplacement("z", ("a", "c")),
        ),
    )
    assert origin.packages == ("a", "b")
    assert origin.remote_replacements == (RemoteReplacement("z", ("a", "b", "c")),)


def test_a_list_may_do_without_its_last_semicolon() -> None:
    assert parse_origin("[origin]\nrefspec=r:b\n[packages]\nrequested=a;b", "x").packages == ("a", "b")


HEAD = "[origin]\nrefspec=r:b\n"
BROKEN = [
    ("", None),
    ("[packages]\nrequested=a;\n", None),
    ("refspec=r:b\n", 1),
    ("[origin]\nrefspec=r:b c\n", 2),
    ("[origin]\nrefspec=\n", 2),
    ("[origin]\nrefspec=r:b\nbaserefspec=r:c\n", 3),
    ("[origin]\nrefspec=r:\\q\n", 2),
    ("[origin]\n\ncontainer-image-reference=ostree-unverified-registry:quay.io/a/b\n", 3),
    ("[origin\nrefspec=r:b\n", 1),
    ("[a]b]\nrefspec=r:b\n", 1),
    ("[origin] x\nrefspec=r:b\n", 1),
    (HEAD + "word\n", 3),
    (HEAD + "=value\n", 3),
    (HEAD + "a[b=value\n", 3),
    (HEAD + "custom-url=a\x00b\n", 3),
    (HEAD + "custom-url=a\\nb\n", 3),
    (HEAD + "override-commit=12\n", 3),
    (HEAD + "[packages]\nrequested=a;-b;\n", 4),
    (HEAD + "[packages]\nrequested=a;;b;\n", 4),
    (HEAD + "[packages]\nrequested=a\\\n", 4),
    (HEAD + "[packages]\n#\nrequested-local=a-1-1.noarch;\n", 5),
    (HEAD + f"[packages]\nrequested-local={DIGEST}:a;\n", 4),
    (HEAD + "[overrides]\nreplace=repo=a;\n", 4),
    (HEAD + "[overrides]\nreplace=copr=a,b;\n", 4),
    (HEAD + "[overrides]\nreplace=repo=a,b c;\n", 4),
    (HEAD + "[rpmostree]\nregenerate-initramfs=yes\n", 4),
    (HEAD + "[strata]\nreasons=bash;\n", 4),
    (HEAD + "[strata]\nreasons=bash=\\n;\n", 4),
]


@pytest.mark.parametrize(("text", "line"), BROKEN)
def test_an_error_names_its_line(text: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_origin(text, "a.origin")
    assert caught.value.place == Place("a.origin", line)
    assert "\n" not in caught.value.message


NAMES = st.from_regex(r"[a-z][a-z0-9+._-]{0,8}", fullmatch=True)
WORDS = st.from_regex(r"[a-z][a-z0-9._-]{0,8}", fullmatch=True)
LINES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12).filter(str.strip)
NEVRAS = st.builds(
    Nevra, NAMES, st.integers(0, 9), *[st.from_regex(r"[0-9.a~^]{1,5}", fullmatch=True)] * 2, st.just("x")
)
LOCALS = st.lists(st.builds(LocalPackage, NEVRAS, st.just(DIGEST)), max_size=2).map(tuple)
SPECS = st.sampled_from(["a", "podman >= 4.1", "perl(A::B)", "/usr/bin/vi", "@core", "x-1:2-3.noarch"]) | NAMES
EXTRAS = st.builds(
    Extra,
    st.sampled_from(["origin", "packages", "zz y"]),
    st.sampled_from(["k", "k2[de]", "ünknown"]),
    st.text(st.characters(exclude_characters="\n\r\x00", codec="utf-8")).map(lambda raw: raw.lstrip(" \t\n\r\f\v")),
)
ORIGINS = st.builds(
    Origin,
    st.builds(Branch, st.none() | WORDS, WORDS) | st.just(Commit(COMMIT)),
    override_commit=st.none() | st.just(COMMIT),
    custom_url=st.none() | LINES,
    custom_description=st.none() | LINES,
    packages=st.lists(SPECS, max_size=4).map(tuple),
    local_packages=LOCALS,
    local_fileoverride=LOCALS,
    removals=st.lists(NAMES, max_size=3).map(tuple),
    local_replacements=LOCALS,
    remote_replacements=st.lists(
        st.builds(RemoteReplacement, WORDS, st.lists(NAMES, min_size=1).map(tuple)), max_size=3
    ).map(tuple),
    regenerate_initramfs=st.booleans(),
    initramfs_args=st.lists(LINES, max_size=3).map(tuple),
    reasons=st.dictionaries(NAMES, LINES, max_size=3).map(lambda reasons: tuple(reasons.items())),
    extras=st.lists(EXTRAS, max_size=3, unique_by=lambda extra: (extra.group, extra.key)).map(tuple),
)


def by_group(origin: Origin) -> Origin:
    """Extras come back group by group."""
    order = list(dict.fromkeys(["origin", "packages", *(extra.group for extra in origin.extras)]))
    return replace(origin, extras=tuple(sorted(origin.extras, key=lambda extra: order.index(extra.group))))


@settings(max_examples=50)
@given(ORIGINS)
def test_an_origin_comes_back_from_its_text(origin: Origin) -> None:
    assert by_group(parse_origin(format_origin(origin), "x")) == by_group(origin)


@given(st.text(st.sampled_from("[]=;\\#sntr \t\r\nab\x00é") | st.characters(codec="utf-8")))
def test_no_text_does_more_than_raise_the_error_for_files(text: str) -> None:
    for candidate in (text, f"[origin]\nrefspec=r:b\n[packages]\nrequested={text}"):
        try:
            parse_origin(candidate, "x")
        except ConfigError as error:
            assert error.place is not None  # noqa: PT017 - whether there is an error is not the point


def glib_keyfile(text: str) -> Any:
    from gi.repository import GLib

    loaded = GLib.KeyFile()
    loaded.load_from_data(text, len(text.encode()), GLib.KeyFileFlags.NONE)
    return loaded


@pytest.mark.needs("gi:")
@settings(max_examples=50)
@given(ORIGINS)
def test_glib_reads_what_is_written(origin: Origin) -> None:
    loaded = glib_keyfile(format_origin(origin))
    if origin.packages:
        assert tuple(loaded.get_string_list("packages", "requested")) == origin.packages
    if origin.initramfs_args:
        assert tuple(loaded.get_string_list("rpmostree", "initramfs-args")) == origin.initramfs_args
    if origin.custom_description is not None:
        assert loaded.get_string("origin", "custom-description") == origin.custom_description
    if origin.reasons:
        assert tuple(loaded.get_string_list("strata", "reasons")) == tuple(map("=".join, origin.reasons))


PIECES = st.lists(st.sampled_from(["\\s", "\\n", "\\t", "\\r", "\\\\", ";", "=", "[", "]", "#", " ", "a", "é", "\\;"]))
#: At most one error in a value: GLib 2.74 trips over the second.
ENDS = st.sampled_from(["", "", "\\q", "\\"])


@pytest.mark.needs("gi:")
@given(PIECES, ENDS)
def test_values_are_read_as_glib_reads_them(pieces: list[str], end: str) -> None:
    single = "".join(piece for piece in pieces if piece != "\\;") + end
    compare_with_glib(single, keyfile.string, "get_string")
    compare_with_glib("".join(pieces) + end, keyfile.strings, "get_string_list")


def compare_with_glib(raw: str, ours: Callable[[str], str | tuple[str, ...]], theirs: str) -> None:
    from gi.repository import GLib

    text = f"[g]\nk={raw}\n"
    value = keyfile.parse(text, "x")["g"]["k"].raw
    try:
        expected = getattr(glib_keyfile(text), theirs)("g", "k")
    except GLib.Error:
        with pytest.raises(ValueError, match=r"escape|backslash"):
            ours(value)
    else:
        assert ours(value) == (expected if isinstance(expected, str) else tuple(expected))


@pytest.mark.needs("gi:")
@given(st.lists(st.text(st.sampled_from("\\; \t\n\rabé")), max_size=4))
def test_values_are_written_as_glib_writes_them(items: list[str]) -> None:
    loaded = glib_keyfile("[g]\nk=\n")
    loaded.set_string_list("g", "k", items)
    assert keyfile.from_strings(items) == loaded.get_value("g", "k")
    for item in items:
        loaded.set_string("g", "k", item)
        assert keyfile.from_string(item) == loaded.get_value("g", "k")
