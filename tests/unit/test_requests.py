# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests as functions from origin to origin, and which of them take effect on a base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from layering import classify as c
from layering import requests as r
from layering.origin import Extra, LocalPackage, Origin, RemoteReplacement
from layering.refspec import Base, Branch, Commit
from rpmtree.errors import ToolError, UsageError
from rpmtree.rpm.nevra import Nevra

BRANCH = Branch("granite", "granite/12")
ONE, TWO = "1" * 64, "2" * 64


def local(nevra: str, digest: str = ONE) -> LocalPackage:
    return LocalPackage(Nevra.parse(nevra), digest)


def remote(repo: str, *packages: str) -> RemoteReplacement:
    return RemoteReplacement(repo, packages)


PLAIN = Origin(BRANCH)
TOOL, TOOL_2, TOOL_32 = local("tool-1-1.x86_64"), local("tool-2-1.x86_64"), local("tool-1-1.i686")
LAYERED = Origin(BRANCH, packages=("powerline", "vi >= 2"), local_packages=(TOOL, TOOL_32), follow=("tool",))
BASH, BASH_6 = local("bash-5-1.x86_64"), local("bash-6-1.x86_64")
OVERRIDDEN = Origin(
    BRANCH,
    packages=("powerline",),
    removals=("nano",),
    local_replacements=(BASH,),
    remote_replacements=(remote("updates", "glibc", "glibc-common"),),
    until_newer=("bash", "glibc"),
    reasons=(("bash", "a"), ("nano", "b"), ("glibc", "c")),
)

Change = Callable[[Origin], Origin]
CHANGES: list[tuple[Origin, Change, dict[str, Any]]] = [
    (PLAIN, lambda o: r.install(o, ["b", "a"]), {"packages": ("a", "b")}),
    (
        LAYERED,
        lambda o: r.install(o, ["powerline", "a"], idempotent=True),
        {"packages": ("a", "powerline", "vi >= 2")},
    ),
    (PLAIN, lambda o: r.install_local(o, [TOOL, TOOL_32]), {"local_packages": (TOOL_32, TOOL)}),
    (PLAIN, lambda o: r.install_local(o, [TOOL], follow=True), {"local_packages": (TOOL,), "follow": ("tool",)}),
    (PLAIN, lambda o: r.install_local(o, [TOOL], fileoverride=True), {"local_fileoverride": (TOOL,)}),
    # Another build takes the place of the one that is there, of its architecture alone.
    (LAYERED, lambda o: r.install_local(o, [TOOL_2]), {"local_packages": (TOOL_32, TOOL_2)}),
    (
        LAYERED,
        lambda o: r.install_local(o, [TOOL_2], fileoverride=True),
        {"local_packages": (TOOL_32,), "local_fileoverride": (TOOL_2,)},
    ),
    (
        Origin(BRANCH, local_fileoverride=(TOOL,)),
        lambda o: r.install_local(o, [TOOL_2]),
        {"local_packages": (TOOL_2,), "local_fileoverride": ()},
    ),
    (LAYERED, lambda o: r.uninstall(o, ["powerline"]), {"packages": ("vi >= 2",)}),
    (LAYERED, lambda o: r.uninstall(o, ["powerline-2.8-1.noarch"]), {"packages": ("vi >= 2",)}),
    (LAYERED, lambda o: r.uninstall(o, ["vi >= 2"]), {"packages": ("powerline",)}),
    (LAYERED, lambda o: r.uninstall(o, ["tool-1-1.i686"]), {"local_packages": (TOOL,)}),
    (LAYERED, lambda o: r.uninstall(o, ["tool"]), {"local_packages": (), "follow": ()}),
    (LAYERED, lambda o: r.uninstall(o, ["nothing", "powerline"], idempotent=True), {"packages": ("vi >= 2",)}),
    (LAYERED, r.uninstall_all, {"packages": (), "local_packages": (), "follow": ()}),
    (
        PLAIN,
        lambda o: r.override_remove(o, ["nano", "ed"], reason="why"),
        {"removals": ("ed", "nano"), "reasons": (("ed", "why"), ("nano", "why"))},
    ),
    (
        PLAIN,
        lambda o: r.override_replace_local(o, [BASH], reason="why", until_newer=True),
        {"local_replacements": (BASH,), "until_newer": ("bash",), "reasons": (("bash", "why"),)},
    ),
    # What was said about a replacement goes with it.
    (
        OVERRIDDEN,
        lambda o: r.override_replace_local(o, [BASH_6]),
        {"local_replacements": (BASH_6,), "until_newer": ("glibc",), "reasons": (("glibc", "c"), ("nano", "b"))},
    ),
    (
        OVERRIDDEN,
        lambda o: r.override_replace_from(o, "testing", ["bash", "glibc"], until_newer=True),
        {
            "local_replacements": (),
            "remote_replacements": (remote("testing", "bash", "glibc"), remote("updates", "glibc-common")),
            "reasons": (("nano", "b"),),
        },
    ),
    (
        OVERRIDDEN,
        lambda o: r.override_replace_local(o, [local("glibc-3-1.x86_64")]),
        {
            "local_replacements": (BASH, local("glibc-3-1.x86_64")),
            "remote_replacements": (remote("updates", "glibc-common"),),
            "until_newer": ("bash",),
            "reasons": (("bash", "a"), ("nano", "b")),
        },
    ),
    (
        OVERRIDDEN,
        lambda o: r.override_reset(o, ["nano", "bash-5-1.x86_64"]),
        {"removals": (), "local_replacements": (), "until_newer": ("glibc",), "reasons": (("glibc", "c"),)},
    ),
    (
        OVERRIDDEN,
        lambda o: r.override_reset(o, ["glibc-common", "nano-7.2-1.x86_64"]),
        {
            "removals": (),
            "remote_replacements": (remote("updates", "glibc"),),
            "reasons": (("bash", "a"), ("glibc", "c")),
        },
    ),
    (
        OVERRIDDEN,
        r.override_reset_all,
        {"removals": (), "local_replacements": (), "remote_replacements": (), "until_newer": (), "reasons": ()},
    ),
    (PLAIN, lambda o: r.rebase(o, Branch("basalt", "b")), {"base": Branch("basalt", "b")}),
    (PLAIN, lambda o: r.rebase(o, BRANCH, commit=ONE), {"override_commit": ONE}),
    (PLAIN, lambda o: r.rebase(o, Commit(ONE), commit=ONE), {"base": Commit(ONE)}),
    (
        Origin(BRANCH, override_commit=ONE, unconfigured_state="no", packages=("a",)),
        lambda o: r.rebase(o, BRANCH),
        {"override_commit": None, "unconfigured_state": None},
    ),
    (
        PLAIN,
        lambda o: r.rebase(o, Commit(ONE), custom_url="u", custom_description="d"),
        {"base": Commit(ONE), "custom_url": "u", "custom_description": "d"},
    ),
    (
        Origin(Commit(ONE), custom_url="u", custom_description="d"),
        lambda o: r.rebase(o, BRANCH),
        {"base": BRANCH, "custom_url": None, "custom_description": None},
    ),
    (PLAIN, lambda o: r.pin(o, ONE), {"override_commit": ONE}),
    (Origin(Commit(ONE)), lambda o: r.pin(o, TWO), {"base": Commit(TWO)}),
    (Origin(BRANCH, override_commit=ONE), r.unpin, {"override_commit": None}),
    (
        PLAIN,
        lambda o: r.set_initramfs(o, regenerate=True, args=["-I", "/etc/a b"]),
        {"regenerate_initramfs": True, "initramfs_args": ("-I", "/etc/a b")},
    ),
    (
        Origin(BRANCH, regenerate_initramfs=True, initramfs_args=("-I",)),
        lambda o: r.set_initramfs(o, regenerate=False),
        {"regenerate_initramfs": False, "initramfs_args": ()},
    ),
]


@pytest.mark.parametrize(("origin", "change", "fields"), CHANGES)
def test_a_change_is_made_and_nothing_else(origin: Origin, change: Change, fields: dict[str, Any]) -> None:
    assert change(origin) == replace(origin, **fields)


FULL = replace(OVERRIDDEN, regenerate_initramfs=True, initramfs_args=("-v",), initramfs_etc=("/etc/a",))
RESETS = [
    ({}, PLAIN),
    ({"overlays": True}, replace(FULL, packages=())),
    ({"overrides": True}, replace(r.override_reset_all(OVERRIDDEN), **{
        name: getattr(FULL, name) for name in ("regenerate_initramfs", "initramfs_args", "initramfs_etc")})),
    ({"initramfs": True}, OVERRIDDEN),
    ({"overlays": True, "overrides": True, "initramfs": True}, PLAIN),
]  # fmt: skip


@pytest.mark.parametrize(("what", "expected"), RESETS)
def test_reset_takes_back_what_is_named_or_all(what: dict[str, bool], expected: Origin) -> None:
    assert r.reset(FULL, **what) == expected


REFUSALS: list[tuple[Origin, Change, type[r.RequestError], tuple[str, ...]]] = [
    (LAYERED, lambda o: r.install(o, ["a", "powerline", "vi >= 2"]), r.AlreadyRequested, ("powerline", "vi >= 2")),
    (LAYERED, lambda o: r.install(o, ["tool-1-1.x86_64"]), r.AlreadyRequested, ("tool-1-1.x86_64",)),
    (LAYERED, lambda o: r.install_local(o, [TOOL]), r.AlreadyRequested, ("tool-1-1.x86_64",)),
    (LAYERED, lambda o: r.uninstall(o, ["a", "powerline", "b"]), r.NotRequested, ("a", "b")),
    (LAYERED, lambda o: r.uninstall(o, ["vi"]), r.NotRequested, ("vi",)),
    (OVERRIDDEN, lambda o: r.override_remove(o, ["ed", "nano", "bash", "glibc"]), r.OverrideExists,
     ("nano", "bash", "glibc")),
    (OVERRIDDEN, lambda o: r.override_replace_local(o, [BASH]), r.OverrideExists, ("bash",)),
    (OVERRIDDEN, lambda o: r.override_replace_local(o, [local("nano-1-1.x86_64")]), r.OverrideExists, ("nano",)),
    (OVERRIDDEN, lambda o: r.override_replace_from(o, "updates", ["bash", "glibc"]), r.OverrideExists, ("glibc",)),
    (OVERRIDDEN, lambda o: r.override_replace_from(o, "testing", ["nano"]), r.OverrideExists, ("nano",)),
    (OVERRIDDEN, lambda o: r.override_reset(o, ["nano", "ed", "bash-6-1.x86_64-x"]), r.NoOverride,
     ("ed", "bash-6-1.x86_64-x")),
    (PLAIN, lambda o: r.rebase(o, BRANCH), r.SameBase, ("granite:granite/12",)),
    (Origin(Commit(ONE)), lambda o: r.rebase(o, Commit(ONE)), r.SameBase, (ONE,)),
]  # fmt: skip


@pytest.mark.parametrize(("origin", "change", "error", "names"), REFUSALS)
def test_all_that_does_not_fit_is_named(
    origin: Origin, change: Change, error: type[r.RequestError], names: tuple[str, ...]
) -> None:
    with pytest.raises(error) as caught:
        change(origin)
    assert type(caught.value) is error
    assert caught.value.names == names
    assert caught.value.exit_code == ToolError.exit_code
    assert all(name in caught.value.message for name in names)


MISUSES: list[Change] = [
    lambda o: r.install(o, ["--root=/"]),
    lambda o: r.install(o, ["a\nb"]),
    lambda o: r.override_remove(o, ["a b"]),
    lambda o: r.override_remove(o, ["a"], reason="a\nb"),
    lambda o: r.override_replace_from(o, "a b", ["a"]),
    lambda o: r.override_replace_from(o, "a", ["b,c"]),
    lambda o: r.rebase(o, BRANCH, custom_url="u"),
    lambda o: r.rebase(o, BRANCH, custom_url="u\n", custom_description="d"),
    lambda o: r.rebase(o, BRANCH, commit="12"),
    lambda o: r.rebase(o, Commit(ONE), commit=TWO),
    lambda o: r.pin(o, "12"),
    lambda o: r.set_initramfs(o, regenerate=False, args=["-I"]),
    lambda o: r.set_initramfs(o, regenerate=True, args=["a\n"]),
]


@pytest.mark.parametrize("change", MISUSES)
def test_what_can_not_be_meant_is_bad_usage(change: Change) -> None:
    with pytest.raises(UsageError):
        change(PLAIN)


TRANSIENT = (Extra("libostree-transient", "pinned", "true"), Extra("origin", "unlocked", "x"))
KEPT = (Extra("origin", "other", "x"), Extra("rpmostree", "ex-cliwrap", "true"))


def test_what_holds_for_one_deployment_alone_is_left_behind() -> None:
    origin = replace(PLAIN, extras=(*TRANSIENT, *KEPT))
    assert r.install(origin, ["a"]) == Origin(BRANCH, packages=("a",), extras=KEPT)
    assert r.without_transient(origin).extras == KEPT


@pytest.mark.parametrize("change", [
    lambda o: r.install(o, ["powerline"], idempotent=True),
    lambda o: r.install_local(o, [TOOL], idempotent=True),
    lambda o: r.uninstall(o, ["a"], idempotent=True),
    r.override_reset_all,
    r.unpin,
])  # fmt: skip
def test_nothing_to_change_gives_the_same_origin(change: Change) -> None:
    origin = replace(LAYERED, extras=TRANSIENT)
    assert change(origin) is origin


PACKAGES = {
    Nevra.parse(nevra): provides
    for nevra, provides in {
        "bash-5.2-1.x86_64": ["bash = 5.2-1", "/bin/sh", "sh"],
        "glibc-1:2.36-9.x86_64": ["libc.so.6()(64bit)"],
        "glibc-1:2.36-9.i686": ["libc.so.6"],
        "nano-7.2-1.x86_64": ["editor = 1"],
        "vim-9.0-2.x86_64": ["editor = 2:9", "editor-plain"],
    }.items()
}
BASE = c.Base(PACKAGES, {"/usr/bin/vim": Nevra.parse("vim-9.0-2.x86_64")})

PROVIDED = [
    ("bash", "bash-5.2-1.x86_64"),
    ("bash.x86_64", "bash-5.2-1.x86_64"),
    ("bash-5.2", "bash-5.2-1.x86_64"),
    ("bash-5.2-1", "bash-5.2-1.x86_64"),
    ("bash-5.2-1.x86_64", "bash-5.2-1.x86_64"),
    ("bash-0:5.2-1.x86_64", "bash-5.2-1.x86_64"),
    ("bash >= 5", "bash-5.2-1.x86_64"),
    ("bash>=5.2-1", "bash-5.2-1.x86_64"),
    ("bash = 5.2", "bash-5.2-1.x86_64"),
    ("glibc.i686", "glibc-2.36-9.i686"),
    ("glibc-1:2.36-9.x86_64", "glibc-2.36-9.x86_64"),
    ("glibc > 2.99", "glibc-2.36-9.i686"),  # the epoch counts
    ("libc.so.6()(64bit)", "glibc-2.36-9.x86_64"),
    ("/bin/sh", "bash-5.2-1.x86_64"),
    ("/usr/bin/vim", "vim-9.0-2.x86_64"),
    ("editor >= 2", "vim-9.0-2.x86_64"),
    ("editor", "nano-7.2-1.x86_64"),
    ("powerline", None),
    ("bash.i686", None),
    ("bash-5.1", None),
    ("bash >= 6", None),
    ("bash < 5.2", None),
    ("editor-plain >= 1", None),
    ("/usr/bin/nano", None),
    ("@bash", None),
    ("bas*", None),
    ("[b]ash", None),
]


@pytest.mark.parametrize(("spec", "provider"), PROVIDED)
def test_the_base_provides(spec: str, provider: str | None) -> None:
    found = BASE.provider(spec)
    assert (str(found).replace("1:", "") if found else None) == provider


def test_a_package_that_is_removed_provides_nothing() -> None:
    assert str(BASE.provider("editor", {"nano"})) == "vim-9.0-2.x86_64"
    assert BASE.provider("editor", {"nano", "vim"}) is None


def whats(entries: tuple[c.Dormant, ...]) -> list[str]:
    return [entry.what for entry in entries]


def test_what_has_no_effect_is_told_apart_from_what_has() -> None:
    same, gone, newer = local("nano-7.2-1.x86_64"), local("gone-1-1.x86_64"), local("bash-6-1.x86_64")
    origin = Origin(
        BRANCH,
        packages=("bash", "powerline", "editor"),
        local_packages=(local("vim-9.0-2.x86_64"), TOOL),
        local_fileoverride=(local("bash-5.2-1.x86_64"),),
        removals=("ed", "vim"),
        local_replacements=(same, gone, newer),
        remote_replacements=(remote("updates", "glibc", "absent"), remote("other", "missing")),
    )
    found = c.classify(origin, BASE)
    assert found.active == Origin(
        BRANCH,
        packages=("powerline",),
        local_packages=(TOOL,),
        removals=("vim",),
        local_replacements=(newer,),
        remote_replacements=(remote("updates", "glibc"),),
    )
    assert whats(found.requests) == ["bash", "editor", "vim-9.0-2.x86_64", "bash-5.2-1.x86_64"]
    assert whats(found.removals) == ["ed"]
    assert whats(found.replacements) == [
        *("gone-1-1.x86_64", "nano-7.2-1.x86_64", "missing from other", "absent from updates")
    ]
    assert found.lapsed == ()
    assert found.lines[:2] == ("Inactive requests:", "  bash (already provided by bash-5.2-1.x86_64)")


def test_what_has_effect_is_left_as_it_is() -> None:
    origin = Origin(BRANCH, packages=("powerline",), removals=("nano",), local_replacements=(BASH_6,))
    assert c.classify(origin, BASE) == c.Classified(origin)
    assert c.classify(origin, BASE).lines == ()


LAPSES = [
    ("bash-5.1-1.x86_64", True),
    ("bash-5.2-1.x86_64", True),
    ("bash-5.2-1.noarch", True),
    ("bash-5.2-2.x86_64", False),
    ("bash-1:1-1.x86_64", False),
]


@pytest.mark.parametrize(("nevra", "lapsed"), LAPSES)
@pytest.mark.parametrize("from_repo", [False, True])
def test_an_override_lasts_until_the_base_has_caught_up(nevra: str, lapsed: bool, from_repo: bool) -> None:
    origin = (
        r.override_replace_from(PLAIN, "updates", ["bash"], until_newer=True)
        if from_repo
        else r.override_replace_local(PLAIN, [local(nevra)], until_newer=True)
    )
    found = c.classify(origin, BASE, {"bash": Nevra.parse(nevra)})
    assert found.lapsed == (("bash",) if lapsed else ())
    assert found.replacements == ()
    assert bool(found.active.replaced_names) is not lapsed
    # It lasts where nobody said until when.
    forever = c.classify(replace(origin, until_newer=()), BASE, {"bash": Nevra.parse(nevra)})
    assert forever.lapsed == ()
    assert bool(forever.active.replaced_names) is not (nevra == "bash-5.2-1.x86_64")


def test_what_a_repository_offers_may_be_unknown() -> None:
    origin = r.override_replace_from(PLAIN, "updates", ["bash"], until_newer=True)
    assert c.classify(origin, BASE) == c.Classified(origin)


CHECKS: list[tuple[Callable[[], None], type[r.RequestError], tuple[str, ...]]] = [
    (lambda: c.refuse_provided(PLAIN, ["bash", "powerline", "editor >= 2"], BASE), c.AlreadyProvided,
     ("bash", "editor >= 2")),
    (lambda: c.refuse_removed(Origin(BRANCH, packages=("bash", "editor"), removals=("bash", "nano")), BASE),
     c.ProvidedByRemoved, ("bash",)),
    (lambda: c.refuse_in_base([local("nano-8-1.x86_64"), TOOL], BASE), c.AlreadyInBase, ("nano-8-1.x86_64",)),
    (lambda: c.refuse_not_in_base(["nano", "ed", "bash-5.2"], BASE), c.NotInBase, ("ed", "bash-5.2")),
]  # fmt: skip


@pytest.mark.parametrize(("check", "error", "names"), CHECKS)
def test_what_makes_no_sense_on_the_base_is_named(
    check: Callable[[], None], error: type[r.RequestError], names: tuple[str, ...]
) -> None:
    with pytest.raises(error) as caught:
        check()
    assert caught.value.names == names


def test_what_makes_sense_on_the_base_is_let_through() -> None:
    removing = Origin(BRANCH, packages=("editor",), removals=("nano",))
    c.refuse_provided(removing, ["powerline", "nano"], BASE)
    c.refuse_removed(removing, BASE)
    c.refuse_in_base([TOOL], BASE)
    c.refuse_not_in_base(["nano"], BASE)


@pytest.mark.parametrize("base", [Branch(None, "b"), Commit(ONE)])
def test_requests_survive_a_rebase(base: Base) -> None:
    assert r.rebase(FULL, base) == replace(FULL, base=base)
