# SPDX-License-Identifier: GPL-2.0-or-later
"""One digest of everything that a compose is made from: where it is that of the last commit, nothing changed.

It goes into commits as `rpmostree.inputhash`. Only we compare it, with our own earlier ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from compose.layer import Externals
from rpmtree.errors import ConfigError, Place

#: Raise this when the same inputs give another tree than before, so that an updated tool composes again.
ENGINE = 1

#: Keys whose change alone is no reason to compose: data for other tools, and layers, which count by their content.
_LEFT_OUT = ("metadata", "ostree-layers", "ostree-override-layers")


@dataclass(frozen=True, slots=True)
class ExternalDigest:
    """A file that the treefile names: what for, its permissions (added files keep them), its content."""

    role: str
    mode: int
    sha256: str


def digest_externals(externals: Externals) -> tuple[ExternalDigest, ...]:
    """Read all files that a treefile names. Raises ConfigError where one can't be read."""
    named = [(f"add-files[{index}]", path) for index, path in enumerate(externals.add_files)]
    named += [
        (role, path)
        for role, path in (
            ("postprocess-script", externals.postprocess_script),
            ("passwd", externals.passwd),
            ("group", externals.group),
        )
        if path is not None
    ]
    named += [(f"finalize.d/{name}", path) for name, path in sorted(externals.finalize.items())]
    return tuple(_digest(role, path) for role, path in named)


def input_hash(
    document: Mapping[str, JsonValue],
    externals: Iterable[ExternalDigest],
    packages: Iterable[tuple[str, str]],
    layers: Iterable[str] = (),
    *,
    engine: int = ENGINE,
) -> str:
    """SHA-256 in hex over the flattened document, the files it names, and (NEVRA, checksum) of each package.

    `layers` are the content checksums of the commits in ostree-layers. The order of packages does not matter, that
    of all else does.
    """
    inputs = {
        "engine": engine,
        "treefile": {key: value for key, value in document.items() if key not in _LEFT_OUT},
        "externals": [[external.role, external.mode, external.sha256] for external in externals],
        "packages": sorted([nevra, checksum] for nevra, checksum in packages),
        "layers": list(layers),
    }
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _digest(role: str, path: Path) -> ExternalDigest:
    try:
        with path.open("rb") as stream:
            return ExternalDigest(role, path.stat().st_mode & 0o7777, hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}", place=Place(str(path))) from error
