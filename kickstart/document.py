# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart file as directives and sections that know their places, with the files that it includes.

The lines are those that Anaconda sees (pykickstart's parser.py): words as a shell splits them, remarks after `#`, a
section up to its `%end`. Includes are files below the directory of the kickstart file; nothing is fetched.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Problem
from rpmtree.texts import Lines, decode, read_regular

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 8
MAX_FILES = 64
MAX_LINES = 20_000
MAX_STATEMENTS = 2_000
#: Characters of a line that is split into words, which takes quadratic time; a key of 16384 bits has 2800.
MAX_LINE = 8192
MAX_WORDS = 256

#: The sections that Anaconda knows; in their bodies any other word may begin with a percent sign.
SECTIONS = frozenset(
    f"%{name}"
    for name in ("addon", "anaconda", "certificate", "onerror", "packages", "post", "pre", "pre-install", "traceback")
)
#: Characters that are none of a line in a text editor, and end one for Python and therefore for Anaconda.
_HIDDEN_LINE_END = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Directive:
    """One line: its words, the first of which is the directive's name."""

    words: tuple[str, ...]
    place: Place
    line: str = field(repr=False)

    @property
    def name(self) -> str:
        """The first word."""
        return self.words[0]

    def at(self, text: str) -> Place:
        """Where `text`, an option or a value, stands in the line; where it does not, the line's own place."""
        first = offset = self.line.find(text) if text else -1
        while offset >= 0 and not self._stands_alone(offset, len(text)):
            offset = self.line.find(text, offset + 1)
        offset = first if offset < 0 else offset
        return Place(self.place.file, self.place.line, offset + 1) if offset >= 0 else self.place

    def _stands_alone(self, offset: int, length: int) -> bool:
        """Whether a value begins and ends there: "a" is not the one in "--name=a" that comes first."""
        before, after = self.line[offset - 1 : offset], self.line[offset + length : offset + length + 1]
        return before in ("", *" \t'\"=,(") and not (after.isascii() and after.isalnum())


@dataclass(frozen=True, slots=True)
class Section:
    """What stands between a line such as `%post --erroronfail` and its `%end`."""

    header: Directive
    body: str


Statement = Directive | Section


def read_document(path: Path) -> tuple[list[Statement], list[Problem]]:
    """All that `path` says, in its order, and what could not be understood.

    Raises ConfigError for a file that is no text or too large.
    """
    reader = _Reader(Path(os.path.realpath(path)).parent)
    reader.file(str(path), None, ())
    return reader.statements, reader.problems


class _Reader:
    def __init__(self, home: Path) -> None:
        self.statements: list[Statement] = []
        self.problems: list[Problem] = []
        self._home = home
        self._files = 0
        self._lines = 0

    def file(self, file: str, place: Place | None, chain: tuple[Path, ...]) -> None:
        """Take the statements of a file; `place` is where it is included, `chain` are those that are open."""
        lines = iter(self._read(file, place))
        chain = (*chain, Path(os.path.realpath(file)))
        for line, where in lines:
            said = line.strip()
            if said and not said.startswith("#") and (directive := self._directive(line, where)):
                self._take(directive, lines, chain)

    def _take(self, directive: Directive, lines: Iterator[tuple[str, Place]], chain: tuple[Path, ...]) -> None:
        if len(self.statements) >= MAX_STATEMENTS:
            raise ConfigError(f"more than {MAX_STATEMENTS} directives", place=directive.place)
        if directive.name == "%include":
            if (file := self._included(directive, chain)) is not None:
                self.file(str(file), directive.place, chain)
        elif directive.name == "%end":
            self.problems.append(Problem("%end without a section", directive.place))
        elif directive.name.startswith("%") and directive.name != "%ksappend":
            self.statements.append(Section(directive, self._body(directive, lines, chain)))
        else:
            self.statements.append(directive)

    def _body(self, header: Directive, lines: Iterator[tuple[str, Place]], chain: tuple[Path, ...]) -> str:
        """The lines up to `%end`, with those of included files."""
        body: list[str] = []
        for line, where in lines:
            word = line.split()[0] if line.lstrip().startswith("%") else ""
            if word == "%end":
                break
            if word in SECTIONS:
                self.problems.append(Problem(f"{word} inside of {header.name}, which has no %end", where))
            elif word == "%include":
                body.append(self._included_body(line, where, chain))
            else:
                body.append(f"{line}\n")
        else:
            self.problems.append(Problem(f"{header.name} has no %end", header.place))
        return "".join(body)

    def _included_body(self, line: str, where: Place, chain: tuple[Path, ...]) -> str:
        directive = self._directive(line, where)
        file = self._included(directive, chain) if directive else None
        if file is None:
            return ""
        lines = iter(self._read(str(file), where))
        body = []
        for inner, inner_place in lines:
            word = inner.split()[0] if inner.lstrip().startswith("%") else ""
            if word == "%end" or word in SECTIONS:
                self.problems.append(Problem(f"{word} in a file that is included in a section", inner_place))
            elif word == "%include":
                body.append(self._included_body(inner, inner_place, (*chain, Path(os.path.realpath(file)))))
            else:
                body.append(f"{inner}\n")
        return "".join(body)

    def _directive(self, line: str, where: Place) -> Directive | None:
        if len(line) > MAX_LINE:
            self.problems.append(Problem(f"a line longer than {MAX_LINE} characters", where))
            return None
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:  # "No closing quotation"
            reason = str(error)
            self.problems.append(Problem(f"{reason[0].lower()}{reason[1:]}", where))
            return None
        if len(words) > MAX_WORDS:
            self.problems.append(Problem(f"more than {MAX_WORDS} words in a line", where))
            return None
        if not words or not words[0]:
            self.problems.append(Problem("an empty word where a directive should be", where))
            return None
        return Directive(tuple(words), where, line)

    def _included(self, directive: Directive, chain: Sequence[Path]) -> Path | None:
        """The file that an `%include` names, if it may be read."""
        name = directive.words[1] if len(directive.words) > 1 else ""
        path = Path(directive.place.file).parent / name
        refusal = self._refusal(directive, Path(os.path.realpath(path)), chain)
        if refusal is None:
            return path
        self.problems.append(Problem(refusal, directive.at(name)))
        return None

    def _refusal(self, directive: Directive, path: Path, chain: Sequence[Path]) -> str | None:
        """Why a file may not be included."""
        if len(directive.words) != 2 or not directive.words[1]:
            return "%include wants one file"
        name = directive.words[1]
        if "://" in name:
            return f"nothing is fetched: {name}"
        if not path.is_relative_to(self._home):
            return f"{name} is outside of {self._home}"
        if path in chain:
            return f"{name} includes itself"
        if len(chain) >= MAX_DEPTH:
            return f"includes are nested deeper than {MAX_DEPTH}"
        if not os.path.isfile(path):
            return f"can't read {name}: no such file"
        return None

    def _read(self, file: str, place: Place | None) -> list[tuple[str, Place]]:
        """The lines of a file, and where each begins. Raises ConfigError."""
        self._files += 1
        if self._files > MAX_FILES:
            raise ConfigError(f"more than {MAX_FILES} files are included", place=place)
        text = decode(read_regular(file, MAX_BYTES, place), file).replace("\r\n", "\n").replace("\r", "\n")
        if found := _HIDDEN_LINE_END.search(text):
            where = Lines(text, file).place(found.start())
            raise ConfigError(f"line separator U+{ord(found.group()):04X} in the middle of a line", place=where)
        lines = text.removesuffix("\n").split("\n")
        self._lines += len(lines)
        if self._lines > MAX_LINES:
            raise ConfigError(f"more than {MAX_LINES} lines", place=place or Place(file, MAX_LINES))
        return [
            (line, Place(file, number, len(line) - len(line.lstrip()) + 1))
            for number, line in enumerate(lines, start=1)
        ]
