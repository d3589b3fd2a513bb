# SPDX-License-Identifier: GPL-2.0-or-later
"""The verb `kargs`: kernel arguments shown, and changed in a new deployment."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from layering.verbs.common import (
    Verbs,
    add_lock_finalization,
    add_reboot,
    add_unchanged,
    add_verb,
    reboot,
    unchanged,
)
from rpmtree.app import App
from rpmtree.errors import UsageError

if TYPE_CHECKING:
    from layering.kargs import Changes
    from layering.system import Seen, System
    from rpmtree.ostree.deployments import Deployment

_LISTS = {
    "--append": ("KEY[=VALUE]", "add one at the end"),
    "--append-if-missing": ("KEY[=VALUE]", "add one that is not there"),
    "--replace": ("KEY=[OLD=]NEW", "change a value; OLD says which, where there are several"),
    "--delete": ("KEY[=VALUE]", "remove one"),
    "--delete-if-present": ("KEY[=VALUE]", "remove one if it is there"),
}


def add(verbs: Verbs) -> None:
    """Add the parser."""
    parser = add_verb(verbs, "kargs", _kargs, "show kernel arguments, or make a deployment with others")
    changing = parser.add_argument_group("changing")
    for option, (metavar, text) in _LISTS.items():
        changing.add_argument(option, action="append", default=[], metavar=metavar, help=text)
    changing.add_argument("--editor", action="store_true", help="edit them all with $VISUAL, $EDITOR or vi")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--deploy-index", type=int, metavar="N", help="those of deployment N, as `status` lists them")
    source.add_argument("--import-proc-cmdline", action="store_true", help="those that the running kernel was given")
    add_reboot(parser)
    add_unchanged(parser)
    add_lock_finalization(parser)


def _kargs(args: argparse.Namespace, app: App) -> None:
    from layering.kargs import Changes
    from layering.system import open_system, require_root

    changes = Changes(
        *(tuple(args.delete), tuple(args.delete_if_present), tuple(args.replace)),
        *(tuple(args.append), tuple(args.append_if_missing)),
    )
    if args.editor and changes:
        raise UsageError("--editor and options that change arguments exclude one another")
    system = open_system(args)
    if not (changes or args.editor or args.import_proc_cmdline):
        _show(_source(system, args), app)
        return
    require_root(args.title)
    if args.editor:
        # The lock is not held while someone types; what came between is seen below.
        seen = _source(system, args)
        wanted = _edit(_present(seen, args), app)
        with system.locked(args.title, args.wait):
            if _source(system, args).deployment != seen.deployment:
                raise UsageError("deployments changed meanwhile", hint="run this again")
            new = _deploy(system, seen, wanted, args, app)
    else:
        with system.locked(args.title, args.wait):
            seen = _source(system, args)
            wanted = _changed(_present(seen, args), changes)
            new = _deploy(system, seen, wanted, args, app)
    answer = {"changed": new is not None, "id": new.id if new else None, "kargs": list(wanted)}
    if new is None:
        unchanged(args, app, "No changes.", answer)
        return
    if app.json:
        app.print_json(answer)
    else:
        app.print(f"{'staged' if new.staged else 'deployed'}: {new.id}")
        app.print(" ".join(wanted))
    reboot(args)


def _source(system: System, args: argparse.Namespace) -> Seen:
    """The deployment whose arguments are meant: that with the index, else the one that boots next."""
    return system.merge() if args.deploy_index is None else system.at(args.deploy_index)


def _present(seen: Seen, args: argparse.Namespace) -> tuple[str, ...]:
    """The arguments that are shown, or changed."""
    if args.import_proc_cmdline:
        from pathlib import Path

        from layering.kargs import of_proc_cmdline

        return of_proc_cmdline(Path("/proc/cmdline").read_text("utf-8", "surrogateescape"))
    return seen.deployment.kargs


def _changed(present: tuple[str, ...], changes: Changes) -> tuple[str, ...]:
    from layering.kargs import change

    return change(present, changes)


def _show(seen: Seen, app: App) -> None:
    from rpmtree.console import printable

    found = seen.deployment
    if app.json:
        app.print_json({"id": found.id, "kargs": list(found.kargs)})
    else:
        app.print(printable(" ".join(found.kargs)))


def _deploy(
    system: System, seen: Seen, wanted: tuple[str, ...], args: argparse.Namespace, app: App
) -> Deployment | None:
    """A deployment of the same commit and origin with other arguments; None where they are these already."""
    from layering import history
    from layering.tidy import tidy
    from rpmtree.ostree import finalization

    found = seen.deployment
    if wanted == found.kargs:
        return None
    before = {other.id for other in system.sysroot.deployments()}
    with finalization.staging(args.lock_finalization, running=system.running):
        new = system.sysroot.deploy(
            *(found.osname, found.checksum, found.origin_text),
            merge=system.sysroot.merge_deployment(found.osname),
            kargs=wanted,
            stage=system.running,
        )
    origin = None if seen.origin is None else str(seen.origin.base)
    history.note(system.var, history.Event(history.now(), args.title, new.id, origin, new.version), app.reporter)
    if before - {other.id for other in system.sysroot.deployments()}:
        tidy(system.sysroot, app.reporter)
    return new


def _edit(present: tuple[str, ...], app: App) -> tuple[str, ...]:
    import shlex
    import tempfile

    from layering.kargs import edited
    from rpmtree import command

    program = app.environ.get("VISUAL") or app.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w+", prefix="kargs-", encoding="utf-8") as file:
        file.write("# One kernel argument a line; lines with # in front don't count.\n")
        file.writelines(f"{karg}\n" for karg in present)
        file.flush()
        terminal = {name: app.environ[name] for name in ("TERM", "HOME") if name in app.environ}
        # stdout may be where the answer goes.
        command.run([*shlex.split(program), file.name], env=terminal, stdin=0, stdout=2, stderr=2)
        with open(file.name, encoding="utf-8") as written:  # editors may put a new file in its place
            return edited(written.read())
