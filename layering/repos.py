# SPDX-License-Identifier: GPL-2.0-or-later
"""The package repositories of a deployment that is yet to be made, as its /etc will have them.

OSTree merges /etc from three sides: a file that the machine changed, added or deleted stays so, any other is the
new base's. A solve for a new base must see the outcome, or a rebase would ask the old system's repositories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rpmtree.errors import ConfigError, Place
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.base import Base
from rpmtree.rpm.nevra import host_basearch
from rpmtree.rpm.repos import Repo, parse_repos

_REPOS = "etc/yum.repos.d"
_VARIABLES = ("etc/dnf/vars", "etc/yum/vars")


class Configuration:
    """/etc as it will be: `base`'s, with the changes that the machine has in the deployed tree at `deployed`."""

    def __init__(self, base: Base, deployed: Path | None) -> None:
        self._base = base
        self._deployed = None if deployed is None else Root(deployed)

    def close(self) -> None:
        """Let go of the deployed tree."""
        if self._deployed is not None:
            self._deployed.close()

    def read(self, path: str) -> bytes | None:
        """The content of a file below etc/ (no leading slash); None where there will be none."""
        new = self._base.read(path)
        if self._deployed is None:
            return new
        local, default = self._local(path), self._local(f"usr/{path}")
        return new if local == default else local

    def files(self, directory: str) -> dict[str, bytes]:
        """The files of a directory below etc/, by path."""
        names = set(self._base.names(directory))
        if self._deployed is not None and self._deployed.is_dir(directory):
            names.update(self._deployed.listdir(directory))
        found = {f"{directory}/{name}": self.read(f"{directory}/{name}") for name in sorted(names)}
        return {path: content for path, content in found.items() if content is not None}

    def _local(self, path: str) -> bytes | None:
        assert self._deployed is not None
        try:
            return (
                self._deployed.read(path) if self._deployed.exists(path) and not self._deployed.is_dir(path) else None
            )
        except OSError as error:
            raise ConfigError(f"can't be read: {error.strerror}", place=Place(f"/{path}")) from error


def repositories(base: Base, deployed: Path | None, keys: Path, reporter: Reporter) -> tuple[Repo, ...]:
    """The enabled repositories; keys that are files of the new system are copied below the directory `keys`.

    Raises ConfigError.
    """
    configuration = Configuration(base, deployed)
    try:
        files = {f"/{path}": text for path, text in configuration.files(_REPOS).items() if path.endswith(".repo")}
        repos = parse_repos([files], None, _variables(base, configuration), reporter=reporter)
        return tuple(_with_keys(repo, base, configuration, keys) for repo in repos)
    finally:
        configuration.close()


def releasever(base: Base) -> str | None:
    """What $releasever stands for: VERSION_ID of the base's os-release (os-release(5)), as for rpm-ostree."""
    for line in (base.text("etc/os-release") or base.text("usr/lib/os-release")).splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key == "VERSION_ID":
            return value.strip("\"'") or None
    return None


def _variables(base: Base, configuration: Configuration) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for directory in reversed(_VARIABLES):
        for path, content in configuration.files(directory).items():
            lines = content.decode("utf-8", "replace").splitlines()
            found[path.rpartition("/")[2]] = lines[0].strip() if lines else ""
    basearch = host_basearch()
    release = releasever(base)
    return {"basearch": basearch, "arch": basearch, **({"releasever": release} if release else {}), **found}


def _with_keys(repo: Repo, base: Base, configuration: Configuration, keys: Path) -> Repo:
    """The repository with the keys of the new system's /etc and /usr in the place of the running system's."""
    return replace(repo, gpgkey=tuple(_key(url, base, configuration, keys) for url in repo.gpgkey))


def _key(url: str, base: Base, configuration: Configuration, keys: Path) -> str:
    if not url.startswith("file:"):
        return url
    path = unquote(urlsplit(url).path).lstrip("/")
    content = configuration.read(path) if path.startswith("etc/") else base.read(path)
    if content is None:
        return url
    keys.mkdir(parents=True, exist_ok=True)
    copy = keys / hashlib.sha256(path.encode()).hexdigest()
    copy.write_bytes(content)
    return copy.as_uri()
