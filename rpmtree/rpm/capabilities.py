# SPDX-License-Identifier: GPL-2.0-or-later
"""File capabilities: from the text in a package's header to the extended attribute on the file.

The text is that of cap_from_text(3), the attribute `struct vfs_cap_data` of revision 2 in linux/capability.h.
"""

from __future__ import annotations

import re
import struct

XATTR = "security.capability"
_REVISION_2 = 0x02000000
_EFFECTIVE = 0x01
#: By number, as in linux/capability.h.
_NAMES = (
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
)  # fmt: skip
_BITS = {f"cap_{name}": 1 << number for number, name in enumerate(_NAMES)}
_ALL = (1 << len(_NAMES)) - 1
_CLAUSE = re.compile(r"(?P<names>[a-z0-9_,]*)(?P<actions>(?:[=+-][eip]*)+)")
_ACTION = re.compile(r"([=+-])([eip]*)")


def capability_xattr(text: str) -> bytes:
    """The value of `security.capability` for a text such as `cap_net_raw=ep`; raises ValueError."""
    sets = dict.fromkeys("eip", 0)
    for clause in text.lower().split():
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise ValueError(f"not a capability clause: {clause}")
        names, actions = match.groups()
        if not names and not actions.startswith("="):
            raise ValueError(f"capability clause without names: {clause}")
        _apply(sets, _mask(names), actions)
    return _pack(sets["e"], sets["i"], sets["p"])


def _mask(names: str) -> int:
    if names in ("", "all"):
        return _ALL
    mask = 0
    for name in names.split(","):
        if name not in _BITS:
            raise ValueError(f"unknown capability: {name or '(empty)'}")
        mask |= _BITS[name]
    return mask


def _apply(sets: dict[str, int], mask: int, actions: str) -> None:
    for operator, flags in _ACTION.findall(actions):
        for flag, present in sets.items():
            kept = present & ~mask if operator == "=" or (operator == "-" and flag in flags) else present
            sets[flag] = kept | mask if operator != "-" and flag in flags else kept


def _pack(effective: int, inheritable: int, permitted: int) -> bytes:
    # The attribute has one bit for "effective": either none is, or all that are permitted or inheritable.
    if effective and (permitted | inheritable) & ~effective:
        raise ValueError("a file's effective capabilities must be none or all of the others")
    low, high = 0xFFFFFFFF, 32
    return struct.pack(
        "<5I", _REVISION_2 | (_EFFECTIVE if effective else 0),
        permitted & low, inheritable & low, permitted >> high, inheritable >> high,
    )  # fmt: skip
