# SPDX-License-Identifier: GPL-2.0-or-later
"""Which options each directive takes, as pykickstart has it; and the directives that mean nothing for an image.

Files of many years are read. So the grammar is that of Fedora 33, which has the options that were taken away later,
and newer forms of what came after.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import copy
from functools import cache
from typing import Any

from kickstart.document import Directive

#: Directives about the installer, the moment of installing, or a machine's hardware.
IDLE: Mapping[str, str] = {
    **dict.fromkeys(("text", "cmdline", "graphical", "vnc", "rdp", "sshpw", "autostep", "interactive"), "no installer"),
    **dict.fromkeys(("logging", "mediacheck", "updates", "rescue", "eula", "firstboot", "cdrom"), "no installer"),
    **dict.fromkeys(("reboot", "poweroff", "halt", "shutdown"), "nothing runs that could end"),
    **dict.fromkeys(("zerombr", "ignoredisk"), "an image is empty"),
    **dict.fromkeys(("device", "deviceprobe", "driverdisk", "unsupported_hardware"), "no hardware"),
    **dict.fromkeys(("install", "url", "repo", "nfs", "harddrive", "hmc", "module", "method"), "the branch has it all"),
    **dict.fromkeys(("auth", "authconfig", "authselect", "skipx", "xconfig", "firewall"), "it is as the branch has it"),
}
#: Directives whose effect is missed: to leave them out is to make another system than was asked for.
UNSUPPORTED: Mapping[str, str] = {
    **dict.fromkeys(("volgroup", "logvol"), "LVM is not supported: use part"),
    **dict.fromkeys(("raid", "dmraid", "multipath"), "RAID and multipath are not supported"),
    **dict.fromkeys(("btrfs", "stratispool", "stratisfs", "snapshot"), "only ext4, xfs and swap are supported"),
    **dict.fromkeys(("mount",), "there are no existing file systems in an image"),
    **dict.fromkeys(("iscsi", "iscsiname", "fcoe", "zfcp", "zipl", "nvdimm"), "only local disks are supported"),
    **dict.fromkeys(("ostreecontainer", "bootc"), "container images can't be pulled here: use ostreesetup"),
    **dict.fromkeys(("liveimg", "upgrade"), "only a branch can be installed: use ostreesetup"),
    **dict.fromkeys(("realm", "rhsm", "syspurpose"), "machines are enrolled at their first boot, not in an image"),
    **dict.fromkeys(("timesource",), "put chrony's configuration into the branch, or write it in %post"),
    **dict.fromkeys(("%ksappend",), "nothing is fetched: use %include"),
}


class BadDirective(Exception):
    """A directive is not as pykickstart knows it; the text says why."""


class Grammar:
    """Reads directives, one by one: what one says does not change how the next is read."""

    def __init__(self) -> None:
        self._handler = _handler()
        self._unused = dict(self._handler.commands)

    def values(self, directive: Directive) -> tuple[Any, list[str]]:
        """What pykickstart makes of a directive, as attributes; and its warnings. Raises BadDirective."""
        from pykickstart.errors import KickstartError, KickstartWarning

        self._handler.commands = {directive.name: _copied(self._unused[directive.name])}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", KickstartWarning)
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            try:
                found = self._handler.dispatcher(list(directive.words), directive.place.line)
            except (KickstartError, ValueError, AssertionError) as error:
                said = error.message if isinstance(error, KickstartError) else str(error)
                raise BadDirective(_one_line(str(said)) or "can't be understood") from error
            finally:
                self._handler.commands = self._unused
        return found, [_one_line(str(one.message)) for one in caught]

    def knows(self, name: str) -> bool:
        """Whether there are options to check."""
        return name in self._unused


def _copied(command: Any) -> Any:
    """A command that was not used yet; a new one would make its parser again, which takes most of the time."""
    found = copy(command)
    for name, value in vars(found).items():
        if isinstance(value, list | set | dict):
            setattr(found, name, copy(value))
    return found


@cache
def _handler() -> Any:
    """The one handler: to make it takes longer than to read a file."""
    from pykickstart.commands import ostreecontainer, ostreesetup, rootpw
    from pykickstart.handlers.f33 import F33Handler

    return F33Handler(
        commandUpdates={
            "rootpw": rootpw.F37_RootPw,
            "ostreesetup": ostreesetup.F21_OSTreeSetup,
            "ostreecontainer": ostreecontainer.F38_OSTreeContainer,
        }
    )


def _one_line(text: str) -> str:
    """Pykickstart's messages have line breaks, and a line number that the place says better."""
    return " ".join(text.split())
