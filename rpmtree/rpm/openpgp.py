# SPDX-License-Identifier: GPL-2.0-or-later
"""OpenPGP keys and signatures, read as far as rpm 4.18's own parser doesn't: expiry, revocation, subkeys.

Only structure is read here; the arithmetic of signatures is rpm's. A key file is trusted as a whole by
whoever names it in a .repo file, so that self-signatures in it are read and not verified. (RFC 4880.)
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_PUBLIC_KEY, _SUBKEY, _USER_ID, _SIGNATURE = 6, 14, 13, 2
_CERTIFICATIONS = frozenset({0x10, 0x11, 0x12, 0x13, 0x1F})
_SUBKEY_BINDING, _KEY_REVOCATION, _SUBKEY_REVOCATION = 0x18, 0x20, 0x28
_OF_SUBKEYS = frozenset({_SUBKEY_BINDING})
_CAN_SIGN = 0x02
_ARMORED = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature packet of version 3 or 4. Times are seconds since 1970; `key_id` is 16 hexadecimal digits."""

    kind: int
    key_id: str
    created: int
    #: When the signature itself ends, or None.
    expires: int | None = None
    #: Seconds that the key lives from its making, or None (self-signatures).
    key_lifetime: int | None = None
    #: The key flags subpacket, or None.
    key_flags: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key, or a subkey that may sign.

    `certificate` is what it came in, packets in binary form: primary key, user ids, subkeys, and what signs them.
    """

    key_id: str
    created: int
    user_id: str
    certificate: bytes
    expires: int | None = None
    revoked: bool = False


def read_keys(data: bytes) -> tuple[Key, ...]:
    """All keys that may sign, of an armored or binary key file with any number of keys.

    A subkey ends or is revoked with its primary key at the latest. Raises ValueError.
    """
    keys = [key for group in _certificates(binary(data)) for key in _read_certificate(group)]
    if not keys:
        raise ValueError("it holds no OpenPGP public key of version 4")
    return tuple(keys)


def binary(data: bytes) -> bytes:
    """The packets of an armored or binary key file; raises ValueError."""
    # A binary packet begins with its high bit set, so that no armor can be found in it by chance.
    if not data.lstrip().startswith(b"-----"):
        return data
    return b"".join(_dearmor(block) for block in _ARMORED.findall(data))


def read_signature(data: bytes) -> Signature:
    """The one signature packet in `data`; raises ValueError."""
    packets = list(_packets(data))
    if len(packets) != 1 or packets[0][0] != _SIGNATURE:
        raise ValueError("it is not an OpenPGP signature")
    return _signature(packets[0][1])


def armored(data: bytes) -> bytes:
    """A key file of packets in binary form."""
    lines = base64.encodebytes(data) + b"=" + base64.b64encode(_crc24(data).to_bytes(3, "big"))
    return b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n%b\n-----END PGP PUBLIC KEY BLOCK-----\n" % lines


def _dearmor(block: bytes) -> bytes:
    """The packets of an armored block; "Comment:" lines and the checksum are left out."""
    lines = [line for line in block.splitlines() if b":" not in line and not line.startswith(b"=")]
    return base64.b64decode(b"".join(lines))


def _crc24(data: bytes) -> int:
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (0x1864CFB if crc & 0x800000 else 0)
    return crc & 0xFFFFFF


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, at = data[at], at + 1
        if not tag & 0x80:
            raise ValueError("it is not OpenPGP data")
        if tag & 0x40:
            kind, (length, at) = tag & 0x3F, _new_length(data, at)
        else:
            kind, width = tag >> 2 & 0x0F, (1, 2, 4, 0)[tag & 3]
            length = int.from_bytes(data[at : at + width], "big") if width else len(data) - at
            at += width
        if at + length > len(data):
            raise ValueError("the OpenPGP data ends too soon")
        yield kind, data[at : at + length]
        at += length


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    """A length of one, two or five octets, and where what follows it begins."""
    first = data[at : at + 1]
    if not first or 224 <= first[0] < 255:
        raise ValueError("an OpenPGP length is missing or partial")
    if first[0] < 192:
        return first[0], at + 1
    if first[0] < 224:
        return (first[0] - 192 << 8) + int.from_bytes(data[at + 1 : at + 2], "big") + 192, at + 2
    return int.from_bytes(data[at + 1 : at + 5], "big"), at + 5


def _certificates(data: bytes) -> Iterator[list[tuple[int, bytes]]]:
    group: list[tuple[int, bytes]] = []
    for kind, body in _packets(data):
        if kind == _PUBLIC_KEY and group:
            yield group
            group = []
        if kind == _PUBLIC_KEY or group:
            group.append((kind, body))
    if group:
        yield group


def _read_certificate(group: list[tuple[int, bytes]]) -> list[Key]:
    """The primary key, then the subkeys that may sign."""
    user_id = next((body.decode("utf-8", "replace") for kind, body in group if kind == _USER_ID), "")
    found: list[tuple[int, bytes, list[Signature]]] = []
    for kind, body in group:
        if kind in (_PUBLIC_KEY, _SUBKEY):
            found.append((kind, body, []))
        elif kind == _SIGNATURE:
            found[-1][2].extend(_own_signature(body))
    whole = b"".join(b"%c\xff" % (0xC0 | kind) + len(body).to_bytes(4, "big") + body for kind, body in group)
    primary = _key(found[0][1], user_id, whole, found[0][2], kinds=_CERTIFICATIONS, revocation=_KEY_REVOCATION)
    if primary is None:
        return []
    keys = [primary]
    for _, body, signatures in found[1:]:
        if not (_newest_flags(signatures) or 0) & _CAN_SIGN:
            continue
        key = _key(body, user_id, whole, signatures, kinds=_OF_SUBKEYS, revocation=_SUBKEY_REVOCATION)
        if key is not None:
            ends = [time for time in (key.expires, primary.expires) if time is not None]
            keys.append(replace(key, expires=min(ends, default=None), revoked=key.revoked or primary.revoked))
    return keys


def _own_signature(body: bytes) -> list[Signature]:
    try:
        return [_signature(body)]
    except ValueError:
        return []  # an old or unknown form, such as another person's certification of long ago


def _newest_flags(signatures: list[Signature]) -> int | None:
    bindings = [signature for signature in signatures if signature.kind == _SUBKEY_BINDING]
    return max(bindings, key=lambda signature: signature.created).key_flags if bindings else None


def _key(
    body: bytes,
    user_id: str,
    certificate: bytes,
    signatures: list[Signature],
    *,
    kinds: frozenset[int],
    revocation: int,
) -> Key | None:
    """The key with what its owner's newest signature says of its end; None for versions other than 4."""
    if len(body) < 6 or body[0] != 4:
        return None
    key_id = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False).hexdigest()[-16:]
    created = int.from_bytes(body[1:5], "big")
    by_owner = [signature for signature in signatures if kinds == _OF_SUBKEYS or signature.key_id == key_id]
    own = [signature for signature in by_owner if signature.kind in kinds]
    lifetime = max(own, key=lambda signature: signature.created).key_lifetime if own else None
    return Key(
        key_id,
        created,
        user_id,
        certificate,
        expires=created + lifetime if lifetime else None,
        revoked=any(signature.kind == revocation for signature in signatures),
    )


def _signature(body: bytes) -> Signature:
    """Raises ValueError for other versions than 3 (which has no subpackets) and 4, and where the time is missing."""
    if len(body) >= 19 and body[0] == 3:
        return Signature(body[2], body[7:15].hex(), int.from_bytes(body[3:7], "big"))
    if len(body) < 6 or body[0] != 4:
        raise ValueError("it is not an OpenPGP signature of version 3 or 4")
    hashed_end = 6 + int.from_bytes(body[4:6], "big")
    unhashed = body[hashed_end + 2 : hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")]
    hashed = dict(_subpackets(body[6:hashed_end]))
    if 2 not in hashed:
        raise ValueError("the signature doesn't say when it was made")
    issuer = {**dict(_subpackets(unhashed)), **hashed}
    # The fingerprint (33) is as good as the key ID (16), and newer.
    key_id = issuer[16] if 16 in issuer else issuer[33][-8:] if 33 in issuer else b""
    created = int.from_bytes(hashed[2], "big")
    lifetime = int.from_bytes(hashed.get(3, b""), "big")
    return Signature(
        kind=body[1],
        key_id=key_id.hex(),
        created=created,
        expires=created + lifetime if lifetime else None,
        key_lifetime=int.from_bytes(hashed[9], "big") if 9 in hashed else None,
        key_flags=hashed[27][0] if hashed.get(27) else None,
    )


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        # Unlike packets, subpackets have two-octet lengths up to 254 in the first octet.
        if 224 <= data[at] < 255:
            length, at = (data[at] - 192 << 8) + int.from_bytes(data[at + 1 : at + 2], "big") + 192, at + 2
        else:
            length, at = _new_length(data, at)
        if length == 0 or at + length > len(data):
            raise ValueError("an OpenPGP subpacket ends too soon")
        yield data[at] & 0x7F, data[at + 1 : at + length]
        at += length
