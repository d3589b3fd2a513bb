# SPDX-License-Identifier: GPL-2.0-or-later
"""Remotes of a repository, and pulls from them: only what is verified and whole gets a branch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rpmtree.errors import FetchError, StoreError, ToolError, UsageError
from rpmtree.ostree.deployments import check_name
from rpmtree.ostree.library import interruptible, libostree, make_durable, wrapped
from rpmtree.ostree.objects import Commit, parse_commit
from rpmtree.ostree.refs import INCOMING
from rpmtree.ostree.repo import Repository, remove_staging
from rpmtree.ostree.signatures import (
    ED25519,
    GPG,
    CommitSignature,
    detached,
    ed25519_results,
    gpg_results,
    libostree_looks,
    refusal,
    refused_by_libostree,
    stored,
    trusted_keys,
    wants_ed25519,
)
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
        commit that is older is refused. What is refused, for its age or its signatures, is so before any content
        is fetched. Raises FetchError; StoreError where the repository itself is at fault.
        """
        options = self.show(remote).options
        what = f"can't pull {remote}:{rev}"
        signed = wants_ed25519(remote, options, what)
        keys = trusted_keys(remote, options, what) if signed else ()
        exactly, ours = None, signed and not libostree_looks(options)
        if commit_only or newer_than is not None or signed:
            depth_of_commits = depth if commit_only or signed else 0
            checksum = self._pull_commits(remote, rev, what, depth=depth_of_commits, ours=ours)
            if signed:
                depth = self._verify(remote, checksum, depth, keys, what)
            commits = Pulled(checksum, self._commit(checksum))
            if newer_than is not None:
                self._refuse_older(commits, newer_than, what)
            if commit_only:
                make_durable(self.path)
                return commits
            exactly = checksum  # what was looked at, also where the branch moves meanwhile
        self._pull(remote, _pull_options(rev, depth=depth, exactly=exactly, ours=ours), what, FetchError, reporter)
        make_durable(self.path)
        return self._pulled(remote, rev, what)

    def pull_paths(self, remote: str, checksum: str, paths: Sequence[str]) -> None:
        """Fetch a commit (in hexadecimal) with just what is at or below `paths`, which must start with a slash.

        Paths that are not there are fine. The commit counts as one of which only a part is here. Its ed25519
        signatures are not looked at: `pull` does that. Raises FetchError.
        """
        options = self.show(remote).options
        what = f"can't pull {remote}:{checksum}"
        ours = wants_ed25519(remote, options, what) and not libostree_looks(options)
        self._pull(remote, _pull_options(checksum, subdirs=paths, ours=ours), what, FetchError, None)
        make_durable(self.path)

    def set_branch(self, remote: str | None, branch: str, checksum: str | None) -> None:
        """Have a branch of a remote, or a local one, name a commit that is here, durably; None forgets the branch.

        Raises StoreError.
        """
        with wrapped(f"can't set the branch {remote}:{branch}" if remote else f"can't set the branch {branch}"):
            self._repo.set_ref_immediate(remote, branch, checksum, None)
        make_durable(self.path)

    def signatures(self, checksum: str, remote: str | None) -> tuple[CommitSignature, ...]:
        """What is to be said of a commit's signatures, by the keys of `remote`; the system's if there is none such.

        GPG's come first. A commit without a signature has none; a remote's key file that can't be read is the error
        of each ed25519 signature. Raises StoreError.
        """
        remote = remote if remote in self.names() else None
        what = f"can't check the signatures of the commit {checksum}"
        data = Repository(self.path).commit_bytes(bytes.fromhex(checksum))
        with wrapped(what):
            metadata = detached(self.path, checksum)
        options = {"sign-verify": "true"} if remote is None else self.show(remote).options
        found: list[CommitSignature] = []
        if gpg := stored(metadata, GPG):
            try:
                found += gpg_results(self._repo, checksum, remote)
            except StoreError as error:
                found += [CommitSignature("gpg", "", False, error=error.message)] * len(gpg)
        try:
            keys = trusted_keys(remote or "", options, what) if stored(metadata, ED25519) else ()
        except FetchError as error:
            found += [replace(one, error=error.message) for one in ed25519_results(data, metadata, ())]
        else:
            found += ed25519_results(data, metadata, keys)
        return tuple(found)

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

    def _pull_commits(self, remote: str, rev: str, what: str, *, depth: int, ours: bool) -> str:
        """Fetch commit objects; gives the checksum of the newest. The branch goes to a name of its own for a moment.

        libostree moves the branch to what is neither whole nor looked at, and a crash would leave it there.
        """
        aside = f"{remote}{INCOMING}"
        options = _pull_options(rev, depth=depth, commit_only=True, aside=aside, ours=ours)
        try:
            self._pull(remote, options, what, FetchError, None)
            # Where the branch is there, and has not moved, libostree sees no reason to write it.
            checksum = self._branch(aside, rev) or self._branch(remote, rev)
        finally:
            self._forget_aside(aside, rev)
        if checksum is None:
            raise FetchError(f"{what}: {remote} gave no such branch")
        return checksum

    def _forget_aside(self, aside: str, rev: str) -> None:
        if _CHECKSUM.fullmatch(rev) or self._branch(aside, rev) is None:
            return
        with wrapped(f"can't remove the branch {aside}:{rev}"):
            self._repo.set_ref_immediate(aside, rev, None, None)
        directory = self.path / "refs" / "remotes" / aside / rev
        with suppress(OSError):  # another pull is at it
            for _ in range(rev.count("/") + 1):
                directory = directory.parent
                directory.rmdir()

    def _verify(self, remote: str, checksum: str, depth: int, keys: Sequence[bytes], what: str) -> int:
        """See that a commit and its ancestors, as far as they were asked for and came, are signed; gives how many."""
        ancestors = 0
        while True:
            data = Repository(self.path).commit_bytes(bytes.fromhex(checksum))
            with wrapped(f"{what}: can't read the signatures of the commit {checksum}", as_error=FetchError):
                reason = refusal(data, detached(self.path, checksum), keys)
            if reason is not None:
                self._forget(checksum)
                raise FetchError(
                    f"{what}: the commit {checksum} {reason}",
                    hint=f"have it signed, or correct the keys of the remote {remote} (verification-ed25519-key)",
                )
            parent = parse_commit(data).parent.hex()
            if ancestors == depth or not parent or not self._object(parent, "commit").exists():
                return ancestors
            checksum, ancestors = parent, ancestors + 1

    def _object(self, checksum: str, suffix: str) -> Path:
        return self.path / "objects" / checksum[:2] / f"{checksum[2:]}.{suffix}"

    def _forget(self, checksum: str) -> None:
        """Remove a commit that was refused, unless it was here before with its content."""
        partial = self.path / "state" / f"{checksum}.commitpartial"
        if partial.exists():
            # Not by libostree, which may leave a tombstone: the commit can be signed later.
            with wrapped(f"can't remove the commit {checksum}"):
                for path in (self._object(checksum, "commit"), self._object(checksum, "commitmeta"), partial):
                    path.unlink(missing_ok=True)

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

        def tick(*, done: bool = False) -> None:
            if reporter is not None and watched and (total := watched[0].get_uint("requested")):
                # At the end not what libostree says: in 2025 it has then fetched one less than it has requested.
                reporter.advanced(total if done else watched[0].get_uint("fetched"), total)

        try:
            with wrapped(what, as_error=as_error):
                interruptible(pull, tick)
            tick(done=True)
        except FetchError as error:
            if (known := refused_by_libostree(error, where, what)) is not None:
                raise known from error
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
    aside: str | None = None,
    ours: bool = False,
) -> Any:
    """What libostree takes as options of a pull.

    `exactly`: the commit that the branch is taken for; `aside`: the remote's name that the branch gets; `ours`: it is
    us who look at ed25519 signatures, which libostree without them, as Debian's, would refuse to pull.
    """
    from gi.repository import GLib

    pull_flags = libostree().RepoPullFlags
    options = {
        "refs": GLib.Variant("as", [rev]),
        "flags": GLib.Variant("i", int(pull_flags.COMMIT_ONLY if commit_only else pull_flags.NONE)),
        "depth": GLib.Variant("i", depth),
    }
    if subdirs:
        options["subdirs"] = GLib.Variant("as", subdirs)
    if ours:
        options |= {name: GLib.Variant("b", True) for name in ("disable-sign-verify", "disable-sign-verify-summary")}
    if aside is not None:
        options["override-remote-name"] = GLib.Variant("s", aside)
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
