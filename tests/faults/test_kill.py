# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL at moments of each verb that changes a machine: before repair it boots what it booted or the new one, and
the same command then comes to what it would have come to undisturbed, and leaves nothing.

`STRATA_KILLS=N` sets how many moments there are in all; without it a few, for every day (`make test-faults`: 200).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.shale import REF
from tests.faults.machine import NEXT, Site, copy_disk, layer, mounted, trace
from tests.support.oracle import State, Wrong, check_bootable, check_left_nothing, state_of

pytestmark = [pytest.mark.needs("root", "bwrap", "ostree", "mkfs.ext4", "seccomp:"), pytest.mark.timeout(3600)]
KILLS = int(os.environ.get("STRATA_KILLS", "15"))
#: Calls that give something its name: what comes after the first may be half done.
_NAMING = ("rename", "renameat", "renameat2", "link", "linkat")

_DONE = ("already requested", "refs are equal")


@dataclass(frozen=True)
class Verb:
    """What is done before, and what is disturbed."""

    name: str
    before: Sequence[Sequence[str]]
    words: Sequence[str]
    #: Done twice it is undone: after a kill the same command again may go back.
    toggles: bool = False


VERBS = (
    Verb("install", (), ("install", "tool-1")),
    Verb("upgrade", (("install", "tool-1"),), ("upgrade",)),
    Verb("rebase", (("install", "tool-1"),), ("rebase", f"site:{NEXT}")),
    Verb("rollback", (("install", "tool-1"),), ("rollback",), toggles=True),
    Verb("cleanup", (("install", "tool-1"), ("install", "tool-2")), ("cleanup", "-b", "-r")),
)


#: How many moments one run has more than another.
_UNSURE = 3


def moments(every: Sequence[tuple[str, str, str]], wanted: int) -> list[int]:
    """Numbers of moments, from 1: a quarter spread over all, the others from the first naming on.

    Not the last few: a run may have a moment or two less, as its threads fall.
    """
    every = every[:-_UNSURE]
    first = next((number for number, (call, _, _) in enumerate(every, 1) if call in _NAMING), 1)
    early = [1 + index * len(every) // max(wanted // 4, 1) for index in range(wanted // 4)]
    left = wanted - len(early)
    late = [first + index * (len(every) - first) // max(left - 1, 1) for index in range(left)]
    return sorted({*early, *late})


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_killed(verb: Verb, site: Site, fresh: Path, images: Path, record_property: pytest.RecordProperty) -> None:
    prepared = copy_disk(fresh, images / f"{verb.name}-prepared")
    with mounted(prepared) as sysroot:
        for words in verb.before:
            assert (done := layer(sysroot, *words)).status == 0, done.stderr
        check_left_nothing(sysroot)
        old = state_of(sysroot)
    whole = copy_disk(prepared, images / f"{verb.name}-whole")
    with mounted(whole) as sysroot:
        counted = trace(sysroot, verb.words)
        assert counted.status == 0, counted.stderr
        check_left_nothing(sysroot)
        new = state_of(sysroot)
    whole.unlink()
    chosen = moments(counted.moments, KILLS // len(VERBS))
    fell = [_kill(verb, prepared, images, number, old, new) for number in chosen]
    prepared.unlink()
    late = sum(number > _first_naming(counted.moments) for number in chosen)
    print(f"{verb.name}: {len(fell)} kills among {len(counted.moments)} moments, {late} after the first naming; "
          f"{sum(fell)} had the new state already")  # fmt: skip
    record_property("kills", len(fell))


def _first_naming(every: Sequence[tuple[str, str, str]]) -> int:
    return next((number for number, (call, _, _) in enumerate(every, 1) if call in _NAMING), 0)


def _kill(verb: Verb, prepared: Path, images: Path, number: int, old: State, new: State) -> bool:
    """Kill at one moment, look, repeat; whether the new state was there already."""
    image = copy_disk(prepared, images / f"{verb.name}-{number}")
    with mounted(image) as sysroot:
        killed = trace(sysroot, verb.words, at=number)
        place = f"{verb.name}, moment {number}: {killed.met}"
        assert killed.status == -9, place
        try:
            check_bootable(sysroot)
            between = state_of(sysroot).deployed
            assert between in (old.deployed, new.deployed), f"{place}: neither the old state nor the new"
            if verb.toggles and between == new.deployed:
                assert layer(sysroot, *verb.words).status == 0, place
            again = layer(sysroot, *verb.words)
            # Where all of it was done but to say so, that is what there is to say.
            is_done = between == new.deployed and any(text in again.stderr for text in _DONE)
            assert again.status == 0 or is_done, f"{place}: {again.stderr}"
            check_left_nothing(sysroot)
            after = state_of(sysroot)
        except Wrong as wrong:
            pytest.fail(f"{place}: {wrong}")
        assert after.deployed == new.deployed, place
        assert after.refs == new.refs, place
        assert after.objects == new.objects, place
    image.unlink()
    return between == new.deployed


def test_what_is_left_is_found(fresh: Path, images: Path) -> None:
    """The control: the oracle sees what a command that does not clean up leaves."""
    image = copy_disk(fresh, images / "control")
    with mounted(image) as sysroot:
        check_left_nothing(sysroot)
        for name in ("ostree/repo/tmp/strata-staging-1", "ostree/repo/extensions/strata"):
            (sysroot / name).mkdir(parents=True)
            with pytest.raises(Wrong, match="left behind"):
                check_left_nothing(sysroot)
            (sysroot / name).rmdir()
        (sysroot / "ostree/repo/refs/heads/rpmostree/pkg").mkdir(parents=True)
        (sysroot / "ostree/repo/refs/heads/rpmostree/pkg/stray").write_text(
            state_of(sysroot).entries[0].checksum + "\n"
        )
        with pytest.raises(Wrong, match="nobody uses"):
            check_left_nothing(sysroot)
    image.unlink()
    assert REF != NEXT
