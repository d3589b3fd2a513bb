# SPDX-License-Identifier: GPL-2.0-or-later
"""What `layering.trial` decides is carried out on the system that runs: memory, order of deployments, boot loader.

Units call it at start, at shutdown and for the health check (packaging/strata-*.service). It holds the sysroot's lock
wherever something is changed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from layering import bootmenu, trial
from layering.boot_memory import read, write
from layering.settings import read_settings
from layering.state import identity
from layering.system import System
from layering.trial import Candidate, Trial, Verdict
from rpmtree.errors import StoreError
from rpmtree.ostree.deployments import Deployment, split_kargs
from rpmtree.ostree.objects import PKGLIST
from rpmtree.ostree.sysroot import Sysroot
from rpmtree.progress import Reporter

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: At shutdown a command may still be at work, which ends soon.
_PATIENCE = 60.0


def limit_of(system: System) -> int:
    """How often what is new is tried; 0: it goes first at once, as where its boot loader can't boot just once."""
    if not system.running or not bootmenu.is_there(system.path):
        return 0
    return read_settings(Path("/")).boot_tries


def start(system: System, reporter: Reporter) -> None:
    """The system has started: count a try that failed. Raises BusyError, StoreError, ConfigError."""
    before = read(system.var)
    after = trial.started(before, _running(system).checksum, limit_of(system))
    if after != before:
        with system.locked("layer boot-trial start", _PATIENCE):
            write(system.var, after)
        reporter.warning(f"{_named(before.trial)} did not boot; this is the system that ran before")


def stop(system: System, reporter: Reporter) -> None:
    """The system goes down: what is new, if it has tries left, is to be booted next, and that once.

    Raises BusyError, StoreError, ConfigError, CommandFailed.
    """
    limit = limit_of(system)
    with system.locked("layer boot-trial stop", _PATIENCE):
        before = read(system.var)
        after = trial.stopping(before, candidates(system.sysroot), boot_id(), limit)
        first = _running(system)
        found = after.trial
        if found is None or not found.armed or found.commit == first.checksum:
            if after != before:
                write(system.var, after)
            return
        tried = next(one for one in system.sysroot.deployments() if one.checksum == found.commit)
        # A try is noted before it can happen: a loss of power after this costs one.
        write(system.var, after)
        ordered = _put_first(system, first, tried)
        bootmenu.arm(system.path, _ostree_of(next(one for one in ordered if one.checksum == found.commit)))
    reporter.note(f"the next boot tries {_named(found)}: {found.failed + 1} of {limit}")


def well(system: System, reporter: Reporter) -> None:
    """The health check has passed: what runs is the default from now on. Raises as `stop`."""
    with system.locked("layer boot-trial check", None):
        before = read(system.var)
        first = _running(system)
        after = trial.passed(before, first.checksum, boot_id())
        tried = before.trial is not None and before.trial.commit == first.checksum
        if tried and before.trial is not None and before.trial.armed:
            # What is staged is newer, and stays in front of what runs.
            if not system.sysroot.deployments()[0].staged:
                _put_first(system, first)
            bootmenu.disarm(system.path)
        there = {one.checksum for one in system.sysroot.deployments()}
        write(system.var, replace(after, proven=after.proven & there))
    if tried:
        reporter.note(f"{_named(before.trial)} is well, and the default from now on")


def unwell(system: System, reporter: Reporter) -> bool:
    """The health check has failed, or the boot took too long; gives whether to reboot. Raises as `stop`."""
    limit = limit_of(system)
    with system.locked("layer boot-trial check", _PATIENCE):
        before = read(system.var)
        verdict, after = trial.failed(before, candidates(system.sysroot), limit)
        if limit == 0 or verdict is Verdict.STAY:
            reporter.warning("this system is not well, and there is none to go back to")
            return False
        if verdict is Verdict.RETREAT:
            found = system.sysroot.deployments()
            back = next(one for one in found if one.checksum in before.proven and not one.booted)
            write(system.var, after)
            _put_first(system, back)
    reporter.warning("this system is not well: back to the one that ran before")
    return True


def overdue(system: System, reporter: Reporter) -> bool:
    """The time that a boot may take is over; gives whether to reboot. Raises as `stop`."""
    if read(system.var).well == boot_id():
        return False
    return unwell(system, reporter)


def forgive(system: System, commit: str) -> None:
    """An admin has said that `commit` is to boot next. Called with the lock held. Raises StoreError."""
    before = read(system.var)
    after = trial.forgiven(before, commit)
    if after != before:
        write(system.var, after)


def candidates(sysroot: Sysroot) -> tuple[Candidate, ...]:
    """The deployments in the boot menu's order. Raises StoreError."""
    return tuple(_candidate(sysroot, found) for found in sysroot.deployments())


def boot_id() -> str:
    """The kernel's name for this boot."""
    return _BOOT_ID.read_text().strip()


def _running(system: System) -> Deployment:
    found = system.sysroot.booted()
    if found is None:
        raise StoreError(f"{system.path} does not run", hint="units of the system itself call this")
    return found


def _put_first(system: System, *chosen: Deployment) -> tuple[Deployment, ...]:
    """Have these deployments boot before all others, in this order; gives all of them."""
    first = [one.index for one in chosen]
    rest = (one.index for one in system.sysroot.deployments() if one.index not in first)
    return system.sysroot.set_order([*first, *rest])


def _candidate(sysroot: Sysroot, found: Deployment) -> Candidate:
    raw = bytes.fromhex(found.checksum)
    try:
        known = identity(found.checksum, sysroot.repository.commit(raw, without=(PKGLIST,)))
    except StoreError:  # the repository has lost it: it boots all the same
        known = found.checksum
    return Candidate(found.checksum, known, found.version, found.booted)


def _ostree_of(found: Deployment) -> str:
    words = (word.partition("=") for word in split_kargs(found.boot_options))
    return next((value for key, _, value in words if key == "ostree"), "")


def _named(found: Trial | None) -> str:
    return "?" if found is None else found.version or found.commit
