# SPDX-License-Identifier: GPL-2.0-or-later
"""SELinux policies: the label that the policy of an image gives to a path.

libselinux knows (selabel_lookup_raw(3)), but it tries one expression after the other, and a policy has thousands: a
path takes 0.3 ms. So it is asked about each part of a tree with only those expressions that can match there, in their
order, which takes a tenth of that.
"""

from __future__ import annotations

import base64
import ctypes
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from rpmtree.errors import StoreError, ToolError

CONFIG = "etc/selinux/config"
_CONTEXTS = "file_contexts"
#: What is added to a file's name for its parts: expressions, in the order in which they are read, and aliases.
_EXPRESSIONS = ("", ".homedirs", ".local")
_ALIASES = (".subs_dist", ".subs")
#: Components of the directories that libselinux is asked about apart.
_DEPTH = 3
_MAX_KEYS = 64
_SELABEL_CTX_FILE, _SELABEL_OPT_PATH = 0, 3  # selinux/label.h


@dataclass(frozen=True)
class Policy:
    """All of a policy that decides labels: the files `file_contexts*`, by what comes after that in their names.

    `label_version` is 1 where /usr/etc is to have the labels of /etc (`selinux-label-version` of a treefile).
    """

    name: str
    files: Mapping[str, bytes]
    label_version: int = 0

    @cached_property
    def checksum(self) -> str:
        """In hexadecimal; two policies of one checksum give every path the same label."""
        digest = hashlib.sha256(b"%d" % self.label_version)
        for suffix, data in sorted(self.files.items()):
            digest.update(f"{suffix}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()

    def place(self, path: str) -> str:
        """Where a path of a root with configuration at /etc (`/etc/passwd`; empty is the root itself) is looked up."""
        if self.label_version == 0 and (path == "/etc" or path.startswith("/etc/")):
            return f"/usr{path}"
        return path or "/"


def policy_name(config: bytes) -> str | None:
    """The policy that a file /etc/selinux/config names, unless it says that SELinux is disabled (selinux_config(5))."""
    found = dict(re.findall(r"(?m)^\s*(SELINUX|SELINUXTYPE)\s*=\s*([A-Za-z0-9._-]+)\s*$", config.decode("latin-1")))
    enabled = found.get("SELINUX", "").lower() in ("enforcing", "permissive")
    name = found.get("SELINUXTYPE", "")
    return name if enabled and name.strip(".") else None


def files_directory(name: str) -> str:
    """Where a policy says what labels files have."""
    return f"etc/selinux/{name}/contexts/files"


def read_policy(read: Callable[[str], bytes | None]) -> Policy | None:
    """The policy that is in force in a tree whose files `read(path)` gives, None for what is not there.

    The compiled twins of the files (`.bin`) are not read: they are made of these, for one version of PCRE.
    """
    name = policy_name(read(CONFIG) or b"")
    if name is None:
        return None
    found = ((suffix, read(f"{files_directory(name)}/{_CONTEXTS}{suffix}")) for suffix in (*_EXPRESSIONS, *_ALIASES))
    files = {suffix: data for suffix, data in found if data is not None}
    return Policy(name, files) if "" in files else None


def packed(policy: Policy | None) -> Mapping[str, Any] | None:
    """A policy for another process, as JSON has it."""
    if policy is None:
        return None
    files = {suffix: base64.b64encode(data).decode() for suffix, data in policy.files.items()}
    return {"name": policy.name, "files": files, "label_version": policy.label_version}


def unpacked(raw: Mapping[str, Any] | None) -> Policy | None:
    """What `packed` was given."""
    if raw is None:
        return None
    files = {suffix: base64.b64decode(data) for suffix, data in raw["files"].items()}
    return Policy(raw["name"], files, raw["label_version"])


def labeller_of(policy: Policy | None) -> AbstractContextManager[Labeller | None]:
    """What gives labels, where there is a policy to give them by."""
    return nullcontext() if policy is None else Labeller(policy)


class Labeller:
    """Asks libselinux; a context manager, with files of its own meanwhile.

    Entering it raises ToolError for a policy that libselinux refuses.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        lines = {suffix: _lines(policy.files[suffix]) for suffix in _EXPRESSIONS if suffix in policy.files}
        self._expressions = {
            suffix: [(_beginning(line.split()[0]), line) for line in found] for suffix, found in lines.items()
        }
        self._aliases = [
            (words[0], words[1])
            for suffix in _ALIASES
            for line in _lines(policy.files.get(suffix, b""))
            if len(words := line.split()) > 1
        ]
        self._handles: dict[str, int] = {}
        self._answer = ctypes.c_void_p()

    def __enter__(self) -> Labeller:
        self._library = _library()
        self._directory = tempfile.TemporaryDirectory(prefix="strata-selinux-")
        try:
            self._handles[""] = self._open("")  # all of it: what is wrong anywhere is said now
        except BaseException:
            self._directory.cleanup()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self._handles.values():
            self._library.selabel_close(handle)
        self._handles.clear()
        self._directory.cleanup()

    def label(self, path: str, mode: int) -> bytes | None:
        """The label of an absolute path, as the attribute `security.selinux` has it; None where it is to have none.

        Of `mode` the type counts. Raises ToolError.
        """
        parent = path.rpartition("/")[0].split("/")
        below = "/".join(parent[: _DEPTH + 1])
        handle = self._handles.get(below)
        if handle is None:
            handle = self._handles[below] = self._open(below)
        if self._library.selabel_lookup_raw(handle, ctypes.byref(self._answer), os.fsencode(path), mode) != 0:
            code = ctypes.get_errno()
            if code == errno.ENOENT:
                return None
            raise ToolError(f"the SELinux policy {self.policy.name} gives no label to {path}: {os.strerror(code)}")
        try:
            return ctypes.string_at(self._answer.value or 0) + b"\0"
        finally:
            self._library.freecon(self._answer)

    def label_in_root(self, path: str, mode: int) -> bytes | None:
        """As `label`, of a path as `Policy.place` takes it."""
        return self.label(self.policy.place(path), mode)

    def _open(self, below: str) -> int:
        """A handle for all paths below a directory."""
        keys = _keys(below.encode("utf-8", "surrogateescape").decode("latin-1"), self._aliases)
        beginnings = {key[:length] for key in keys for length in range(len(key) + 1)}
        where = Path(self._directory.name, str(len(self._handles)))
        path = where / _CONTEXTS
        try:
            where.mkdir()
            for suffix, expressions in self._expressions.items():
                lines = [line for first, line in expressions if first in beginnings or first.startswith(keys)]
                path.with_name(f"{_CONTEXTS}{suffix}").write_bytes(
                    "".join(f"{line}\n" for line in lines).encode("latin-1")
                )
            for suffix in _ALIASES:
                if suffix in self.policy.files:
                    path.with_name(f"{_CONTEXTS}{suffix}").write_bytes(self.policy.files[suffix])
        except OSError as error:
            raise StoreError(f"can't write to {where}: {error.strerror}") from error
        options = (_Option * 1)(_Option(_SELABEL_OPT_PATH, os.fsencode(path)))
        handle = self._library.selabel_open(_SELABEL_CTX_FILE, options, 1)
        if not handle:
            reason = os.strerror(ctypes.get_errno())
            raise ToolError(f"the SELinux policy {self.policy.name} of the image can't be read: {reason}")
        return int(handle)


def _lines(data: bytes) -> list[str]:
    """The lines that say something; a character a byte, as libselinux matches."""
    stripped = (line.strip() for line in data.decode("latin-1").split("\n"))
    return [line for line in stripped if line and not line.startswith("#")]


def _beginning(expression: str) -> str:
    """What all that an expression matches begins with; less where that is hard to tell."""
    outside = re.sub(r"\\.|\[[^]]*\]", "", expression)
    while (shorter := re.sub(r"\([^()]*\)", "", outside)) != outside:
        outside = shorter
    if "|" in outside:
        return ""
    found: list[str] = []
    for part in re.findall(r"\\?.", expression, re.DOTALL):
        if part in ("?", "*", "{"):
            return "".join(found[:-1])
        char = part[-1]
        if not char.isascii() or (char.isalnum() if len(part) > 1 else char in ".^$+|[]()}\\"):
            break
        found.append(char)
    return "".join(found)


def _keys(below: str, aliases: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The directories that paths below `below` may be looked up in, in whatever order aliases are taken."""
    pairs = list(aliases)
    found, waiting = {below}, [below]
    while waiting:
        key = waiting.pop()
        for source, target in pairs:
            if f"{key}/".startswith(f"{source}/"):
                new = target.rstrip("/") + key[len(source) :]
            elif source.startswith(f"{key}/"):
                new = target.rstrip("/")
            else:
                continue
            if new not in found:
                found.add(new)
                waiting.append(new)
        if len(found) > _MAX_KEYS:
            return ("",)  # aliases in a circle
    return tuple(sorted(found))


class _Option(ctypes.Structure):
    """struct selinux_opt (selinux/selinux.h)."""

    _fields_ = (("type", ctypes.c_int), ("value", ctypes.c_char_p))


@cache
def _library() -> Any:
    """The library, loaded. Raises ToolError where it is missing."""
    try:
        library = ctypes.CDLL("libselinux.so.1", use_errno=True)
    except OSError as error:
        raise ToolError(
            "libselinux is missing, and the image has an SELinux policy",
            hint="install libselinux1 (Debian) or libselinux (Fedora)",
        ) from error
    library.selabel_open.restype = ctypes.c_void_p
    library.selabel_open.argtypes = [ctypes.c_uint, ctypes.POINTER(_Option), ctypes.c_uint]
    library.selabel_close.argtypes = [ctypes.c_void_p]
    library.selabel_lookup_raw.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.c_char_p,
        ctypes.c_int,
    ]
    library.freecon.argtypes = [ctypes.c_void_p]
    return library
