# SPDX-License-Identifier: GPL-2.0-or-later
"""Package values made by hand, for planning and running scripts."""

from __future__ import annotations

from collections.abc import Sequence

from rpmtree.rpm.nevra import Nevra
from rpmtree.rpm.package import File, Package, Scriptlet, Trigger, TriggerCondition

SH = ("/bin/sh",)
LUA = ("<lua>",)


def file(path: str, mode: int = 0o100644, user: str = "root", group: str = "root", caps: str = "") -> File:
    return File(path, mode, user, group, 0, "", 0, caps, "", "", 0)


def trigger(kind: str, *names: str, body: str = "true", priority: int = 0, sense: int = 0, evr: str = "") -> Trigger:
    conditions = tuple(TriggerCondition(name, sense, evr) for name in names)
    return Trigger(Scriptlet(kind, SH, body), conditions, priority)


def package(
    name: str,
    *,
    version: str = "1",
    files: Sequence[File] = (),
    triggers: Sequence[Trigger] = (),
    scripts: Sequence[Scriptlet] = (),
    prefixes: tuple[str, ...] = (),
    **bodies: str,
) -> Package:
    """A package whose shell scripts are keyword arguments: post="echo hi"."""
    shell = [Scriptlet(phase, SH, body) for phase, body in bodies.items()]
    return Package(
        nevra=Nevra(name, 0, version, "1", "noarch"),
        header=b"",
        build_time=0,
        source_rpm="",
        files=tuple(files),
        scriptlets=(*shell, *scripts),
        triggers=tuple(triggers),
        prefixes=prefixes,
    )
