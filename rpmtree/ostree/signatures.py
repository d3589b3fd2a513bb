# SPDX-License-Identifier: GPL-2.0-or-later
"""Signatures of commits: what is stored beside a commit, who made it, and which keys a remote trusts.

A commit's detached metadata (`objects/…/….commitmeta`, an `a{sv}`) has a list of signatures (`aay`) for each kind:
`ostree.gpgsigs` holds OpenPGP's, `ostree.sign.ed25519` 64 bytes each; both are over the commit object's bytes
(ostree-sign-ed25519.c, ostree.repo-config(5)). Debian's libostree is built without ed25519: PyNaCl does that part.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpmtree.errors import FetchError
from rpmtree.ostree.library import libostree, wrapped

GPG, ED25519 = "ostree.gpgsigs", "ostree.sign.ed25519"
#: What is said of an OpenPGP signature that doesn't fit. gpg looks at none that comes after it.
WRONG = "it is wrong"
#: Where keys lie that all remotes share, and keys that count nowhere (ostree-sign(1)).
_SYSTEM = ("etc/ostree", "usr/share/ostree")
_CHECKSUM = re.compile(r"\b[0-9a-f]{64}\b")
#: How libostree says that it is built without a kind of signature, which only a summary's makes it say here.
_NO_SUCH_KIND = "Requested signature type is not implemented"
_TRUE, _FALSE = ("true", "1"), ("false", "0", "")
# Fields of libostree's OstreeGpgSignatureAttr, in their order; asked for all at once: a list of them can't be passed.
_VALID, _EXPIRED, _KEY_EXPIRED, _KEY_REVOKED, _KEY_MISSING, _FINGERPRINT, _TIMESTAMP = range(7)
_USER, _MAIL, _PRIMARY = 10, 11, 12


@dataclass(frozen=True, slots=True)
class CommitSignature:
    """A signature of a commit. `kind` is gpg or ed25519, `key` a fingerprint or a public key in base64, if known."""

    kind: str
    key: str
    valid: bool
    user: str | None = None
    #: Seconds since 1970.
    timestamp: int | None = None
    #: Why it is not valid.
    error: str | None = None


def detached(repo: Path, checksum: str) -> Any:
    """The detached metadata of a commit, a GLib.Variant of type `a{sv}`; None if there is none. Raises OSError."""
    from gi.repository import GLib

    try:
        data = (repo / "objects" / checksum[:2] / f"{checksum[2:]}.commitmeta").read_bytes()
    except FileNotFoundError:
        return None
    # Not libostree's reader, which takes what a server sent for well-formed.
    return GLib.Variant.new_from_bytes(GLib.VariantType("a{sv}"), GLib.Bytes.new(data), False)


def stored(metadata: Any, kind: str) -> tuple[bytes, ...]:
    """The signatures of one kind (GPG or ED25519) in detached metadata."""
    from gi.repository import GLib

    found = None if metadata is None else metadata.lookup_value(kind, GLib.VariantType("aay"))
    if found is None:
        return ()
    children = (found.get_child_value(number) for number in range(found.n_children()))
    return tuple(bytes(child.get_data_as_bytes().get_data() or b"") for child in children)


def signer(data: bytes, signature: bytes, keys: Iterable[bytes]) -> bytes | None:
    """The one of the public `keys` (32 bytes each) that made the ed25519 `signature` of `data`; None if none did."""
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    for key in keys if len(signature) == 64 else ():
        try:
            VerifyKey(key).verify(data, signature)
        except BadSignatureError:
            continue
        return key
    return None


def wants_ed25519(remote: str, options: Mapping[str, str], what: str) -> bool:
    """Whether the remote's option sign-verify asks for it. Raises FetchError for what can't be verified here."""
    wish = options.get("sign-verify", "").strip()
    if wish in _FALSE:
        return False
    kinds = [] if wish in _TRUE else [kind.strip() for kind in wish.split(";") if kind.strip()]
    for kind in kinds:
        if kind != "ed25519":
            raise FetchError(
                f"{what}: the remote {remote} asks for signatures of kind {kind}, which can't be verified here",
                hint=f"set sign-verify=ed25519 for the remote {remote}",
            )
    return True


def libostree_looks(options: Mapping[str, str]) -> bool:
    """Whether libostree is to verify ed25519 itself: it alone can for a summary, and refuses where it can't.

    Its pull can't be told to leave out commits and still look at the summary (2022.7).
    """
    return options.get("sign-verify-summary", "").strip() not in _FALSE


def trusted_keys(remote: str, options: Mapping[str, str], what: str, root: Path = Path("/")) -> tuple[bytes, ...]:
    """The ed25519 keys that count for a remote: its own, or those of the system where sign-verify is just true.

    Those that the system revokes are left out. Raises FetchError if there is none, or a file of them can't be read.
    """
    found: list[bytes] = []
    hint = f"set verification-ed25519-key or verification-ed25519-file for the remote {remote}"
    if (text := options.get("verification-ed25519-key")) is not None:
        found.append(_public_key(text, f"{what}: verification-ed25519-key of the remote {remote}", hint))
    if (name := options.get("verification-ed25519-file")) is not None:
        path = root / name.lstrip("/")
        found += _keys_in(path, f"{what}: the key file {path} of the remote {remote}", hint)
        if not found:
            raise FetchError(f"{what}: the key file {path} of the remote {remote} has no key in it", hint=hint)
    if text is None and name is None and options.get("sign-verify", "").strip() in _TRUE:
        found += _system_keys(root, "trusted", what)
    revoked = set(_system_keys(root, "revoked", what))
    keys = tuple(key for key in dict.fromkeys(found) if key not in revoked)
    if not keys:
        reason = "all ed25519 keys of it are revoked" if found else "there is no ed25519 key for it"
        raise FetchError(f"{what}: the remote {remote} asks for signatures, and {reason}", hint=hint)
    return keys


def _system_keys(root: Path, kind: str, what: str) -> list[bytes]:
    found = []
    for directory in _SYSTEM:
        single = root / directory / f"{kind}.ed25519"
        for path in (single, *sorted(single.with_name(f"{single.name}.d").glob("*"))):
            if path.is_file():
                found += _keys_in(path, f"{what}: the key file {path}", "mend the file, or remove it")
    return found


def _keys_in(path: Path, what: str, hint: str) -> list[bytes]:
    try:
        lines = path.read_text("ascii", "replace").split("\n")
    except OSError as error:
        raise FetchError(f"{what} can't be read: {error.strerror}", hint=hint) from error
    return [_public_key(line, what, hint) for line in lines if line.strip()]


def _public_key(text: str, what: str, hint: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 32:
        raise FetchError(f"{what} is not 32 bytes in base64", hint=hint)
    return key


def refusal(data: bytes, metadata: Any, keys: Iterable[bytes]) -> str | None:
    """Why the commit whose bytes are `data` does not pass for one that one of `keys` has signed; None if it does."""
    keys = tuple(keys)
    signatures = stored(metadata, ED25519)
    if any(signer(data, signature, keys) for signature in signatures):
        return None
    return "has no ed25519 signature that a trusted key made" if signatures else "has no ed25519 signature"


def ed25519_results(data: bytes, metadata: Any, keys: Iterable[bytes]) -> list[CommitSignature]:
    """What is to be said of each ed25519 signature. Such a signature does not name its key."""
    keys = tuple(keys)
    results = []
    for signature in stored(metadata, ED25519):
        key = signer(data, signature, keys)
        text = "" if key is None else base64.b64encode(key).decode()
        error = "no trusted key made it" if key is None else None
        results.append(CommitSignature("ed25519", text, key is not None, error=error))
    return results


def refused_by_libostree(error: FetchError, remote: str, what: str) -> FetchError | None:
    """The error that says in a line what libostree found wrong with signatures; None if it was something else."""
    from gi.repository import GLib

    cause, ostree = error.__cause__, libostree()
    if isinstance(cause, GLib.Error) and cause.message == _NO_SUCH_KIND:
        return FetchError(
            f"{what}: this machine's libostree can't verify the signature of a summary, which {remote} asks for",
            hint=f"set sign-verify-summary=false for the remote {remote}: sign-verify=ed25519 covers its commits",
        )
    if not isinstance(cause, GLib.Error) or cause.domain != GLib.quark_to_string(ostree.gpg_error_quark()):
        return None
    named = _CHECKSUM.search(cause.message)
    commit = f"the commit {named.group()}" if named else "what came"
    missing = cause.code == ostree.GpgError.NO_SIGNATURE
    return FetchError(
        f"{what}: {commit} has no GPG signature{'' if missing else ' that is good and of a trusted key'}",
        hint=f"have it signed, or import the key that signs for the remote {remote} (ostree remote gpg-import)",
        detail=cause.message,
    )


def gpg_results(repo: Any, checksum: str, remote: str | None, extra_keys: Path | None = None) -> list[CommitSignature]:
    """What libostree says of each OpenPGP signature, of which there must be some; `repo` is libostree's.

    Keys are the remote's, or without one the system's with those in the file `extra_keys`. Raises StoreError.
    """
    from gi.repository import Gio

    with wrapped(f"can't check the signatures of the commit {checksum}"):
        if remote is not None:
            found = repo.verify_commit_for_remote(checksum, remote, None)
        else:
            extra = None if extra_keys is None else Gio.File.new_for_path(str(extra_keys))
            found = repo.verify_commit_ext(checksum, None, extra, None)
    return [_gpg_result(found.get_all(number).unpack()) for number in range(found.count_all())]


def _gpg_result(fields: tuple[Any, ...]) -> CommitSignature:
    reasons = (
        (_KEY_MISSING, "the public key is missing"),
        (_KEY_REVOKED, "the key is revoked"),
        (_KEY_EXPIRED, "the key has expired"),
        (_EXPIRED, "the signature has expired"),
    )
    error = next((text for number, text in reasons if fields[number]), None if fields[_VALID] else WRONG)
    known = not fields[_KEY_MISSING]
    return CommitSignature(
        "gpg",
        fields[_PRIMARY] or fields[_FINGERPRINT],
        error is None,
        f"{fields[_USER]} <{fields[_MAIL]}>" if known else None,
        fields[_TIMESTAMP] or None,
        error,
    )
