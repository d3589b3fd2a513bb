# SPDX-License-Identifier: GPL-2.0-or-later
"""An installation while its kickstart file is being read: what was said so far, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from kickstart.document import Directive
from kickstart.installation import Account, Group, Partition, Script, Source
from rpmtree.errors import Place
from rpmtree.problems import Notice, Problem

T = TypeVar("T")
V = TypeVar("V")


@dataclass(slots=True)
class Draft:
    """The fields are those of `Installation`, and what has to be known of a file to make them."""

    lenient: bool
    #: As dnf calls it: ${basearch} in a branch's name.
    basearch: str
    problems: list[Problem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    #: What has no meaning for an image.
    idle: list[Directive] = field(default_factory=list)

    source: Source | None = None
    partitions: list[Partition] = field(default_factory=list)
    #: Where `autopart` stands, and the partitions that it means.
    automatic: tuple[Place, tuple[Partition, ...]] | None = None
    #: Where a root file system was asked for that can't be made.
    root_skipped: Place | None = None
    disks: dict[str, Place] = field(default_factory=dict)
    kernel_arguments: list[str] = field(default_factory=list)
    boot_timeout: int | None = None
    root: Account = field(default_factory=lambda: Account("root", locked=True))
    users: dict[str, Account] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    #: How many passwords were hashed.
    hashed: int = 0
    keys: list[tuple[str, str, Place]] = field(default_factory=list)
    timezone: str | None = None
    lang: str | None = None
    keyboard: str | None = None
    hostname: str | None = None
    #: What was said last of each unit: whether it is enabled.
    units: dict[str, bool] = field(default_factory=dict)
    selinux: Literal["enforcing", "permissive", "disabled"] | None = None
    post: list[Script] = field(default_factory=list)

    def wrong(self, message: str, place: Place, hint: str | None = None) -> None:
        """Something that can't be meant: refused, lenient or not."""
        self.problems.append(Problem(message, place, hint))

    def unsupported(self, message: str, place: Place, hint: str | None = None) -> None:
        """Something that is not done here: refused, or left out with a warning."""
        if self.lenient:
            self.notices.append(Notice(f"left out: {message}", place, hint))
        else:
            self.problems.append(Problem(message, place, hint or "leave it out, or use --lenient"))

    def note(self, message: str, place: Place, hint: str | None = None) -> None:
        """Something that works, and of which the writer should know."""
        self.notices.append(Notice(message, place, hint))

    def checked(self, check: Callable[[V], T], value: V, place: Place, hint: str | None = None) -> T | None:
        """The value as `check` gives it; None if that raises ValueError, which is a problem then."""
        try:
            return check(value)
        except ValueError as error:
            self.wrong(str(error), place, hint)
            return None

    def without(self, said: Any, directive: Directive, options: Mapping[str, str]) -> None:
        """Refuse those of `options`, attributes and how each is spelled, that were used."""
        for attribute, option in options.items():
            if getattr(said, attribute, None):
                self.unsupported(f"{directive.name} {option} is not supported", directive.at(option))
