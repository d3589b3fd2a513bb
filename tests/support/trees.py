# SPDX-License-Identifier: GPL-2.0-or-later
r"""Directory trees as text, for golden tests: `plant` makes one, `describe` writes one down.

A line an entry; modes and owners that are the usual ones (0755 for directories, 0644 for files, 0:0) are left out:

    usr/empty/
    usr/bin/tool 0755 "#!/bin/sh\n"
    usr/bin/sh -> bash
    usr/share/copy == usr/bin/tool
    var/mail/ 2775 0:8
    etc/passwd
    | root:x:0:0:root:/root:/bin/bash
    | daemon:x:1:1::/:/bin/false

Content is a JSON string on the line, or lines with `| ` below it; each of those ends in a newline. `==` is a
hard link. Directories that hold something need no line of their own unless mode or owner is unusual. Lines
that begin with `#` are comments. `canonical` brings a text to the form that `describe` gives.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(
    r"(?P<path>\S+?)(?P<slash>/)?"
    r"(?:\s+(?P<mode>[0-7]{4}))?(?:\s+(?P<uid>\d+):(?P<gid>\d+))?"
    r"(?:\s+->\s+(?P<target>\S+)|\s+==\s+(?P<same>\S+)|\s+(?P<content>\".*\"))?"
)
_DIRECTORY, _FILE = 0o755, 0o644


@dataclass(slots=True)
class Entry:
    path: str
    is_dir: bool
    mode: int
    uid: int
    gid: int
    target: str | None
    same: str | None
    content: str

    def line(self) -> str:
        usual = _DIRECTORY if self.is_dir else _FILE
        words = [self.path + ("/" if self.is_dir else "")]
        if self.same is not None:
            return f"{self.path} == {self.same}"
        if self.mode != usual and self.target is None:
            words.append(f"{self.mode:04o}")
        if (self.uid, self.gid) != (0, 0):
            words.append(f"{self.uid}:{self.gid}")
        if self.target is not None:
            words += ["->", self.target]
        if not self.content:
            return " ".join(words)
        lines = self.content.split("\n")
        if lines[-1] == "" and all(text == text.strip() for text in lines):
            return "\n".join([" ".join(words), *(f"| {text}".rstrip() for text in lines[:-1])])
        return " ".join([*words, json.dumps(self.content)])


def parse(text: str) -> list[Entry]:
    """The entries of a text, as they stand."""
    entries: list[Entry] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("|"):
            entries[-1].content += line[1:].removeprefix(" ") + "\n"
        elif line and not line.startswith("#"):
            found = _LINE.fullmatch(line)
            if found is None:
                raise ValueError(f"not a tree line: {line}")
            is_dir = found["slash"] is not None
            mode = int(found["mode"], 8) if found["mode"] else _DIRECTORY if is_dir else _FILE
            content = json.loads(found["content"]) if found["content"] else ""
            ids = int(found["uid"] or 0), int(found["gid"] or 0)
            entries.append(Entry(found["path"], is_dir, mode, *ids, found["target"], found["same"], content))
    return entries


def plant(root: Path, text: str) -> Path:
    """Make the tree at `root`, which may be there already; gives `root`."""
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(_DIRECTORY)
    for entry in parse(text):
        path = root / entry.path
        _make_parents(root, entry.path)
        if entry.same is not None:
            os.link(root / entry.same, path, follow_symlinks=False)
            continue
        if entry.target is not None:
            path.symlink_to(entry.target)
        elif entry.is_dir:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(entry.content.encode("utf-8", "surrogateescape"))
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.target is None:
            path.chmod(entry.mode)
    return root


def _make_parents(root: Path, path: str) -> None:
    made = root
    for part in path.split("/")[:-1]:
        made = made / part
        if not made.is_dir():
            made.mkdir()
            made.chmod(_DIRECTORY)


def describe(root: Path) -> str:
    """The tree as text, sorted by path; equal trees give equal texts."""
    first_names: dict[tuple[int, int], str] = {}
    return "".join(f"{entry.line()}\n" for entry in _entries(root, "", first_names))


def _entries(root: Path, base: str, first_names: dict[tuple[int, int], str]) -> Iterator[Entry]:
    for name in sorted(os.listdir(root / base)):
        path = f"{base}/{name}".lstrip("/")
        found = (root / path).lstat()
        is_dir = stat.S_ISDIR(found.st_mode)
        entry = Entry(path, is_dir, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, None, None, "")
        if stat.S_ISLNK(found.st_mode):
            entry.target = os.readlink(root / path)
        elif stat.S_ISREG(found.st_mode):
            same = first_names.setdefault((found.st_dev, found.st_ino), path)
            entry.same = same if same != path else None
            entry.content = (root / path).read_bytes().decode("utf-8", "surrogateescape")
        elif not is_dir:
            raise ValueError(f"{path} is neither a file, a directory nor a link")
        below = list(_entries(root, path, first_names)) if is_dir else []
        if not (is_dir and below and entry.mode == _DIRECTORY and (entry.uid, entry.gid) == (0, 0)):
            yield entry
        yield from below


def canonical(text: str) -> str:
    """The text in the form that `describe` gives: made and read back, so that nothing can differ by accident."""
    with tempfile.TemporaryDirectory() as directory:
        return describe(plant(Path(directory) / "tree", text))
