# SPDX-License-Identifier: GPL-2.0-or-later
"""What was deployed here, when and by which command, and when it was booted.

Who makes a deployment leaves an event in the stateroot's /var. Boots are in the journal: in each of them libostree says
which deployment it is (ostree-prepare-root.c).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rpmtree import command
from rpmtree.errors import StoreError, ToolError
from rpmtree.files import write_atomically
from rpmtree.progress import Reporter

#: Below /var; rpm-ostree has files of its own form in /var/lib/rpm-ostree/history.
DIRECTORY = "lib/strata/history"
KEPT = 200
_BOOTED = "7170336a73ba4601bad31af888aa0df7"
_PATH = re.compile(r"ostree/deploy/([^/]+)/deploy/([0-9a-f]{64}\.\d+)/?")


@dataclass(frozen=True, slots=True)
class Event:
    """A deployment was made: `when` in seconds since 1970, `id` as libostree names it; `diff` in a line."""

    when: int
    command: str
    id: str
    origin: str | None = None
    version: str | None = None
    base: str | None = None
    requested: tuple[str, ...] = ()
    diff: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with the times of its deployment's boots (seconds since 1970), the first one first."""

    event: Event
    boots: tuple[int, ...] = ()


def record(var: Path, event: Event) -> None:
    """Leave an event, durably; the oldest of more than `KEPT` go. Raises StoreError."""
    directory = var / DIRECTORY
    try:
        directory.mkdir(parents=True, exist_ok=True)
        name = f"{event.when:012}-{time.time_ns()}.json"  # several may be of one second
        write_atomically(directory / name, json.dumps(asdict(event), ensure_ascii=False) + "\n")
        for path in _files(directory)[KEPT:]:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{directory}: {error.strerror}") from error


def note(var: Path, event: Event, reporter: Reporter) -> None:
    """As `record`, with a warning where it fails: what was asked for is done by then."""
    try:
        record(var, event)
    except StoreError as error:
        reporter.warning(f"it is not in the history: {error.message}")


def events(var: Path) -> tuple[Event, ...]:
    """All events, the newest first; what can't be read is left out."""
    return tuple(event for path in _files(var / DIRECTORY) if (event := _read(path)) is not None)


def boots(journal: Path | None) -> tuple[tuple[int, str], ...]:
    """Boots that the journal knows: when, and the deployment's id. `journal` None: of the system that runs.

    Empty where there is no journal, or none that who asks may read.
    """
    where = [] if journal is None else [f"--directory={journal}"]
    argv = ["journalctl", *where, "--quiet", "--no-pager", "--output=json", f"MESSAGE_ID={_BOOTED}"]
    try:
        done = command.run(argv, check=False)
    except ToolError:  # no journalctl
        return ()
    return parse_boots(done.stdout.decode("utf-8", "replace").splitlines())


def parse_boots(lines: Iterable[str]) -> tuple[tuple[int, str], ...]:
    """Boots out of lines of `journalctl --output=json`; those that say something else are left out."""
    found = []
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            said = json.loads(line)
            if match := _PATH.search(said["DEPLOYMENT_PATH"]):
                found.append((int(said["__REALTIME_TIMESTAMP"]) // 1_000_000, f"{match[1]}-{match[2]}"))
    return tuple(sorted(found))


def joined(made: Sequence[Event], booted: Iterable[tuple[int, str]]) -> tuple[Entry, ...]:
    """Events, the newest first, with their boots. A later deployment may have the name of one that is gone."""
    times: dict[Event, list[int]] = {event: [] for event in made}
    for when, name in booted:
        event = next((event for event in made if event.id == name and event.when <= when), None)
        if event is not None:
            times[event].append(when)
    return tuple(Entry(event, tuple(sorted(times[event]))) for event in made)


def to_json(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The answer of `--json`."""
    return [
        {key: value for key, value in {**asdict(entry.event), "boots": list(entry.boots)}.items() if value is not None}
        for entry in entries
    ]


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.json"), reverse=True)


def _read(path: Path) -> Event | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(path.read_text("utf-8"))
        return Event(**{**said, "when": int(said["when"]), "requested": tuple(said["requested"])})
    return None
