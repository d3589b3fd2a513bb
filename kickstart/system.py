# SPDX-License-Identifier: GPL-2.0-or-later
"""Directives about the branch and its settings: ostreesetup, lang, keyboard, timezone, network, services, selinux."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kickstart import values
from kickstart.document import Directive
from kickstart.draft import Draft
from kickstart.installation import Source

MAX_UNITS = 1024
#: pykickstart's SELINUX_DISABLED, _ENFORCING, _PERMISSIVE.
_SELINUX: Mapping[int, Any] = {0: "disabled", 1: "enforcing", 2: "permissive"}
#: What a connection that is not just DHCP has, as attribute and spelling.
_STATIC = {
    "ip": "--ip",
    "netmask": "--netmask",
    "gateway": "--gateway",
    "nameserver": "--nameserver",
    "ipv6gateway": "--ipv6gateway",
    "vlanid": "--vlanid",
    "bondslaves": "--bondslaves",
    "bridgeslaves": "--bridgeslaves",
    "teamslaves": "--teamslaves",
    "essid": "--essid",
    "wepkey": "--wepkey",
    "wpakey": "--wpakey",
}


def ostreesetup(draft: Draft, directive: Directive, said: Any) -> None:
    """`ostreesetup --osname=granite --remote=origin --url=https://… --ref=granite/12/x86_64/server`."""
    if draft.source is not None:
        draft.wrong("a second ostreesetup", directive.place)
        return
    # Anaconda puts the architecture in, too, and nothing else.
    name = said.ref.replace("${basearch}", draft.basearch)
    remote = said.remote or said.osname
    found = [
        draft.checked(values.url, said.url, directive.at(said.url)),
        draft.checked(values.ref, name, directive.at(said.ref)),
        draft.checked(values.remote, remote, directive.at(remote)),
        draft.checked(values.osname, said.osname, directive.at(said.osname)),
    ]
    if None not in found:
        url, ref, remote, osname = (str(text) for text in found)
        draft.source = Source(url, ref, remote, osname, gpg=not said.nogpg)


def lang(draft: Draft, directive: Directive, said: Any) -> None:
    """`lang de_DE.UTF-8`."""
    draft.lang = draft.checked(values.language, said.lang, directive.at(said.lang))
    if said.addsupport:
        draft.note("lang --addsupport does nothing: languages are in the branch", directive.at("--addsupport"))


def keyboard(draft: Draft, directive: Directive, said: Any) -> None:
    """`keyboard de`, `keyboard --vckeymap=de --xlayouts='de (nodeadkeys)'`."""
    layouts = said.x_layouts or []
    # "cz (qwerty)" is the variant of a layout; the console's maps have names such as cz-qwerty.
    name = said.vc_keymap or said._keyboard or (layouts[0].replace(" (", "-").rstrip(")") if layouts else "")
    draft.keyboard = draft.checked(values.keymap, name, directive.at(name))
    if len(layouts) > 1 or said.switch_options:
        draft.note(f"only the layout {name} is set up", directive.at("--xlayouts"))


def timezone(draft: Draft, directive: Directive, said: Any) -> None:
    """`timezone Europe/Berlin --utc`."""
    if said.timezone:
        draft.timezone = draft.checked(values.timezone, said.timezone, directive.at(said.timezone))
    if not said.isUtc:
        draft.note("the hardware clock is taken to run in UTC", directive.place, "say --utc")
    draft.without(said, directive, {"ntpservers": "--ntpservers", "nontp": "--nontp"})


def network(draft: Draft, directive: Directive, said: Any) -> None:
    """`network --hostname=stone.example`; how to connect is the image's own business."""
    if said.hostname:
        draft.hostname = draft.checked(values.hostname, said.hostname, directive.at(said.hostname))
    draft.without(said, directive, _STATIC)
    if said.bootProto not in ("dhcp", "bootp"):
        place = directive.at("--bootproto")
        draft.unsupported(f"network --bootproto={said.bootProto} is not supported", place)
    if any(word.startswith(("--device", "--bootproto", "--onboot", "--activate")) for word in directive.words):
        draft.note("an image connects as the branch's network manager does by itself", directive.place)


def services(draft: Draft, directive: Directive, said: Any) -> None:
    """`services --enabled=sshd --disabled=cups`: what a file says later of a service counts."""
    said_here: dict[str, bool] = {}
    for names, enabled in ((said.disabled or [], False), (said.enabled or [], True)):
        for name in dict.fromkeys(names):
            unit = draft.checked(values.unit, name, directive.at(name))
            if unit is not None and said_here.setdefault(unit, enabled) != enabled:
                draft.wrong(f"{unit} is both enabled and disabled", directive.at(name))
    for unit, enabled in said_here.items():
        if draft.units.get(unit, enabled) != enabled:
            draft.note(f"{unit} was {'disabled' if enabled else 'enabled'} before", directive.at(unit))
    draft.units |= said_here
    if len(draft.units) > MAX_UNITS:
        draft.wrong(f"more than {MAX_UNITS} services", directive.place)
        draft.units.clear()


def selinux(draft: Draft, directive: Directive, said: Any) -> None:
    """`selinux --enforcing`."""
    if said.selinux is not None:
        draft.selinux = _SELINUX[said.selinux]


DIRECTIVES: Mapping[str, Callable[[Draft, Directive, Any], None]] = {
    "ostreesetup": ostreesetup,
    "lang": lang,
    "keyboard": keyboard,
    "timezone": timezone,
    "network": network,
    "services": services,
    "selinux": selinux,
}
