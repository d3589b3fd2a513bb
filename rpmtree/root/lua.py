# SPDX-License-Identifier: GPL-2.0-or-later
"""Lua scripts of packages, run as a program in the sandbox: librpm would run them in our own process.

`rpmlua` comes with rpm and offers the same `rpm` and `posix` tables. The image's own is used where it has
one, else the host's, with the libraries that it needs, from a directory that is bound into the sandbox.
The same program expands macros: a macro may run a shell command, which must not happen outside.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree import command
from rpmtree.errors import ToolError
from rpmtree.files import Root
from rpmtree.root.sandbox import Bind

INTERPRETER = "<lua>"
_PROGRAM = "/usr/bin/rpmlua"
_INSIDE = "/run/strata/lua"
_LIBRARY = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LuaProgram:
    """How to call `rpmlua` inside a sandbox, what must be bound for it, and what its environment needs."""

    words: tuple[str, ...]
    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def provide(tree: Root, scratch: Path) -> LuaProgram:
    """The `rpmlua` for a sandbox of `tree`: the tree's own, or the host's, copied below `scratch`.

    Raises ToolError if neither the image nor the host has it.
    """
    if tree.exists(_PROGRAM):
        return LuaProgram((_PROGRAM,))
    if not command.is_program("rpmlua"):
        raise ToolError("Lua scripts need the program rpmlua, which is not installed", hint="install the package rpm")
    program = next(path for path in ("/usr/bin/rpmlua", "/bin/rpmlua") if command.is_program(path))
    listing = command.run(["ldd", program]).stdout.decode("utf-8", "surrogateescape")
    libraries = [Path(path) for path in _LIBRARY.findall(listing)]
    loader = next((path for path in libraries if path.name.startswith("ld")), None)
    if loader is None:
        raise ToolError(f"can't tell what libraries {program} needs", detail=listing)
    place = scratch / "lua"
    place.mkdir()
    for path in (Path(program), *libraries):
        shutil.copy(path, place / path.name)
    _copy_configuration(place / "rpm")
    words = (f"{_INSIDE}/{loader.name}", "--library-path", _INSIDE, f"{_INSIDE}/rpmlua")
    return LuaProgram(words, (Bind(place, _INSIDE),), {"RPM_CONFIGDIR": f"{_INSIDE}/rpm"})


def _copy_configuration(place: Path) -> None:
    """What librpm refuses to start without, and the macros that it comes with."""
    own = Path("/usr/lib/rpm")
    platform = f"platform/{os.uname().machine}-linux"
    (place / platform).mkdir(parents=True)
    for name in ("rpmrc", "macros", f"{platform}/macros"):
        if (own / name).exists():
            shutil.copy(own / name, place / name)


def with_prelude(body: str, arguments: Sequence[int], prefixes: Sequence[str], *, reads_files: bool) -> str:
    """The text for `rpmlua` that gives `body` what librpm would: numeric arguments, prefixes, the file iterator.

    All is put on the body's first line, so that errors name the right line.
    """
    lines = ['arg[0], arg[1] = nil, "<lua>"']
    lines += [f"arg[{index}] = {number}" for index, number in enumerate(arguments, start=2)]
    if prefixes:
        lines.append(f"RPM_INSTALL_PREFIX = {{{', '.join(map(quote, prefixes))}}}")
    if reads_files:
        lines.append('rpm.next_file = function() return io.read("l") end')
    return f"{'; '.join(lines)}; {body}"


def expansion(text: str, definitions: Mapping[str, str]) -> str:
    """A Lua program that prints `text` with its macros expanded."""
    defined = "".join(f"rpm.define({quote(f'{name} {body}')}); " for name, body in sorted(definitions.items()))
    return f"{defined}io.write(rpm.expand({quote(text)}))"


def quote(text: str) -> str:
    """`text` as a Lua string literal, whatever it holds."""
    # Decimal escapes for all that is not plain: the literal then has no line end, quote or backslash.
    return '"' + "".join(_character(byte) for byte in text.encode("utf-8", "surrogateescape")) + '"'


def _character(byte: int) -> str:
    return chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03d}"
