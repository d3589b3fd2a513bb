# SPDX-License-Identifier: GPL-2.0-or-later
"""Remotes of a repository, and pulls from them: only what is verified and whole gets a branch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rpmtree.errors import FetchError, StoreError, ToolError, UsageError
from rpmtree.ostree.deployments import check_name
from rpmtree.ostree.library import interruptible, libostree, make_durable, wrapped
from rpmtree.ostree.objects import Commit
from rpmtree.ostree.repo import Repository, remove_staging
from rpmtree.progress import Reporter

_CHECKSUM = re.compile(r"[0-9a-f]{64}")
_OPTION = re.compile(r"[a-z0-9][a-z0-9-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
#: Options of a remote that are shown (ostree.repo-config(5)); the first three have fields of their own.
_SHOWN = ("contenturl", "gpg-verify", "sign-verify", "gpg-verify-summary", "sign-verify-summary", "branches", "proxy",
          "tls-permissive", "tls-ca-path", "gpgkeypath", "verification-ed25519-key", "verification-ed25519-file",
          "unconfigured-state")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Remote:
    """A remote's configuration. `options` holds what else is set, as text."""

    name: str
    url: str
    gpg_verify: bool
    contenturl: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pulled:
    """A commit that was pulled; `checksum` in hexadecimal."""

    checksum: str
    commit: Commit


class Remotes:
    """The remotes of the repository at `path`; `repo` is libostree's, made by a sysroot or by `open`."""

    def __init__(self, repo: Any, path: Path) -> None:
        self.path = path
        self._repo = repo

    @classmethod
    def open(cls, path: Path) -> Remotes:
        """The remotes of a repository outside a sysroot. Raises StoreError."""
        from gi.repository import Gio

        repo = libostree().Repo.new(Gio.File.new_for_path(str(path)))
        with wrapped(f"can't open {path}"):
            repo.open(None)
        return cls(repo, path)

    def names(self) -> tuple[str, ...]:
        """The names of all remotes, sorted."""
        return tuple(sorted(self._repo.remote_list() or ()))

    def show(self, name: str) -> Remote:
        """One remote. Raises StoreError if there is none."""
        self._require(name)
        with wrapped(f"can't read the remote {name}"):
            url = self._repo.remote_get_url(name)[1]
            verify = self._repo.remote_get_gpg_verify(name)[1]
            found = {option: self._repo.get_remote_option(name, option, None)[1] for option in _SHOWN}
        options = {key: value for key, value in found.items() if value and key not in ("contenturl", "gpg-verify")}
        return Remote(name, url, verify, found["contenturl"], options)

    def list(self) -> tuple[Remote, ...]:
        """All remotes, sorted by name."""
        return tuple(self.show(name) for name in self.names())

    def add(self, name: str, url: str, options: Mapping[str, str] | None = None, *, replace: bool = False) -> Remote:
        """Add a remote; `options` are ostree's own (gpg-verify, contenturl …). Raises StoreError, UsageError."""
        from gi.repository import GLib

        check_name(name, "remote")
        checked = {key: _option(key, value) for key, value in (options or {}).items()}
        change = libostree().RepoRemoteChange.REPLACE if replace else libostree().RepoRemoteChange.ADD
        variant = GLib.Variant("a{sv}", {key: GLib.Variant("s", value) for key, value in checked.items()})
        with wrapped(f"can't add the remote {name}"):
            self._repo.remote_change(None, change, name, _option("url", url), variant, None)
        make_durable(self.path)
        return self.show(name)

    def delete(self, name: str) -> None:
        """Remove a remote with its keys; its branches stay. Raises StoreError if there is none."""
        self._require(name)
        with wrapped(f"can't delete the remote {name}"):
            self._repo.remote_change(None, libostree().RepoRemoteChange.DELETE, name, None, None, None)
        make_durable(self.path)

    def import_keys(self, name: str, keys: bytes) -> int:
        """Trust OpenPGP keys (armored or not) for a remote; gives how many were new. Raises StoreError."""
        from gi.repository import Gio, GLib

        self._require(name)
        with wrapped(f"can't import keys for the remote {name}"):
            stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(keys))
            imported = self._repo.remote_gpg_import(name, stream, None, None)[1]
        make_durable(self.path)
        return int(imported)

    def pull(
        self,
        remote: str,
        rev: str,
        *,
        commit_only: bool = False,
        depth: int = 0,
        newer_than: str | None = None,
        reporter: Reporter | None = None,
    ) -> Pulled:
        """Fetch a branch or a commit (in hexadecimal) with `depth` ancestors, -1 for all.

        The branch `remote:rev` moves when all is there, verified as the remote asks, and durable. With
        `commit_only` just commit objects come, and no branch moves. With `newer_than` (a checksum) a
        commit that is older is refused before its content is fetched. Raises FetchError; StoreError where
        the repository itself is at fault.
        """
        self._require(remote)
        what = f"can't pull {remote}:{rev}"
        if commit_only or newer_than is not None:
            commits = self._pull_commits(remote, rev, depth if commit_only else 0, what)
            if newer_than is not None:
                self._refuse_older(commits, newer_than, what)
            if commit_only:
                make_durable(self.path)
                return commits
            # Exactly what was looked at, also where the branch moves meanwhile.
            options = _pull_options(rev, depth=depth, exactly=commits.checksum)
        else:
            options = _pull_options(rev, depth=depth)
        self._pull(remote, options, what, FetchError, reporter)
        make_durable(self.path)
        return self._pulled(remote, rev, what)

    def pull_paths(self, remote: str, checksum: str, paths: Sequence[str]) -> None:
        """Fetch a commit (in hexadecimal) with just what is at or below `paths`, which must start with a slash.

        Paths that are not there are fine. The commit counts as one of which only a part is here. Raises FetchError.
        """
        self._require(remote)
        what = f"can't pull {remote}:{checksum}"
        self._pull(remote, _pull_options(checksum, subdirs=paths), what, FetchError, None)
        make_durable(self.path)

    def set_branch(self, remote: str, branch: str, checksum: str | None) -> None:
        """Have a branch of a remote name a commit that is here, durably; None forgets the branch. Raises StoreError."""
        with wrapped(f"can't set the branch {remote}:{branch}"):
            self._repo.set_ref_immediate(remote, branch, checksum, None)
        make_durable(self.path)

    def pull_local(self, source: Path, rev: str, *, newer_than: str | None = None) -> Pulled:
        """Fetch a branch or commit out of a repository on this machine; no branch moves. Raises StoreError."""
        from gi.repository import Gio

        repository = Repository(source)
        found = repository.resolve(rev)
        if found is None:
            raise StoreError(f"{source} has no branch {rev}")
        what = f"can't pull {rev} out of {source}"
        pulled = Pulled(found.hex(), repository.commit(found))
        if newer_than is not None:
            self._refuse_older(pulled, newer_than, what)
        uri = Gio.File.new_for_path(str(source)).get_uri()
        self._pull(uri, _pull_options(pulled.checksum), what, StoreError, None)
        make_durable(self.path)
        return pulled

    def _pull_commits(self, remote: str, rev: str, depth: int, what: str) -> Pulled:
        """Fetch commit objects; the branch, which libostree moves to what is not whole yet, is put back."""
        before = self._branch(remote, rev)
        self._pull(remote, _pull_options(rev, depth=depth, commit_only=True), what, FetchError, None)
        pulled = self._pulled(remote, rev, what)
        if pulled.checksum != before:
            with wrapped(f"can't put back the branch {remote}:{rev}"):
                self._repo.set_ref_immediate(remote, rev, before, None)
        return pulled

    def _refuse_older(self, pulled: Pulled, newer_than: str, what: str) -> None:
        # libostree's own check (timestamp-check-from-rev) corrupts memory in 2022.7.
        present = self._commit(newer_than)
        if pulled.commit.timestamp < present.timestamp:
            raise StoreError(
                f"{what}: the commit {pulled.checksum} is older than the one deployed, {newer_than}",
                hint="if that is meant: --allow-downgrade",
                detail=f"{_day(pulled.commit)} and {_day(present)}",
            )

    def _pulled(self, remote: str, rev: str, what: str) -> Pulled:
        checksum = self._branch(remote, rev)
        if checksum is None:
            raise FetchError(f"{what}: {remote} gave no such branch")
        return Pulled(checksum, self._commit(checksum))

    def _pull(self, where: str, options: Any, what: str, as_error: type[ToolError], reporter: Reporter | None) -> None:
        watched: list[Any] = []

        def pull(cancellable: Any) -> None:
            progress = libostree().AsyncProgress.new()
            watched.append(progress)
            try:
                self._repo.pull_with_options(where, options, progress, cancellable)
            finally:
                progress.finish()

        def tick() -> None:
            if reporter is not None and watched and (total := watched[0].get_uint("requested")):
                reporter.advanced(watched[0].get_uint("fetched"), total)

        try:
            with wrapped(what, as_error=as_error):
                interruptible(pull, tick)
            tick()
        except FetchError:
            raise  # what has arrived is kept: the next pull goes on from there
        except BaseException:
            remove_staging(self.path / "tmp")
            raise

    def _branch(self, remote: str, rev: str) -> str | None:
        if _CHECKSUM.fullmatch(rev):
            return rev
        with wrapped(f"can't read the branch {remote}:{rev}"):
            found = self._repo.resolve_rev(f"{remote}:{rev}", True)[1]
        return None if found is None else str(found)

    def _commit(self, checksum: str) -> Commit:
        return Repository(self.path).commit(bytes.fromhex(checksum))

    def _require(self, name: str) -> None:
        if name not in self.names():
            known = ", ".join(self.names()) or "none"
            raise StoreError(f"there is no remote {name!r}", hint=f"there are: {known}; add one: layer remote add")


def _pull_options(
    rev: str,
    *,
    depth: int = 0,
    commit_only: bool = False,
    exactly: str | None = None,
    subdirs: Sequence[str] = (),
) -> Any:
    from gi.repository import GLib

    pull_flags = libostree().RepoPullFlags
    options = {
        "refs": GLib.Variant("as", [rev]),
        "flags": GLib.Variant("i", int(pull_flags.COMMIT_ONLY if commit_only else pull_flags.NONE)),
        "depth": GLib.Variant("i", depth),
    }
    if subdirs:
        options["subdirs"] = GLib.Variant("as", subdirs)
    if exactly is not None and exactly != rev:
        options["override-commit-ids"] = GLib.Variant("as", [exactly])
    return GLib.Variant("a{sv}", options)


def _day(commit: Commit) -> str:
    return datetime.fromtimestamp(commit.timestamp, UTC).isoformat()


def _option(key: str, value: str) -> str:
    """A line of an ini file, which must stay one."""
    if not _OPTION.fullmatch(key) or not value or _CONTROL.search(value):
        raise UsageError(f"{key}={value!r} is not an option of a remote")
    return value
