# SPDX-License-Identifier: GPL-2.0-or-later
"""What an admin decided for all transactions: /etc/rpm-ostreed.conf of the system, as rpm-ostree has it.

Its other keys are the daemon's, which there is none of here: each command reads the file, so that nothing has to be
told to read it again. What rpm-ostree does not have is in a group of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from layering import keyfile, windows
from layering.origin import Origin
from layering.windows import Window
from rpmtree.errors import ConfigError, ToolError

FILE = "etc/rpm-ostreed.conf"
_ADDED = (
    "packages", "local_packages", "local_fileoverride", "removals", "local_replacements", "remote_replacements",
    "initramfs_args", "initramfs_etc",
)  # fmt: skip
MAX_TRIES = 10
_Value = TypeVar("_Value")


class Policy(Enum):
    """How far a system goes by itself (AutomaticUpdatePolicy)."""

    NONE = "none"
    #: Look what there is, and tell.
    CHECK = "check"
    #: Have it ready for the next boot.
    STAGE = "stage"
    #: Boot it.
    APPLY = "apply"

    @classmethod
    def parse(cls, raw: str) -> Policy:
        """A policy by its name, or by one that it had. Raises ValueError."""
        word = raw.strip()
        names = {"off": "none", "ex-stage": "stage", **{policy.value: policy.value for policy in cls}}
        if word not in names:
            raise ValueError(f"{word!r} is none of {', '.join(policy.value for policy in cls)}")
        return cls(names[word])


@dataclass(frozen=True, slots=True)
class Settings:
    """The decisions, by their keys in the group `Daemon`, or in `Strata`."""

    #: Packages that others recommend are layered, too.
    recommends: bool = True
    #: Nothing may be layered or overridden that is not so already.
    lock_layering: bool = False
    policy: Policy = Policy.NONE
    #: `MaintenanceWindow` in `Strata`: when a machine that updates itself may reboot; empty: at any time.
    windows: tuple[Window, ...] = ()
    #: `BootTries` in `Strata`: how often what is new is tried before what ran is kept; 0: it is the default at once.
    boot_tries: int = 3


def read_settings(tree: Path | None) -> Settings:
    """The settings of a system whose files are at `tree`; the defaults where it has none. Raises ConfigError."""
    if tree is None:
        return Settings()
    path = tree / FILE
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return Settings()
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from error
    groups = keyfile.parse(text, str(path))

    def value(group: str, key: str, read: Callable[[str], _Value], default: _Value) -> _Value:
        if (found := groups.get(group, {}).get(key)) is None:
            return default
        try:
            return read(found.raw)
        except ValueError as error:
            raise ConfigError(f"{key}: {error}", place=found.place) from error

    return Settings(
        recommends=value("Daemon", "Recommends", keyfile.boolean, True),
        lock_layering=value("Daemon", "LockLayering", keyfile.boolean, False),
        policy=value("Daemon", "AutomaticUpdatePolicy", Policy.parse, Policy.NONE),
        windows=value("Strata", "MaintenanceWindow", windows.parse, ()),
        boot_tries=value("Strata", "BootTries", _tries, 3),
    )


def _tries(text: str) -> int:
    if not text.strip().isdecimal() or int(text) > MAX_TRIES:
        raise ValueError(f"{text!r} is not a number from 0 to {MAX_TRIES}")
    return int(text)


def refuse_locked(settings: Settings, before: Origin, after: Origin) -> None:
    """Raise ToolError where something is to be layered that was not, and the admin locked that."""
    if not settings.lock_layering:
        return
    added = any(set(getattr(after, name)) - set(getattr(before, name)) for name in _ADDED)
    if added or (after.regenerate_initramfs and not before.regenerate_initramfs):
        raise ToolError(
            f"nothing more may be layered here: LockLayering=true in /{FILE}",
            hint="what is layered may be taken back, and upgrades and rebases keep it",
        )
