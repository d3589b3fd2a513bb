# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstart files that are written: what is in them reads back as it was meant, and nothing else is in them."""

from __future__ import annotations

import base64
import shlex
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kickstart import passwords, rendering, values
from kickstart.installation import Account, Group, Installation, Partition, Source
from kickstart.quoting import Unquotable, joined, quoted
from kickstart.reading import read
from kickstart.rendering import Profile, Wanted, check, fill_in, key_of, render, versions
from rpmtree.errors import UsageError

TEMPLATES = Path(rendering.__file__).parent / "templates"
PROFILES: tuple[Profile, ...] = ("metal", "vm", "cloud")
HASH = passwords.hashed("stone", "saltstring")
SOURCE = Source("https://x.example/repo", "granite/12/x86_64/server", "origin", "granite")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKSVt2xT2oYDkCVcUvkE3wfYLzrE0g1kR5Ul0bS4t2P {}"
#: What people try: quotes, remarks, ends of lines of all kinds, options, sections, templates, shells.
HOSTILE = st.one_of(
    st.text(max_size=20),
    st.text(alphabet="a'\"\\#%- \n\r\t\x0b\x0c\x1c\x85\u2028$`;&|<>{}(),=:@!", max_size=12),
    st.sampled_from(
        [
            "a\nrootpw --plaintext x",
            "a'\nrootpw x\n'",
            'a" --nogpg "',
            "' --nogpg '",
            "%pre",
            "-x",
            "--nogpg",
            "{{ 7 }}",
            "a\u2028rootpw x",
            "a\x85%pre\x85x\x85%end",
            "$(id)",
            "`id`",
            "a #b",
            "\\",
            "'",
            '"',
            "",
            " ",
            "a\\\nb",
        ]
    ),
)


@cache
def handler_of(version: str) -> Any:
    from pykickstart.version import makeVersion, versionMap

    return makeVersion(versionMap[version])


def words_of(text: str, version: str = "F41") -> list[list[str]]:
    """The directives and sections' headers that Anaconda sees, and the scripts' bodies line by line."""
    from pykickstart.parser import KickstartParser

    found: list[list[str]] = []
    handler = handler_of(version)
    handler.scripts = []

    class Parser(KickstartParser):  # type: ignore[misc]
        def handleCommand(self, lineno: int, args: list[str]) -> None:
            found.append(args)

    Parser(handler).readKickstartFromString(text)
    for script in handler.scripts:
        found += [["script", str(script.type)], *(["line"] for _ in script.script.splitlines())]
    return found


@given(HOSTILE)
@settings(max_examples=300)
def test_a_quoted_value_is_one_word(value: str) -> None:
    try:
        text = quoted(value)
    except Unquotable:
        return
    assert len(f"a --b={text} c".splitlines()) == 1
    assert shlex.split(f"a --b={text} c", comments=True) == ["a", f"--b={value}", "c"]


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], b"a", "a\nb", "a\u2028b", "a\x85b", "-a", "%a", "a\0"])
def test_what_can_not_be_quoted(value: object) -> None:
    with pytest.raises(Unquotable):
        quoted(value)


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (7, "7"), ("", "''"), ("a'b", "'a'\"'\"'b'"), ("a #b", "'a #b'")]
)
def test_what_can_be_quoted(value: object, text: str) -> None:
    assert quoted(value) == text


@pytest.mark.parametrize(("texts", "separator"), [(["a,b"], ","), (["a", ""], ","), (["a b"], " "), (['a="b'], " ")])
def test_what_can_not_be_joined(texts: list[str], separator: str) -> None:
    with pytest.raises(Unquotable):
        joined(texts, separator)
    assert joined(["a", 'b="c"'], separator) == f'a{separator}b="c"'


@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "{{ x|safe }}",
        "{{ x|e }}",
        "{{ x|string }}",
        "{{ '' ~ x }}",
        "{{ [x]|join }}",
        "{{ x.replace('a', 'a') }}",
        "{% set y = x %}{{ y }}",
        "{% macro m() %}{{ x }}{% endmacro %}{{ m() }}",
        "{% filter upper %}{{ x }}{% endfilter %}",
    ],
)
def test_no_template_can_put_in_a_value_as_it_is(template: str) -> None:
    environment = rendering._templates()
    for x in ("a\nrootpw b", "a' --nogpg '"):
        try:
            text = environment.from_string(template).render(x=x)
        except Unquotable:
            continue
        assert len(text.splitlines()) == 1
        assert len(shlex.split(text)) == 1
    # The control: without that one function they all could.
    bare = environment.overlay(finalize=str).from_string(template).render(x="a\nrootpw b")
    assert len(bare.splitlines()) == 2


def test_the_templates_have_no_way_around_it() -> None:
    from jinja2 import nodes

    environment = rendering._templates()
    assert environment.finalize is quoted
    names = sorted(path.name for path in TEMPLATES.iterdir())
    assert names == ["base.ks.j2", "cloud.ks.j2", "metal.ks.j2", "vm.ks.j2"]
    for name in names:
        tree = environment.parse((TEMPLATES / name).read_text())
        for kind in (nodes.Macro, nodes.FilterBlock, nodes.CallBlock, nodes.MarkSafe, nodes.ScopedEvalContextModifier):
            assert list(tree.find_all(kind)) == []
        assert {node.name for node in tree.find_all(nodes.Filter)} <= {"joined"}


NAME = st.from_regex(r"[a-z_][a-z0-9_-]{0,12}", fullmatch=True).filter(lambda name: name != "root")
UNIT = st.from_regex(r"[a-z][a-z0-9@.-]{0,12}", fullmatch=True).filter(lambda name: name.count("@") < 2)
PRINTABLE = st.text(alphabet="abc XYZ äß'\"#\\$`;|&<>{}(),.=%-@!", max_size=16)


def accounts() -> st.SearchStrategy[Account]:
    return st.builds(
        Account,
        NAME,
        st.sampled_from([None, HASH]),
        st.booleans(),
        st.lists(NAME, max_size=3, unique=True).map(tuple),
        uid=st.none() | st.integers(1, 60000),
        gid=st.none() | st.integers(1, 60000),
        home=st.none()
        | st.from_regex(r"(/[a-z][a-z0-9._-]{0,5}){1,3}", fullmatch=True).filter(lambda p: "/." not in p),
        shell=st.sampled_from([None, "/bin/bash", "/usr/bin/zsh"]),
        gecos=PRINTABLE.filter(lambda text: not text.startswith(("-", "%"))),
        keys=st.lists(PRINTABLE.map(lambda text: values.ssh_key(KEY.format(text))), max_size=2, unique=True).map(tuple),
    )


def partitions() -> st.SearchStrategy[tuple[Partition, ...]]:
    more = st.builds(
        Partition,
        st.sampled_from(["/boot", "/var", "/var/log", "swap"]),
        st.sampled_from(["ext4", "xfs"]),
        st.integers(1, 99999),
        st.booleans(),
        label=st.none() | st.from_regex(r"[A-Za-z0-9_.:/+]{1,12}", fullmatch=True),
        options=st.lists(st.from_regex(r"[a-z]{1,8}(=[A-Za-z0-9:/+@%-]{1,8})?", fullmatch=True), max_size=3).map(tuple),
    ).map(lambda one: replace(one, filesystem="swap") if one.mountpoint == "swap" else one)
    unique = st.lists(more, max_size=4, unique_by=(lambda one: one.mountpoint, lambda one: one.label or id(one)))
    return unique.map(lambda found: (Partition("/", "xfs", grow=True), *found)) | st.just(())


INSTALLATIONS = st.builds(
    Installation,
    source=st.builds(
        Source,
        st.from_regex(r"https://[a-z]{1,8}(/[A-Za-z0-9$&()*+,;=._~%-]{1,6}){0,2}", fullmatch=True),
        st.from_regex(r"[a-z0-9]{1,6}(/[a-z0-9_]{1,6}){0,3}", fullmatch=True),
        st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,8}", fullmatch=True),
        st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,8}", fullmatch=True),
        st.booleans(),
    ),
    partitions=partitions(),
    kernel_arguments=st.lists(
        st.from_regex(r"[a-z_.]{1,8}(=([A-Za-z0-9,:/#$'%-]{1,8}|\"[a-z #',]{0,8}\"))?", fullmatch=True), max_size=4
    ).map(tuple),
    boot_timeout=st.none() | st.integers(0, 60),
    users=st.lists(accounts(), max_size=3, unique_by=(lambda one: one.name, lambda one: one.uid or one.name)).map(
        tuple
    ),
    groups=st.lists(
        st.builds(Group, NAME, st.none() | st.integers(1, 9)),
        max_size=2,
        unique_by=(lambda one: one.name, lambda one: one.gid or one.name),
    ).map(tuple),
    timezone=st.sampled_from(["Etc/UTC", "America/Argentina/Ushuaia", "Etc/GMT+1"]),
    lang=st.sampled_from(["C", "de_DE.UTF-8", "ca_ES.UTF-8@valencia"]),
    keyboard=st.sampled_from(["us", "de-nodeadkeys"]),
    hostname=st.none() | st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?", fullmatch=True),
    enabled=st.lists(UNIT.map(lambda name: f"e{name}"), max_size=3, unique=True).map(tuple),
    disabled=st.lists(UNIT.map(lambda name: f"d{name}"), max_size=3, unique=True).map(tuple),
    selinux=st.sampled_from([None, "enforcing", "permissive", "disabled"]),
    root=st.builds(Account, st.just("root"), st.none(), st.just(True))
    | st.builds(Account, st.just("root"), st.just(HASH)),
)


def read_back(text: str) -> Installation:
    with TemporaryDirectory() as where:
        path = Path(where) / "t.ks"
        path.write_text(text)
        found, _ = read(path, basearch="x86_64")
    return replace(found, partitions=tuple(replace(one, place=None) for one in found.partitions))


@given(INSTALLATIONS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_reads_back(wanted: Installation) -> None:
    found = read_back(fill_in(Wanted(wanted, "metal")))
    plain = replace(found, post=(), partitions=found.partitions if wanted.partitions else ())
    assert plain == wanted
    assert len(found.post) == 1


#: Each text of an installation, put in where it belongs.
PLACES: dict[str, Any] = {
    "url": lambda v: Installation(source=replace(SOURCE, url=v)),
    "ref": lambda v: Installation(source=replace(SOURCE, ref=v)),
    "remote": lambda v: Installation(source=replace(SOURCE, remote=v)),
    "osname": lambda v: Installation(source=replace(SOURCE, osname=v)),
    "timezone": lambda v: Installation(SOURCE, timezone=v),
    "lang": lambda v: Installation(SOURCE, lang=v),
    "keyboard": lambda v: Installation(SOURCE, keyboard=v),
    "hostname": lambda v: Installation(SOURCE, hostname=v),
    "root": lambda v: Installation(SOURCE, root=Account("root", v)),
    "root's key": lambda v: Installation(SOURCE, root=Account("root", locked=True, keys=(v,))),
    "user": lambda v: Installation(SOURCE, users=(Account(v),)),
    "password": lambda v: Installation(SOURCE, users=(Account("a", v),)),
    "groups": lambda v: Installation(SOURCE, users=(Account("a", groups=("b", v)),)),
    "home": lambda v: Installation(SOURCE, users=(Account("a", home=v),)),
    "shell": lambda v: Installation(SOURCE, users=(Account("a", shell=v),)),
    "gecos": lambda v: Installation(SOURCE, users=(Account("a", gecos=v),)),
    "key": lambda v: Installation(SOURCE, users=(Account("a", keys=(v,)),)),
    "group": lambda v: Installation(SOURCE, groups=(Group(v),)),
    "enabled": lambda v: Installation(SOURCE, enabled=("a", v)),
    "disabled": lambda v: Installation(SOURCE, disabled=(v,)),
    "kernel": lambda v: Installation(SOURCE, kernel_arguments=("a", v)),
    "mountpoint": lambda v: Installation(SOURCE, (Partition(v, size=1),)),
    "label": lambda v: Installation(SOURCE, (Partition("/", size=1, label=v),)),
    "options": lambda v: Installation(SOURCE, (Partition("/", size=1, options=("a", v)),)),
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@given(value=HOSTILE)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_value_is_more_than_a_value(place: str, value: str) -> None:
    """Whatever the text is, the directives are those of a harmless one, with that text where the harmless one was."""
    harmless = words_of(fill_in(Wanted(PLACES[place]("https:x"))))
    try:
        text = fill_in(Wanted(PLACES[place](value)))
    except UsageError:
        return
    if not value:
        return  # nothing is said of what is empty, and that is a directive less
    found = words_of(text)
    assert [[word.replace("https:x", value) for word in line] for line in harmless] == found


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("version", [name for name in versions() if name not in ("F21", "F22", "RHEL7")])
def test_every_profile_for_every_version(profile: Profile, version: str) -> None:
    core = Account("core", groups=("wheel",), keys=(KEY.format("core@stone"),))
    wanted = Wanted(Installation(SOURCE, users=(core,)), profile, version, graphical=True)
    check(render(wanted), version)


def test_profiles_differ() -> None:
    texts = {profile: render(Wanted(Installation(SOURCE), profile)) for profile in PROFILES}
    metal, vm, cloud = (texts[profile] for profile in PROFILES)
    assert "part /var" in metal
    assert "part /var" not in vm + cloud
    assert "ttyS0" not in metal
    assert "console=tty0 console=ttyS0,115200n8" in vm
    assert "cloud-init" in cloud
    assert "cloud-init" not in metal + vm
    assert "\nreboot\n" in metal
    assert "\npoweroff\n" in cloud
    assert "machine-id" in cloud
    for text in texts.values():
        assert "\nrootpw --lock\n" in text


def test_the_root_of_a_cloud_image_has_no_password() -> None:
    wanted = Wanted(Installation(SOURCE, root=Account("root", HASH)), "vm")
    assert HASH in render(wanted)
    with pytest.raises(UsageError):
        render(replace(wanted, profile="cloud"))


def test_units_that_are_disabled_stay_so() -> None:
    found = read_back(render(Wanted(Installation(SOURCE, disabled=("sshd",)), "cloud")))
    assert found.disabled == ("sshd",)
    assert "cloud-init" in found.enabled
    assert "sshd" not in found.enabled


@pytest.mark.parametrize(
    ("version", "image", "name"),
    [
        ("F37", "quay.io/a/b", "ostreecontainer"),
        ("RHEL8", "quay.io/a/b", "ostreecontainer"),
        ("F22", None, "reqpart"),
        ("RHEL7", None, "sshkey"),
    ],
)
def test_an_old_version_that_lacks_a_directive(version: str, image: str | None, name: str) -> None:
    root = Account("root", locked=True, keys=(KEY.format("a"),) if version == "RHEL7" else ())
    wanted = Wanted(Installation(None if image else SOURCE, root=root), version=version, image=image)
    with pytest.raises(UsageError) as caught:
        render(wanted)
    assert name in caught.value.message
    assert version in caught.value.message
    assert name in render(replace(wanted, version="RHEL9"))


def test_a_container_image() -> None:
    wanted = Wanted(Installation(), image="quay.io/a/b:c", osname="granite", verify_image=False)
    line = next(line for line in render(wanted).splitlines() if line.startswith("ostreecontainer"))
    assert line.split() == [
        "ostreecontainer",
        "--stateroot=granite",
        "--url=quay.io/a/b:c",
        "--no-signature-verification",
    ]
    assert "--no-signature-verification" not in render(replace(wanted, verify_image=True))
    with pytest.raises(UsageError):
        render(Wanted(Installation()))


def test_keys() -> None:
    packets = b"\x99\x01\x0d" + bytes(range(200))
    assert key_of(packets) == packets
    armored = base64.encodebytes(packets)
    for headers in (b"", b"Version: x\n", b"Comment: y\nVersion: x\n"):
        text = b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n%s\n%s=AbCd\n-----END PGP PUBLIC KEY BLOCK-----\n"
        assert key_of(text % (headers, armored)) == packets
        assert key_of((text % (headers, armored)).replace(b"\n", b"\r\n")) == packets
    for wrong in (b"", b"a", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n", text % (b"", b"!\n"), b"-----"):
        with pytest.raises(ValueError, match="OpenPGP"):
            key_of(wrong)
