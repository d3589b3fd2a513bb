# SPDX-License-Identifier: GPL-2.0-or-later
"""Signing commits. A signature is added to those that are there, and once only for each key."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rpmtree import command
from rpmtree.errors import ConfigError, Place, StoreError, ToolError
from rpmtree.ostree.detached import alone
from rpmtree.ostree.library import make_durable, wrapped
from rpmtree.ostree.repo import Repository
from rpmtree.ostree.signatures import ED25519, GPG, WRONG, detached, gpg_results, signer, stored


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An ed25519 key pair: the seed, and the public key that follows from it, 32 bytes each."""

    seed: bytes = field(repr=False)
    public: bytes

    def __str__(self) -> str:
        return base64.b64encode(self.public).decode()

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes."""
        from nacl.signing import SigningKey

        return bytes(SigningKey(self.seed).sign(data).signature)


def read_secret_keys(path: Path) -> tuple[SecretKey, ...]:
    """The keys in a file as `ostree sign` takes it: base64 of seed and public key, a line each; the seed alone will do.

    Raises ConfigError, which does not show what is in the file.
    """
    try:
        lines = path.read_text("ascii", "replace").split("\n")
    except OSError as error:
        raise ConfigError(f"can't be read: {error.strerror}", place=Place(str(path))) from error
    keys = tuple(_secret_key(line, Place(str(path), number)) for number, line in enumerate(lines, 1) if line.strip())
    if not keys:
        raise ConfigError("there is no key in it", place=Place(str(path)))
    return keys


def _secret_key(line: str, place: Place) -> SecretKey:
    from nacl.signing import SigningKey

    try:
        data = base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) not in (32, 64):
        raise ConfigError("is not an ed25519 secret key: 64 (or 32) bytes in base64", place=place)
    public = bytes(SigningKey(data[:32]).verify_key)
    if data[32:] not in (b"", public):
        raise ConfigError(
            "is not an ed25519 secret key: its second half is not the first half's public key", place=place
        )
    return SecretKey(data[:32], public)


def sign_ed25519(repo: Repository, checksum: bytes, key: SecretKey) -> bool:
    """Sign a commit; False if the key has signed it already. Durable when it returns. Raises StoreError."""
    from gi.repository import GLib

    data = repo.commit_bytes(checksum)
    with alone(repo), wrapped(f"can't sign the commit {checksum.hex()}"):
        metadata = detached(repo.path, checksum.hex())
        there = stored(metadata, ED25519)
        if any(signer(data, signature, (key.public,)) for signature in there):
            return False
        values = GLib.VariantDict.new(metadata)
        values.insert_value(ED25519, GLib.Variant("aay", [*there, key.sign(data)]))
        repo.handle().write_commit_detached_metadata(checksum.hex(), values.end(), None)
        make_durable(repo.path)
    return True


def sign_gpg(repo: Repository, checksum: bytes, key: str, homedir: Path) -> tuple[str, bool]:
    """Sign a commit with a secret key that gpg has in `homedir`, named in any of gpg's ways.

    Gives the key's fingerprint, and False if it has signed the commit already. Durable when it returns. Raises
    ToolError if there is not exactly one such key, StoreError.
    """
    repo.commit_bytes(checksum)
    fingerprint = find_gpg_key(key, homedir)
    with alone(repo), wrapped(f"can't sign the commit {checksum.hex()} with {key}"):
        if _gpg_signed(repo, checksum.hex(), fingerprint, homedir):
            return fingerprint, False
        repo.handle().sign_commit(checksum.hex(), fingerprint, str(homedir), None)
        make_durable(repo.path)
    return fingerprint, True


def find_gpg_key(key: str, homedir: Path) -> str:
    """The fingerprint of the one secret key that `key` names. Raises ToolError."""
    listing = command.run([*_gpg(homedir), "--with-colons", "--list-secret-keys", "--", key], check=False)
    found, primary = [], False
    for line in listing.stdout.decode("utf-8", "replace").splitlines():  # gnupg's doc/DETAILS
        fields = line.split(":")
        if fields[0] == "fpr" and primary:
            found.append(fields[9])
        primary = fields[0] == "sec"
    if len(found) != 1:
        reason = "has no secret key" if not found else "has several secret keys that are called"
        raise ToolError(
            f"gpg {reason} {key} in {homedir}",
            hint=f"gpg --homedir={homedir} --list-secret-keys shows them; name one by its fingerprint",
            detail=command.tail(listing.stderr) or None,
        )
    return found[0]


def _gpg_signed(repo: Repository, checksum: str, fingerprint: str, homedir: Path) -> bool:
    """Whether a commit has a good signature of that key. Raises StoreError if no other could be added."""
    if not stored(detached(repo.path, checksum), GPG):
        return False
    with TemporaryDirectory(prefix="strata-sign-") as directory:
        keys = Path(directory) / "keys.gpg"
        keys.write_bytes(command.run([*_gpg(homedir), "--export", "--", fingerprint]).stdout)
        results = gpg_results(repo.handle(), checksum, None, keys)
    if any(found.valid and found.key == fingerprint for found in results):
        return True
    if any(found.error == WRONG for found in results):
        raise StoreError(
            f"the commit {checksum} has a GPG signature that is wrong, and gpg would look at none after it",
            hint=f"remove {repo.path}/objects/{checksum[:2]}/{checksum[2:]}.commitmeta, then sign the commit anew",
        )
    return False


def _gpg(homedir: Path) -> list[str]:
    return ["gpg", f"--homedir={homedir}", "--batch", "--no-tty"]
