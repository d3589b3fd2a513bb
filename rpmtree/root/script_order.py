# SPDX-License-Identifier: GPL-2.0-or-later
"""Which scripts run for a set of packages placed in an empty root, in what order, with what arguments. Pure.

The frame is rpm-ostree's, which places all files before anything runs: every %pretrans; every %pre; for
each package its owners and then its %post with what rpm runs around it; every %posttrans; the transaction
file triggers. Around %pre and %post the order, the arguments and the input are those that rpm 4.18 was
seen to use (`rpm -i` of packages whose scripts write a log):

    %triggerprein  of packages placed before (1, 0), then its own (0, 1)                     before %pre
    %filetriggerin with priority ≥ 10000, of packages placed so far with this package's files as input,
                   then its own with the files of the packages placed before                 before %post
    %triggerin     of packages placed so far (1, 1), itself included, then its own (1, 1)    after %post
    %filetriggerin with priority < 10000, likewise                                           after that

An own trigger runs once however many packages match it. %transfiletriggerin gets the files of all packages;
within a package higher priority is first, packages keep their order (rpm does not sort across packages that
are installed together). File triggers get one argument, 0. What rpm runs on removal is never run.

Packages of a base count as placed before: their own scripts ran when the base was made, and only new packages
set off their triggers. A package that replaces one of the base has 2 as its first argument, as in an upgrade.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rpmtree.rpm.package import Package, Scriptlet, Trigger, TriggerCondition
from rpmtree.rpm.versions import Evr, satisfies

#: File triggers of at least this priority run before %post.
EARLY_PRIORITY = 10000
_INSTALL = (1,)
_REPLACE = (2,)
_FILES = (0,)
_SKIP_MARK = "-- rpm-ostree-skip"
_PHASE_ALIASES = {"prein": "pre", "postin": "post"}
#: Scripts that are not run, as `name.phase`, each with the reason. rpm-ostree's list has more: those that are
#: Lua, which runs here, and those that only check a system being upgraded.
IGNORED = {
    "man-db.transfiletriggerin": "writes only the manual index in /var/cache",
    "microcode_ctl.post": "makes an initramfs, which a finishing step does",
    "microcode_ctl.posttrans": "makes an initramfs, which a finishing step does",
    "nfs-utils.post": "writes only /var",
    "systemd.transfiletriggerin": "asks a running system to reload and fills /var and /run",
    "systemd-udev.transfiletriggerin": "asks a running system to reload",
}
#: A script of the table that calls this runs all the same: accounts belong to the image, where their ids stay.
_MAKES_ACCOUNTS = "systemd-sysusers"


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """One script to run. `package` owns it; `arguments` follow the script; `stdin` are lines, None for nothing."""

    package: Package
    script: Scriptlet
    arguments: tuple[int, ...]
    stdin: tuple[str, ...] | None = None

    @property
    def phase(self) -> str:
        """The phase by its RPM name: pre, post, triggerin …"""
        return self.script.phase


@dataclass(frozen=True, slots=True)
class OwnersStep:
    """The files of `package` get their owners now."""

    package: Package


Step = ScriptRun | OwnersStep


def plan_scripts(
    packages: Sequence[Package],
    *,
    base: Sequence[Package] = (),
    replaced: frozenset[str] = frozenset(),
    skipped: frozenset[str] = frozenset(),
    kernel_install: bool = False,
) -> list[Step]:
    """The steps for `packages`, given in install order, on top of those of `base`.

    `replaced` are names of packages that stood in the base in another version; `skipped` are further scripts
    not to run, as `name.phase`; with `kernel_install` the kernel's own %posttrans, which places it in /boot, is run.
    """
    refused = {_normal(name) for name in skipped}
    return [
        step
        for step in _all_steps(packages, base, replaced)
        if isinstance(step, OwnersStep) or not is_ignored(step, refused, kernel_install=kernel_install)
    ]


def is_ignored(run: ScriptRun, skipped: set[str], *, kernel_install: bool) -> bool:
    """Whether the script is left out: by the table, by `skipped`, by its own mark, or as the kernel's."""
    name = f"{run.package.name}.{run.phase}"
    if name in skipped or (name in IGNORED and _MAKES_ACCOUNTS not in run.script.body):
        return True
    if run.phase == "posttrans" and (run.package.name == "kernel" or run.package.name.startswith("kernel-")):
        return not kernel_install
    is_lua = run.script.interpreter[0] == "<lua>"
    return is_lua and any(line.strip() == _SKIP_MARK for line in run.script.body.splitlines()[:10])


def _normal(name: str) -> str:
    package, _, phase = name.rpartition(".")
    return f"{package}.{_PHASE_ALIASES.get(phase, phase)}"


def _all_steps(packages: Sequence[Package], base: Sequence[Package], replaced: frozenset[str]) -> Iterator[Step]:
    with_triggers = [package for package in base if package.triggers]
    for package in packages:
        yield from _own(package, "pretrans", replaced)
    owners = [*with_triggers]  # of triggers, among those placed so far
    for index, package in enumerate(packages):
        before = [*base, *packages[:index]]
        yield from _package_triggers(owners, package, "triggerprein", (1, 0))
        yield from _own_triggers(before, package, "triggerprein", (0, 1))
        yield from _own(package, "pre", replaced)
        owners += [package] if package.triggers else []
    owners = [*with_triggers]
    for index, package in enumerate(packages):
        before = [*base, *packages[:index]]
        owners += [package] if package.triggers else []
        yield OwnersStep(package)
        yield from _file_triggers(owners, before, package, early=True)
        yield from _own(package, "post", replaced)
        yield from _package_triggers(owners, package, "triggerin", (1, 1))
        yield from _own_triggers([*before, package], package, "triggerin", (1, 1))
        yield from _file_triggers(owners, before, package, early=False)
    for package in packages:
        yield from _own(package, "posttrans", replaced)
    for package in with_triggers:
        yield from _at_the_end(package, packages)
    for package in packages:
        yield from _at_the_end(package, [*base, *packages])


def _at_the_end(owner: Package, packages: Sequence[Package]) -> Iterator[ScriptRun]:
    """The file triggers of a transaction's end that files of `packages` set off."""
    for trigger in _by_priority(_of_kind(owner, "transfiletriggerin")):
        yield from _with_files(owner, trigger, packages)


def _own(package: Package, phase: str, replaced: frozenset[str]) -> Iterator[ScriptRun]:
    for script in package.scriptlets:
        if script.phase == phase:
            yield ScriptRun(package, script, _REPLACE if package.name in replaced else _INSTALL)


def _of_kind(package: Package, kind: str) -> list[Trigger]:
    return [trigger for trigger in package.triggers if trigger.script.phase == kind]


def _package_triggers(
    owners: Sequence[Package], placed: Package, kind: str, arguments: tuple[int, ...]
) -> Iterator[ScriptRun]:
    """The triggers of `owners` that `placed` sets off."""
    for owner in owners:
        for trigger in _of_kind(owner, kind):
            if any(_matches(condition, placed) for condition in trigger.conditions):
                yield ScriptRun(owner, trigger.script, arguments)


def _own_triggers(
    others: Sequence[Package], placed: Package, kind: str, arguments: tuple[int, ...]
) -> Iterator[ScriptRun]:
    """The triggers of `placed` that any of `others` sets off, each once."""
    for trigger in _of_kind(placed, kind):
        if any(_matches(condition, other) for other in others for condition in trigger.conditions):
            yield ScriptRun(placed, trigger.script, arguments)


def _matches(condition: TriggerCondition, package: Package) -> bool:
    if condition.name != package.name:
        return False
    nevra = package.nevra
    return satisfies(Evr(nevra.epoch, nevra.version, nevra.release), condition.sense, Evr.parse(condition.evr))


def _file_triggers(
    owners: Sequence[Package], before: Sequence[Package], placed: Package, *, early: bool
) -> Iterator[ScriptRun]:
    """The file triggers around the %post of `placed`, on one side of it."""
    found = [
        (trigger, owner)
        for owner in owners
        for trigger in _of_kind(owner, "filetriggerin")
        if (trigger.priority >= EARLY_PRIORITY) == early
    ]
    for trigger, owner in sorted(found, key=lambda pair: -pair[0].priority):
        yield from _with_files(owner, trigger, [placed])
    for trigger in _by_priority([trigger for trigger, owner in found if owner is placed]):
        yield from _with_files(placed, trigger, before)


def _by_priority(triggers: list[Trigger]) -> list[Trigger]:
    return sorted(triggers, key=lambda trigger: -trigger.priority)


def _with_files(owner: Package, trigger: Trigger, packages: Sequence[Package]) -> Iterator[ScriptRun]:
    """The run of a file trigger on the matching files of `packages`, if there are any."""
    paths = tuple(
        file.path
        for condition in trigger.conditions
        for package in packages
        for file in package.files_below(condition.name)
    )
    if paths:
        yield ScriptRun(owner, trigger.script, _FILES, paths)
