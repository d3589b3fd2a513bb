# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads over http(s): resumed, tried again, and checked against a size and digest known before.

Every byte that comes from a network into a compose or a layering comes through here. A server can't lead a
download to a local file: only http and https are opened, on redirects too, and https never falls back to http.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from rpmtree.errors import STORAGE_ERRORS, FetchError, StoreError
from rpmtree.rpm.repos import Repo

TIMEOUT = 30.0
ATTEMPTS = 3
#: Seconds before the second attempt; four times as many before the third.
PAUSE = 0.2
_CHUNK = 1 << 18
#: Below this many bytes a second, over a whole file, a download is given up.
_SLOWEST = 1000
_AGENT = "strata"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest as repositories write it: `sha256:hex`. Weaker ones than SHA-2 are refused."""

    algorithm: str
    hexdigest: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hexdigest}"

    @classmethod
    def of(cls, algorithm: str, hexdigest: str) -> Digest:
        """Raises ValueError for an algorithm or a value that is none."""
        if algorithm not in ("sha224", "sha256", "sha384", "sha512"):
            raise ValueError(f"the checksum type {algorithm!r} is not accepted")
        if len(hexdigest) != hashlib.new(algorithm).digest_size * 2 or not set(hexdigest) <= set("0123456789abcdef"):
            raise ValueError(f"{hexdigest!r} is no {algorithm} checksum")
        return cls(algorithm, hexdigest)


class Fetcher:
    """Opens URLs as one repository's options say. Several threads may use it at once."""

    def __init__(self, repo: Repo, *, proxy: str | None = None, offline: bool = False) -> None:
        """`proxy` is for a repository that names none; with `offline` every fetch fails."""
        self._repo = repo
        self._offline = offline
        self._proxy = repo.proxy or proxy
        self._opener: Any = None
        self._has_tls = False
        self._lock = threading.Lock()
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Try nothing again: what is being fetched in other threads fails with the next error."""
        self._given_up.set()

    def get(self, urls: Sequence[str], *, limit: int) -> bytes:
        """The content at the first URL that answers, at most `limit` bytes. Raises FetchError."""

        def once(url: str) -> bytes:
            with self._open(url, 0) as answer:
                data = bytes(answer.read(limit + 1))
            if len(data) > limit:
                raise _BadError(f"it is longer than {limit} bytes")
            return data

        return self._try(urls, once)

    def save(self, urls: Sequence[str], path: Path, *, limit: int) -> None:
        """Put what the first URL that answers has at `path`, at most `limit` bytes. Raises FetchError, StoreError."""
        from rpmtree.rpm import transport

        def once(url: str) -> None:
            with self._open(url, 0) as answer, open(path, "wb") as file:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    if file.tell() > limit:
                        raise _BadError(f"it is longer than {limit} bytes")
                if answer.length:
                    raise transport.IncompleteRead(b"", answer.length)

        self._try(urls, once)

    def download(
        self,
        urls: Sequence[str],
        path: Path,
        *,
        size: int,
        digest: Digest,
        advanced: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Put the file of `size` bytes with `digest` at `path`; a part that is there already is gone on with.

        The parent directory must exist. `advanced` is told the bytes as they come. Raises FetchError,
        StoreError.
        """
        partial = path.with_name(f"{path.name}.part")

        def once(url: str) -> None:
            with open(partial, "a+b") as file:
                begun = file.seek(0, os.SEEK_END) > 0
                self._go_on(url, file, size, advanced)
                if begun and not _is(file, digest):
                    # What was begun may be of another file, or mirror: once more from the start.
                    file.truncate(0)
                    self._go_on(url, file, size, advanced)
                if not _is(file, digest):
                    file.truncate(0)
                    raise _BadError("its content is not what the repository's metadata says")
                os.fsync(file.fileno())
            os.replace(partial, path)

        self._try(urls, once)

    def _go_on(self, url: str, file: io.BufferedRandom, size: int, advanced: Callable[[int], None]) -> None:
        """Append to `file` what is missing of `size` bytes."""
        from rpmtree.rpm import transport

        begin = file.seek(0, os.SEEK_END)
        if begin > size:
            begin = file.truncate(0)
        if begin == size:
            return
        started = time.monotonic()
        with self._open(url, begin) as answer:
            if begin and answer.status != transport.PARTIAL_CONTENT:
                begin = file.truncate(0)
            if answer.length is not None and begin + answer.length != size:
                raise _BadError(f"it has {begin + answer.length} bytes, and not {size} as the metadata says")
            at = begin
            while chunk := answer.read(min(_CHUNK, size + 1 - at)):
                at += len(chunk)
                if at > size:
                    file.truncate(0)
                    raise _BadError(f"it is longer than the {size} bytes that the metadata says")
                file.write(chunk)
                advanced(len(chunk))
                if time.monotonic() - started > TIMEOUT + (at - begin) / _SLOWEST:
                    raise TimeoutError("it comes too slowly")
        if at < size:
            raise transport.IncompleteRead(b"", size - at)

    def _open(self, url: str, begin: int) -> Any:
        if self._offline:
            raise FetchError(f"{url} is not in the cache, and nothing may be fetched")
        if urlsplit(url).scheme not in ("http", "https"):
            raise FetchError(f"{url} is not a URL of http:// or https://")
        from rpmtree.rpm import transport

        with self._lock:
            if self._opener is None:
                self._opener = transport.opener(self._repo, self._proxy)
            if url.startswith("https:") and not self._has_tls:
                transport.add_tls(self._opener, self._repo)
                self._has_tls = True
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        return self._opener.open(transport.request(url, headers), timeout=TIMEOUT)

    def _try(self, urls: Sequence[str], once: Callable[[str], _T]) -> _T:
        """What `once` gives for the first URL that it can be had from; each is tried, then all again."""
        from rpmtree.rpm import transport

        reasons: dict[str, str] = {}
        for attempt in range(ATTEMPTS):
            for url in urls:
                if self._given_up.is_set():
                    break
                try:
                    return once(url)
                except transport.HTTPError as error:
                    reasons[url] = f"the server answers {error.code} {error.reason}"
                    error.close()
                except (_BadError, *transport.ERRORS) as error:
                    reasons[url] = str(getattr(error, "reason", error)) or type(error).__name__
                except OSError as error:
                    if error.errno in (*STORAGE_ERRORS, errno.EACCES):
                        raise StoreError(f"{url} can't be stored: {error.strerror}") from error
                    reasons[url] = str(error)
            # Missing on every mirror, or wrong on every one: asking again changes nothing.
            if all("answers 4" in reason for reason in reasons.values()):
                break
            if attempt + 1 < ATTEMPTS and self._given_up.wait(PAUSE * 4**attempt):
                break
        raise FetchError(
            f"{urls[0] if urls else self._repo.id} can't be fetched for the repository {self._repo.id}",
            detail="\n".join(f"  {url}: {reason}" for url, reason in reasons.items()),
        )


def _is(file: io.BufferedRandom, digest: Digest) -> bool:
    file.seek(0)
    return hashlib.file_digest(file, digest.algorithm).hexdigest() == digest.hexdigest


class _BadError(Exception):
    """What came is not what was asked for; another mirror may have it."""
