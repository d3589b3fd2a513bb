# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `layer`: the verbs are in `layering.verbs`, a module a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from layering import verbs
from layering.verbs.common import VerbParser
from rpmtree.app import Parser, run


def main() -> NoReturn:
    """Run the command and end the process."""
    run("layer", build_parser)


def build_parser() -> Parser:
    """The parser of all verbs."""
    return _Layer("layer", description="Look after a system that is deployed with OSTree, and layer RPMs on it.")


class _Layer(VerbParser):
    """Knows which verb is asked for before it has to know them."""

    def __init__(self, prog: str, **kwargs: Any) -> None:
        super().__init__(prog, **kwargs)
        self._verbs = self.add_subparsers(metavar="VERB", title="verbs", parser_class=VerbParser)
        self._wanted: str | None = None

    def complete(self) -> None:
        """Add the verb, or all where none is known."""
        if not self.is_complete:
            verbs.add_to(self._verbs, self._wanted)
        super().complete()

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse `args`. The help lists all verbs, so that a word of it must not choose one."""
        words = list(args or ())
        first = words[0] if words else ""
        self._wanted = None if first.startswith("-") else first
        return super().parse_known_args(words, namespace)
