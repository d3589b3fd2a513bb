# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the header of an RPM file and says whether it may be used. Payloads are checked by who unpacks them.

rpm does the arithmetic; this module closes what rpm 4.18 leaves open: an unsigned package passes at every
verification level, and an expired or revoked key is as good as any.
Imports only `rpm`, since each import worker starts with it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rpm

from rpmtree.errors import FetchError, StoreError
from rpmtree.rpm.openpgp import Key, Signature, armored, read_keys, read_signature

_LEAD_SIZE = 96
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_HEADER_MAGIC = b"\x8e\xad\xe8\x01\x00\x00\x00\x00"
#: Far above any real header (texlive's are 20 MB), far below what would hurt.
_LARGEST_HEADER = 64 << 20
# Tags of the signature header (rpmtag.h).
_DSA_HEADER, _RSA_HEADER, _SHA1, _SHA256 = 267, 268, 269, 273
_BINARY = 7
_NO_KEY = "public key not available"


class Verifier:
    """Holds the keys of one repository. No rpm database and no configuration of the host is looked at."""

    def __init__(self, keys: Sequence[bytes], *, now: float | None = None) -> None:
        """`keys` are key files, armored or binary; `now` is the time by which keys end, by default the clock's.

        Raises FetchError for a key that can't be read.
        """
        # What rpm finds wrong comes as an exception; its own lines on stderr would be said twice.
        rpm.setVerbosity(rpm.RPMLOG_EMERG)
        self._now = time.time() if now is None else now
        self._keys: dict[str, Key] = {}
        for data in keys:
            try:
                self._keys |= {key.key_id: key for key in read_keys(data)}
            except ValueError as error:
                raise FetchError(f"a signing key can't be read: {error}") from error
        usable = [key for key in self._keys.values() if not self._refusal(key)]
        self._signed = _transaction(usable)
        self._keyless = _transaction(())
        self._digests = _transaction((), rpm.RPMVSF_MASK_NOSIGNATURES)

    def read_header(self, fd: int, *, name: str, gpgcheck: bool) -> Any:
        """The header of the package that begins at the offset of `fd`, as an `rpm.hdr`; leaves `fd` at the payload.

        The header's digests are always checked, and with `gpgcheck` its signature. What is checked is what is
        returned: the file is read once. Raises FetchError that begins with `name`.
        """
        lead = _read(fd, _LEAD_SIZE, name)
        if lead[:4] != _LEAD_MAGIC:
            raise FetchError(f"{name} is not an RPM package")
        signature_header = _read_header(fd, name)
        signature_header += _read(fd, -len(signature_header) % 8, name)
        tags = _binary_tags(signature_header, name)
        if not tags.keys() & {_SHA1, _SHA256}:
            raise FetchError(f"{name} has no digest of its header")
        with _memory_file(lead + signature_header + _read_header(fd, name)) as memory:
            if gpgcheck:
                self._check_signed(memory, tags, name)
            header = self._load_signed(memory, name) if gpgcheck else _load(self._digests, memory, name)
        if gpgcheck and not header["PAYLOADDIGEST"]:
            raise FetchError(f"{name} has a signature that leaves out the payload (it is from before 2017)")
        return header

    def _check_signed(self, memory: int, tags: dict[int, list[bytes]], name: str) -> None:
        """Refuse what has no signature, or one that no usable key can have made."""
        found = tags.get(_DSA_HEADER, []) + tags.get(_RSA_HEADER, [])
        if not found:
            raise FetchError(f"{name} is not signed", hint="sign it, or set gpgcheck=0 for its repository")
        if len(found) != 1:
            raise FetchError(f"{name} has {len(found)} signatures of its header, and one is allowed")
        try:
            signature = read_signature(found[0])
        except ValueError as error:
            raise FetchError(f"{name} has a signature that can't be read: {error}") from error
        key = self._keys.get(signature.key_id)
        if key is None:
            raise FetchError(
                f"{name} is signed by the key {signature.key_id}, which is none of its repository's",
                hint="if the key is to be trusted, add it to gpgkey= of the repository",
            )
        reason = self._refusal(key) or _conflict(key, signature, self._now)
        if reason:
            raise FetchError(f"{name} is signed by the key {key.key_id} ({key.user_id}), {reason}")
        # Proof that rpm sees the signature that was read above: without keys it must miss one.
        try:
            self._keyless.hdrFromFdno(_rewound(memory))
        except rpm.error as error:
            if str(error) == _NO_KEY:
                return
            raise _altered(name) from error
        raise FetchError(f"{name} has a signature where rpm doesn't look for it")

    def _load_signed(self, memory: int, name: str) -> Any:
        try:
            return self._signed.hdrFromFdno(_rewound(memory))
        except rpm.error as error:
            _load(self._digests, memory, name)
            raise FetchError(
                f"{name} has a signature that rpm refuses: it is wrong, or its key or digest is not safe any more"
            ) from error

    def _refusal(self, key: Key) -> str:
        if key.revoked:
            return "which is revoked"
        if key.expires is not None and key.expires <= self._now:
            return f"which expired on {_day(key.expires)}"
        return ""


def read_header_blob(blob: bytes) -> Any:
    """The `rpm.hdr` of bytes that its `unload()` gave, whose digests were checked then; raises StoreError."""
    try:
        return rpm.hdr(blob)
    except (rpm.error, TypeError) as error:
        raise StoreError("a stored package header is damaged") from error


def _transaction(keys: Sequence[Key], flags: int = 0) -> Any:
    """A transaction used only to read headers. It always gets a keyring: without one rpm opens its database."""
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(flags)
    transaction.setKeyring(_keyring(keys))
    return transaction


def _keyring(keys: Sequence[Key]) -> Any:
    """A keyring of the keys' certificates, which rpm reads from files.

    Those that are put into one from Python lack their subkeys, and where rpm uses Sequoia a subkey that is given as a
    key of its own is refused, since nothing in it binds it (rpmts.c, loadKeyringFromFiles).
    """
    if not keys:
        return rpm.keyring()
    with tempfile.TemporaryDirectory(prefix="strata-keys-") as directory:
        for key in {key.certificate: key for key in keys}.values():
            certificate = armored(key.certificate)
            try:
                rpm.pubkey(certificate)
            except (ValueError, rpm.error) as error:
                raise FetchError(f"rpm can't use the signing key {key.key_id} ({key.user_id})") from error
            Path(directory, f"{key.key_id}.key").write_bytes(certificate)
        macros = {"_keyring": "fs", "_keyringpath": directory}
        for name, value in macros.items():
            rpm.addMacro(name, value)
        try:
            return rpm.TransactionSet().getKeyring()
        finally:
            for name in macros:
                rpm.delMacro(name)


def _load(transaction: Any, memory: int, name: str) -> Any:
    try:
        return transaction.hdrFromFdno(_rewound(memory))
    except rpm.error as error:
        raise _altered(name) from error


def _altered(name: str) -> FetchError:
    return FetchError(f"{name} is damaged or altered: its header is not what its digest or signature says")


def _conflict(key: Key, signature: Signature, now: float) -> str:
    if signature.created < key.created:
        return "in a signature older than the key"
    if signature.expires is not None and signature.expires <= now:
        return f"in a signature that expired on {_day(signature.expires)}"
    return ""


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _read(fd: int, size: int, name: str) -> bytes:
    parts = []
    while size > 0:
        part = os.read(fd, size)
        if not part:
            raise FetchError(f"{name} is cut off in its header")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _read_header(fd: int, name: str) -> bytes:
    """One header structure: magic, the counts of entries and of data bytes, entries, data."""
    start = _read(fd, 16, name)
    entries, size = int.from_bytes(start[8:12], "big"), int.from_bytes(start[12:], "big")
    if start[:8] != _HEADER_MAGIC or entries * 16 + size > _LARGEST_HEADER:
        raise FetchError(f"{name} is damaged: it has no header where one should be")
    return start + _read(fd, entries * 16 + size, name)


def _binary_tags(header: bytes, name: str) -> dict[int, list[bytes]]:
    """The values by tag; those of other types than binary are left empty."""
    count = int.from_bytes(header[8:12], "big")
    data = header[16 + count * 16 :]
    found: dict[int, list[bytes]] = {}
    for at in range(16, 16 + count * 16, 16):
        tag, kind, offset, size = (int.from_bytes(header[at + i : at + i + 4], "big") for i in range(0, 16, 4))
        found.setdefault(tag, []).append(data[offset : offset + size] if kind == _BINARY else b"")
    return found


def _rewound(fd: int) -> int:
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


@contextmanager
def _memory_file(data: bytes) -> Iterator[int]:
    """The descriptor of a nameless file in memory with the given content."""
    with os.fdopen(os.memfd_create("rpm-header"), "wb") as file:
        file.write(data)
        file.flush()
        yield file.fileno()
