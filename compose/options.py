# SPDX-License-Identifier: GPL-2.0-or-later
"""What the command line asks of the verbs that compose, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """The options of `compose tree`, of which other verbs have some; names and meaning are rpm-ostree's."""

    treefile: Path
    repo: Path | None = None
    cachedir: Path | None = None
    source_root: Path | None = None
    #: The repository that has the treefile's layers; None: the one that is composed to.
    layer_repo: Path | None = None
    proxy: str | None = None
    cache_only: bool = False
    force_nocache: bool = False
    download_only: bool = False
    download_only_rpms: bool = False
    dry_run: bool = False
    disable_selinux: bool = False
    touch_if_changed: Path | None = None
    previous_commit: str | None = None
    previous_inputhash: str | None = None
    previous_version: str | None = None
    metadata_strings: tuple[str, ...] = ()
    metadata_json: Path | None = None
    write_commitid_to: Path | None = None
    write_composejson_to: Path | None = None
    no_parent: bool = False
    parent: str | None = None
    write_lockfile_to: Path | None = None
    lockfiles: tuple[Path, ...] = ()
    lockfile_strict: bool = False
    #: Where gpg has the secret key that the treefile's gpg-key names.
    gpg_homedir: Path = Path("/root/.gnupg")
    #: SOURCE_DATE_EPOCH, seconds; None takes the newest package's build time.
    source_date_epoch: int | None = None
