# SPDX-License-Identifier: GPL-2.0-or-later
"""The signing keys of repositories, from where their gpgkey= says."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rpmtree import command
from rpmtree.errors import ConfigError, FetchError
from rpmtree.files import write_atomically
from rpmtree.progress import Reporter
from rpmtree.rpm.fetch import Fetcher
from rpmtree.rpm.openpgp import binary, read_keys
from rpmtree.rpm.repos import Repo

_LARGEST_KEY = 4 << 20


def load_keys(
    repo: Repo, fetcher: Fetcher, cachedir: Path, reporter: Reporter, *, offline: bool = False
) -> tuple[bytes, ...]:
    """The key files of `repo`, each looked at and found to hold a key. Fetched ones are kept for when `offline`.

    Raises ConfigError for a local one that is missing, FetchError for one that can't be fetched or is none.
    """
    return tuple(_load(url, repo, fetcher, cachedir, reporter, offline=offline) for url in repo.gpgkey)


def check_detached(data: bytes, signature: bytes, keys: Sequence[bytes], what: str) -> None:
    """Check a detached signature, which rpm can't; raises FetchError unless a key that is valid now made it."""
    with tempfile.TemporaryDirectory(prefix="gpgv-") as home:
        files = {"keys": b"".join(map(binary, keys)), "signature": signature, "data": data}
        for name, content in files.items():
            Path(home, name).write_bytes(content)
        argv = ["gpgv", "--homedir", home, "--status-fd", "1", "--keyring", f"{home}/keys", f"{home}/signature"]
        done = command.run([*argv, f"{home}/data"], check=False)
    # An expired or revoked key gives EXPKEYSIG or REVKEYSIG in the place of GOODSIG, with a status of 0.
    if done.status != 0 or b"[GNUPG:] GOODSIG " not in done.stdout:
        raise FetchError(f"{what} is not signed by a key of its repository", detail=command.tail(done.stderr))


def _load(url: str, repo: Repo, fetcher: Fetcher, cachedir: Path, reporter: Reporter, *, offline: bool) -> bytes:
    cached = cachedir / hashlib.sha256(f"{repo.id} {url}".encode()).hexdigest()
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        try:
            with open(path, "rb") as file:
                data = file.read(_LARGEST_KEY)
        except OSError as error:
            message = f"the key {path} of the repository {repo.id} can't be read: {error.strerror}"
            raise ConfigError(message, place=repo.place) from error
    elif offline and cached.exists():
        data = cached.read_bytes()
    else:
        if url.startswith("http:"):
            reporter.warning(
                f"{repo.place}: the key of {repo.id} comes over http, where anyone on the way can change it"
            )
        data = fetcher.get([url], limit=_LARGEST_KEY)
    try:
        read_keys(data)
    except ValueError as error:
        raise FetchError(f"{url}, a key of the repository {repo.id}, can't be used: {error}") from error
    if not url.startswith("file:") and not offline:
        cachedir.mkdir(parents=True, exist_ok=True)
        write_atomically(cached, data)
    return data
