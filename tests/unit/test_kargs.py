# SPDX-License-Identifier: GPL-2.0-or-later
"""Arithmetic of kernel arguments."""

from __future__ import annotations

import pytest

from layering.kargs import Changes, change, edited, of_proc_cmdline
from rpmtree.errors import UsageError

PRESENT = ("root=UUID=ab", "quiet", "console=tty0", "console=ttyS0", "twice", "twice")


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        (Changes(), PRESENT),
        (Changes(append=("a=1", "quiet")), (*PRESENT, "a=1", "quiet")),
        (
            Changes(append_if_missing=("quiet", "a=1", "a=1", "console=tty0", "console=x")),
            (*PRESENT, "a=1", "console=x"),
        ),
        (Changes(delete=("quiet",)), tuple(karg for karg in PRESENT if karg != "quiet")),
        (Changes(delete=("console=tty0", "console")), ("root=UUID=ab", "quiet", "twice", "twice")),
        (Changes(delete=("twice",)), PRESENT[:-1]),
        (Changes(delete=("root",)), PRESENT[1:]),
        (Changes(delete_if_present=("missing", "console=x", "quiet")), (PRESENT[0], *PRESENT[2:])),
        (Changes(replace=("root=LABEL=x",)), ("root=LABEL=x", *PRESENT[1:])),
        (Changes(replace=("root=UUID=ab=UUID=cd",)), ("root=UUID=cd", *PRESENT[1:])),
        (Changes(replace=("console=ttyS0=ttyS1",)), (*PRESENT[:3], "console=ttyS1", "twice", "twice")),
        (Changes(replace=("quiet=1",)), ("root=UUID=ab", "quiet=1", *PRESENT[2:])),
        (
            Changes(delete=("console=tty0",), replace=("console=hvc0",), append=("console=tty1",)),
            ("root=UUID=ab", "quiet", "console=hvc0", "twice", "twice", "console=tty1"),
        ),
        (Changes(append=('dyndbg="file a +p"',)), (*PRESENT, 'dyndbg="file a +p"')),
    ],
)
def test_changes(changes: Changes, after: tuple[str, ...]) -> None:
    assert change(PRESENT, changes) == after


@pytest.mark.parametrize(
    "changes",
    [
        Changes(delete=("missing",)),
        Changes(delete=("quiet=1",)),
        Changes(delete=("console",)),
        Changes(delete_if_present=("console",)),
        Changes(replace=("console=hvc0",)),
        Changes(replace=("missing=1",)),
        Changes(replace=("quiet",)),
        Changes(append=("a b",)),
        Changes(append=("ostree=/x",)),
        Changes(append=("",)),
        Changes(append_if_missing=("a\nb",)),
    ],
)
def test_what_does_not_fit(changes: Changes) -> None:
    with pytest.raises(UsageError) as caught:
        change(PRESENT, changes)
    assert caught.value.hint or "ostree=" in caught.value.message


def test_several_values_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        change(PRESENT, Changes(delete=("console",)))
    assert "console=tty0, console=ttyS0" in str(caught.value.hint)


def test_what_an_editor_leaves() -> None:
    assert edited('# a comment\nquiet\n\na=1 b="x y"\n  # another\n') == ("quiet", "a=1", 'b="x y"')
    with pytest.raises(UsageError):
        edited("ostree=/x\n")


def test_what_belongs_to_one_boot_is_left_out() -> None:
    text = "BOOT_IMAGE=/vmlinuz root=LABEL=x ostree=/ostree/boot.1/x quiet\n"
    assert of_proc_cmdline(text) == ("root=LABEL=x", "quiet")
