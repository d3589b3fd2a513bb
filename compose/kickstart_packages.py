# SPDX-License-Identifier: GPL-2.0-or-later
"""The part of a kickstart file that a treefile may be: its packages. As nodes, like those of YAML and JSON.

rpm-ostree takes `%packages` with names, `-name` and `--exclude-weakdeps`, `%include`, `%end` and remarks
(rust/src/kickstart.rs), and nothing else.
"""

from __future__ import annotations

import io

from compose.document import read_text
from compose.nodes import Builder, Limits, Node
from rpmtree.errors import Place
from rpmtree.problems import Problem, refuse
from rpmtree.texts import Lines

MAX_INCLUDES = 256


def read(file: str, *, place: Place | None = None, problems: list[Problem] | None = None) -> Node:
    """The document in `file` as a treefile: packages, exclude-packages, recommends, include. Raises ConfigError.

    Lines that are something else are added to `problems`, where the caller has more to add; else they are raised.
    """
    return parse(read_text(file, place=place, problems=problems), file, problems=problems)


def parse(text: str, file: str, *, problems: list[Problem] | None = None) -> Node:
    """The same for a text. Raises ConfigError."""
    reader, builder = _Reader(), Builder(file, Limits())
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        said = line.partition("#")[0].strip()
        if said:
            place = Place(file, number, line.index(said) + 1)
            builder.spend(1, 0, place)
            reader.line(said, place)
    if reader.section is not None:
        reader.problems.append(Problem("%packages has no %end", reader.section))
    if len(reader.found["include"]) > MAX_INCLUDES:
        reader.problems.append(Problem(f"more than {MAX_INCLUDES} includes", reader.found["include"][-1].place))
    if problems is None:
        refuse(reader.problems)
    else:
        problems += reader.problems
    return reader.document(Lines(text, file).place(0))


class _Reader:
    """Takes a file line by line."""

    def __init__(self) -> None:
        self.found: dict[str, list[Node]] = {"packages": [], "exclude-packages": [], "include": []}
        self.recommends: Node | None = None
        #: Where the %packages that is open stands.
        self.section: Place | None = None
        self.problems: list[Problem] = []

    def line(self, said: str, place: Place) -> None:
        word, *rest = said.split()
        if word == "%include":
            self._include(rest, place)
        elif word == "%end" and self.section is not None:
            self.section = None
        elif word == "%packages" and self.section is None:
            self.section = place
            self._options(rest, place)
        elif self.section is None or word.startswith("%"):
            hint = "a treefile may have %packages, %include and %end"
            self.problems.append(
                Problem(f"{word} is not supported in a kickstart file that is a treefile", place, hint)
            )
        elif said.startswith("-"):
            self.found["exclude-packages"].append(Node(said[1:].strip(), place))
        else:
            self.found["packages"].append(Node(said, place))

    def _include(self, rest: list[str], place: Place) -> None:
        if len(rest) == 1:
            self.found["include"].append(Node(rest[0], place))
        else:
            self.problems.append(Problem("%include wants one file", place))

    def _options(self, rest: list[str], place: Place) -> None:
        for option in rest:
            if option in ("--exclude-weakdeps", "--excludeWeakdeps"):
                self.recommends = Node(False, place)
            else:
                self.problems.append(Problem(f"%packages {option} is not supported", place))

    def document(self, place: Place) -> Node:
        values = {key: Node(tuple(nodes), nodes[0].place) for key, nodes in self.found.items() if nodes}
        if self.recommends is not None:
            values["recommends"] = self.recommends
        return Node(values, place, {key: node.place for key, node in values.items()})
