# SPDX-License-Identifier: GPL-2.0-or-later
"""Arithmetic of kernel arguments: `layer kargs --append …` as functions of values. Pure.

An argument is `KEY` or `KEY=VALUE`; a key may be there several times, and the order counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rpmtree.errors import UsageError
from rpmtree.ostree.deployments import check_kargs, split_kargs

#: What the initramfs is told about where it came from, and about one boot alone: not to be taken from /proc/cmdline.
_OF_THE_BOOT = ("ostree=", "BOOT_IMAGE=", "initrd=", "systemd.machine_id=")


@dataclass(frozen=True, slots=True)
class Changes:
    """What is asked for. Deletions come first, then replacements, then what is appended."""

    delete: tuple[str, ...] = ()
    delete_if_present: tuple[str, ...] = ()
    #: `KEY=NEW`, or `KEY=OLD=NEW` where the key has several values.
    replace: tuple[str, ...] = ()
    append: tuple[str, ...] = ()
    append_if_missing: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any((self.delete, self.delete_if_present, self.replace, self.append, self.append_if_missing))


def change(kargs: Sequence[str], changes: Changes) -> tuple[str, ...]:
    """The arguments after `changes`. Raises UsageError where one does not fit what is there."""
    found = list(kargs)
    for asked in changes.delete:
        del found[_to_delete(found, asked)]
    for asked in changes.delete_if_present:
        if _matching(found, asked):
            del found[_to_delete(found, asked)]
    for asked in changes.replace:
        position, new = _replacement(found, asked)
        found[position] = new
    found += changes.append
    found += [asked for asked in dict.fromkeys(changes.append_if_missing) if asked not in found]
    return check_kargs(found)


def edited(text: str) -> tuple[str, ...]:
    """The arguments in what an editor left: comment lines (#) and line ends don't count. Raises UsageError."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return check_kargs(karg for line in lines for karg in split_kargs(line))


def of_proc_cmdline(text: str) -> tuple[str, ...]:
    """The arguments that the running kernel was given, without those that belong to that one boot."""
    return check_kargs(karg for karg in split_kargs(text.strip()) if not karg.startswith(_OF_THE_BOOT))


def _key(karg: str) -> str:
    return karg.partition("=")[0]


def _matching(kargs: Sequence[str], asked: str) -> list[int]:
    """Where `asked` is: a whole argument with its value, or all of a key."""
    if "=" in asked:
        return [position for position, karg in enumerate(kargs) if karg == asked]
    return [position for position, karg in enumerate(kargs) if _key(karg) == asked]


def _to_delete(kargs: Sequence[str], asked: str) -> int:
    found = _matching(kargs, asked)
    if not found:
        raise UsageError(f"there is no kernel argument {asked}", hint=_present(kargs, asked))
    if len({kargs[position] for position in found}) > 1:
        values = ", ".join(kargs[position] for position in found)
        raise UsageError(f"the kernel argument {asked} has several values", hint=f"say which: {values}")
    return found[-1]


def _replacement(kargs: Sequence[str], asked: str) -> tuple[int, str]:
    """Which argument gives way, and to what."""
    key, equals, rest = asked.partition("=")
    if not equals:
        raise UsageError(f"--replace {asked} has no new value", hint="KEY=NEW, or KEY=OLD=NEW")
    found = _matching(kargs, key)
    if not found:
        raise UsageError(f"there is no kernel argument {key}", hint=f"--append={asked} adds it")
    # The longest old value that fits: values hold equals signs themselves (root=UUID=…).
    by_length = sorted(found, key=lambda position: -len(kargs[position]))
    for position in by_length:
        old = kargs[position].partition("=")[2]
        if "=" in kargs[position] and rest.startswith(f"{old}="):
            return position, f"{key}={rest[len(old) + 1 :]}"
    if len({kargs[position] for position in found}) > 1:
        values = ", ".join(kargs[position] for position in found)
        raise UsageError(f"the kernel argument {key} has several values", hint=f"{key}=OLD=NEW says which: {values}")
    return found[-1], asked


def _present(kargs: Iterable[str], asked: str) -> str:
    """What there is instead."""
    near = list(_near(kargs, _key(asked)))
    return f"there is: {', '.join(near)}" if near else "`layer kargs` lists what there is"


def _near(kargs: Iterable[str], key: str) -> Iterator[str]:
    return (karg for karg in kargs if _key(karg) == key)
