# SPDX-License-Identifier: GPL-2.0-or-later
"""The verb `history`: what was deployed, when, by which command, and when it was booted."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from layering.verbs.common import Verbs, add_verb
from rpmtree.app import App

if TYPE_CHECKING:
    from layering.history import Entry

_SHOWN = 3


def add(verbs: Verbs) -> None:
    """Add the parsers; `ex history` is rpm-ostree's name."""
    _add(verbs)
    parser = verbs.add_parser("ex")
    _add(parser.add_subparsers(metavar="VERB"), group="ex")


def _add(verbs: Verbs, group: str = "") -> None:
    text = "show what was deployed, and when it was booted"
    parser = add_verb(verbs, "history", _history, text, changes=False, group=group)
    parser.add_argument("-n", "--limit", type=int, default=_SHOWN, metavar="N", help=f"how many ({_SHOWN})")
    parser.add_argument("--all", action="store_true", help="as many as there are")


def _history(args: argparse.Namespace, app: App) -> None:
    from layering import history
    from layering.system import open_system
    from rpmtree.console import printable

    system = open_system(args)
    made = history.events(system.var)
    shown = made if args.all else made[: max(args.limit, 0)]
    # With the others known, since a boot is that of the newest deployment of its name.
    entries = history.joined(made, history.boots(None if system.running else system.var / "log/journal"))[: len(shown)]
    if app.json:
        app.print_json(history.to_json(entries))
    elif not entries:
        app.print("Nothing was deployed here since this is written down.")
    else:
        blocks = ("\n".join(map(printable, _lines(entry, args.verbose))) for entry in entries)
        app.print("\n\n".join(blocks))


def _lines(entry: Entry, verbose: bool) -> Iterator[str]:
    from layering.status_text import iso

    event = entry.event
    yield f"{iso(event.when)} {event.command}"
    fields = {
        "Origin": event.origin,
        "Version": event.version,
        "Deployment": event.id,
        "BaseCommit": event.base if verbose else None,
        "Requested": " ".join(event.requested) if verbose else None,
        "Diff": event.diff,
        "Booted": _boots(entry.boots),
    }
    yield from (f"  {label:>10}: {text}" for label, text in fields.items() if text)


def _boots(times: tuple[int, ...]) -> str:
    from layering.status_text import iso

    if not times:
        return "never, as far as the journal goes"
    first, last = iso(times[0]), iso(times[-1])
    return first if len(times) == 1 else f"{len(times)} times, from {first} to {last}"
