# SPDX-License-Identifier: GPL-2.0-or-later
"""What is known of boots, in a file in /var, which all deployments of a stateroot share: /var/lib/strata/boots.json.

Where it is damaged nothing is known, and every system boots all the same.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from layering.trial import Memory, Trial
from rpmtree.errors import StoreError
from rpmtree.files import write_atomically

log = logging.getLogger(__name__)

#: Below /var.
FILE = "lib/strata/boots.json"


def read(var: Path) -> Memory:
    """The note in a stateroot's /var; nothing is known without one, or where it is damaged or not ours to read."""
    path = var / FILE
    try:
        return parse(path.read_text("utf-8"))
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        log.warning("%s can't be read, and is taken for empty: %s", path, error)
        return Memory()


def write(var: Path, memory: Memory) -> None:
    """Keep what is known, durably. Raises StoreError."""
    path = var / FILE
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomically(path, dump(memory))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def parse(text: str) -> Memory:
    """Memory out of its JSON. Raises ValueError, TypeError, KeyError, AttributeError."""
    said = json.loads(text)
    found = said["trial"]
    return Memory(
        frozenset(str(checksum) for checksum in said["proven"]),
        None if found is None else _parse_trial(found),
        tuple(_parse_trial(refusal) for refusal in said["refused"]),
        said["well"],
    )


def dump(memory: Memory) -> str:
    """Memory as JSON."""
    document = {**dataclasses.asdict(memory), "proven": sorted(memory.proven)}
    return json.dumps(document, indent=2) + "\n"


def _parse_trial(said: dict[str, Any]) -> Trial:
    return Trial(str(said["commit"]), str(said["identity"]), said["version"], int(said["failed"]), bool(said["armed"]))
