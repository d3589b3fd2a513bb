# SPDX-License-Identifier: GPL-2.0-or-later
"""The metadata of all repositories of a request, and what is done about one that can't be reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rpmtree.errors import ConfigError, FetchError, ToolError
from rpmtree.progress import Reporter
from rpmtree.rpm.fetch import Fetcher
from rpmtree.rpm.metadata import Metadata, fetched_at, load_metadata
from rpmtree.rpm.repos import Repo

#: Seconds for which the metadata of a repository that can't be reached is used.
LONGEST_UNREACHED = 14 * 24 * 3600


class MetadataLoader:
    """Loads metadata, and remembers which repositories are dead."""

    def __init__(
        self,
        repos: Sequence[Repo],
        fetchers: Mapping[str, Fetcher],
        cachedir: Path,
        *,
        keys: Callable[[Repo], Sequence[bytes]],
        reporter: Reporter,
        offline: bool,
        tolerant: bool,
        refresh: bool,
    ) -> None:
        self.repos, self._fetchers, self._cachedir, self._keys = repos, fetchers, cachedir, keys
        self._reporter, self._offline, self._tolerant, self._refresh = reporter, offline, tolerant, refresh
        #: Repository id → why its metadata could not be fetched.
        self.dead: dict[str, str] = {}
        #: Those of them that nothing is known of.
        self.left_out: set[str] = set()

    def load(self, kinds: Sequence[str]) -> dict[str, Metadata]:
        """The metadata by repository id. Raises FetchError and ConfigError, which `tolerant` makes warnings."""
        found = {}
        for repo in self.repos:
            metadata = self._one(repo, kinds)
            if metadata is not None:
                found[repo.id] = metadata
        self._refresh = False
        return found

    def _one(self, repo: Repo, kinds: Sequence[str]) -> Metadata | None:
        if repo.id not in self.dead:
            try:
                return load_metadata(
                    repo,
                    self._fetchers[repo.id],
                    self._cachedir,
                    kinds,
                    keys=self._keys(repo) if repo.repo_gpgcheck else (),
                    offline=self._offline,
                    refresh=self._refresh,
                )
            except (FetchError, ConfigError) as error:
                if not self._tolerant:
                    raise
                return self._without(repo, kinds, error)
        return None if repo.id in self.left_out else self._as_it_was(repo, kinds)

    def _without(self, repo: Repo, kinds: Sequence[str], error: ToolError) -> Metadata | None:
        self.dead[repo.id] = error.message
        metadata = self._as_it_was(repo, kinds)
        if metadata is None:
            self.left_out.add(repo.id)
        what = "left out" if metadata is None else "used as it was when it could be reached last"
        self._reporter.warning(f"the repository {repo.id} is {what}: {error.message}")
        return metadata

    def _as_it_was(self, repo: Repo, kinds: Sequence[str]) -> Metadata | None:
        fetched = fetched_at(repo, self._cachedir)
        # A time in the future says that a clock is wrong, and nothing about how old this is.
        if fetched is None or not 0 <= time.time() - fetched <= LONGEST_UNREACHED:
            return None
        unreachable = Fetcher(repo, offline=True)
        for fewer in (kinds, [kind for kind in kinds if kind == "primary"]):
            try:
                # What is there was checked against the keys when it was fetched.
                return load_metadata(repo, unreachable, self._cachedir, fewer, keys=(), offline=True)
            except FetchError:
                continue
        return None
