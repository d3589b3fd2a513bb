# SPDX-License-Identifier: GPL-2.0-or-later
"""What verbs share: how a verb is added, and the options that mean the same everywhere, a function each."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rpmtree.app import App, Parser
from rpmtree.errors import NothingToDo, ToolError

#: What `add_subparsers` gives.
Verbs: TypeAlias = "argparse._SubParsersAction[VerbParser]"
Action = Callable[[argparse.Namespace, App], None]
_WAIT = "--wait"


class VerbParser(Parser):
    """A parser for which a bare `--wait` is whole: the word after it is an argument of the verb's."""

    #: Whether it is a verb on a system, and one that takes the sysroot's lock.
    on_system = changes = False

    def complete(self) -> None:
        """Add what all verbs on a system share."""
        if not self.is_complete and self.on_system:
            add_system(self)
            if self.changes:
                add_wait(self)
        super().complete()

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse `args`; argparse itself would take `--wait vim` for a number of seconds."""
        words = list(args or ())
        end = words.index("--") if "--" in words else len(words)
        whole = [f"{_WAIT}=inf" if word == _WAIT else word for word in words[:end]]
        return super().parse_known_args([*whole, *words[end:]], namespace)


def add_verb(
    verbs: Verbs, name: str, action: Action, text: str, *, changes: bool = True, group: str = "", **more: Any
) -> VerbParser:
    """Add a verb that works on a system; `text` is its help. `changes`: it takes the sysroot's lock.

    `group` is the word before it, where it has two. `args.title` is what whoever has to wait for it is told.
    `more` goes to argparse.
    """
    parser = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", **more)
    parser.set_defaults(action=action, title=" ".join(("layer", *group.split(), name)))
    parser.on_system, parser.changes = True, changes
    return parser


def add_system(parser: argparse.ArgumentParser) -> None:
    """`--sysroot PATH`, `--stateroot NAME` (its old name, `--os`, hidden) and `--peer`, which does nothing here."""
    group = parser.add_argument_group("system")
    group.add_argument("--sysroot", type=Path, metavar="PATH", help="the system at PATH (default: the one that runs)")
    group.add_argument("--stateroot", metavar="NAME", help="which of the systems that share the sysroot")
    group.add_argument("--os", dest="stateroot", metavar="NAME", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    # rpm-ostree's private connection to its daemon; there is none here, and scripts name it.
    group.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)


def add_wait(parser: argparse.ArgumentParser) -> None:
    """`--wait[=SECONDS]`: `args.wait` is 0 without it, None (for ever) where it is bare, else seconds."""
    parser.add_argument(
        *(_WAIT,),
        nargs="?",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="if another command is at work, wait for it: as long as it takes, or =SECONDS",
    )


def add_reboot(parser: argparse.ArgumentParser) -> None:
    """`-r/--reboot`. `open_system` refuses it for a system that does not run; see `reboot`."""
    parser.add_argument("-r", "--reboot", action="store_true", help="reboot after success, if something changed")


def add_unchanged(parser: argparse.ArgumentParser) -> None:
    """`--unchanged-exit-77`; see `unchanged`."""
    parser.add_argument("--unchanged-exit-77", action="store_true", help="status 77 if there was nothing to do")


def add_cache_only(parser: argparse.ArgumentParser) -> None:
    """`-C/--cache-only`."""
    parser.add_argument("-C", "--cache-only", action="store_true", help="no network: use what is here already")


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """`-n/--dry-run`."""
    parser.add_argument("-n", "--dry-run", action="store_true", help="say what would be done, and stop")


def add_lock_finalization(parser: argparse.ArgumentParser) -> None:
    """`--lock-finalization`."""
    parser.add_argument(
        *("--lock-finalization",),
        action="store_true",
        help="stage, and leave it at shutdown until `finalize-deployment`",
    )


def reboot(args: argparse.Namespace) -> None:
    """Reboot if that was asked for: the last thing that a verb which changed something does. Raises CommandFailed."""
    if getattr(args, "reboot", False):
        from rpmtree import command

        command.run(["systemctl", "reboot"])


def unchanged(args: argparse.Namespace, app: App, text: str, answer: object = None) -> None:
    """Say that there was nothing to do; `answer` is the whole answer where the user wants JSON.

    Raises NothingToDo where `--unchanged-exit-77` asks for it.
    """
    if app.json and answer is not None:
        app.print_json(answer)
    if getattr(args, "unchanged_exit_77", False):
        error = NothingToDo(text)
        raise answered(error) if answer is not None else error
    app.reporter.note(text)


def answered(error: ToolError) -> ToolError:
    """`error`, after an answer that is on stdout already: it shall not get a second document there."""
    error.answered = True
    return error


def _seconds(text: str) -> float | None:
    seconds = float(text)
    if math.isnan(seconds) or seconds < 0:
        raise ValueError(text)
    return None if math.isinf(seconds) else seconds
