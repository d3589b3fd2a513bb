# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart file becomes an `Installation`; what can't be done is said with its place, all of it at once.

    text ─ statements with places ─ options as pykickstart has them ─ Draft, checked ─ Installation
           document                 grammar                          storage people system

Three kinds of things are not taken as they stand. What can't be meant (a size of -1, two root file systems, an option
that does not exist) is always refused. What could be meant and is not done here (LVM, %pre, an unknown directive) is
refused, or left out with a warning by a lenient reader. What has no meaning for an image is said to do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kickstart import people, storage, system, values
from kickstart.document import Directive, Section, Statement, read_document
from kickstart.draft import Draft
from kickstart.grammar import IDLE, UNSUPPORTED, BadDirective, Grammar
from kickstart.installation import Installation, Script
from rpmtree.problems import Notice, closest, did_you_mean, refuse

DIRECTIVES: Mapping[str, Callable[[Draft, Directive, Any], None]] = {
    **storage.DIRECTIVES,
    **people.DIRECTIVES,
    **system.DIRECTIVES,
}
#: Sections that run, or say something, only while an installer is there.
_IDLE_SECTIONS = ("%anaconda", "%onerror", "%traceback")


def read(path: Path, *, lenient: bool = False, basearch: str | None = None) -> tuple[Installation, tuple[Notice, ...]]:
    """The installation that the kickstart file at `path` asks for, and what its writer should know.

    `lenient`: leave out what is not supported, with a notice. `basearch` (as dnf calls it; this machine's by default)
    replaces ${basearch} in the branch's name. A password in plain text is hashed with a new salt on each call.
    Raises ConfigError for all that is wrong: the first in its place, the others in its detail.
    """
    if basearch is None:
        from rpmtree.rpm.nevra import host_basearch

        basearch = host_basearch()
    statements, problems = read_document(path)
    draft = Draft(lenient, basearch, problems=problems)
    grammar = Grammar()
    for statement in statements:
        _take(draft, grammar, statement)
    installation = _finished(draft)
    refuse(draft.problems)
    if draft.idle:
        names = ", ".join(dict.fromkeys(directive.name for directive in draft.idle))
        draft.note(f"nothing to do in an image for: {names}", draft.idle[0].place)
    return installation, tuple(sorted(draft.notices, key=lambda notice: (notice.place.file, notice.place.line or 0)))


def _take(draft: Draft, grammar: Grammar, statement: Statement) -> None:
    if isinstance(statement, Section):
        _section(draft, statement)
        return
    name, place = statement.name, statement.place
    if name in UNSUPPORTED:
        if name == "logvol":
            storage.logvol(draft, statement)
        draft.unsupported(f"{name}: {UNSUPPORTED[name]}", place)
        return
    if name not in DIRECTIVES and name not in IDLE:
        guess = closest(name, (*DIRECTIVES, *IDLE, *UNSUPPORTED))
        draft.unsupported(f"unknown directive: {name}", place, did_you_mean(guess))
        return
    said = None
    if grammar.knows(name):
        try:
            said, warnings = grammar.values(statement)
        except BadDirective as error:
            draft.wrong(f"{name}: {error}", place)
            return
        # Of an idle directive it does not matter that it is deprecated.
        for warning in warnings if name in DIRECTIVES else ():
            draft.note(f"{name}: {warning}", place)
    if name in DIRECTIVES:
        DIRECTIVES[name](draft, statement, said)
    else:
        draft.idle.append(statement)


def _section(draft: Draft, section: Section) -> None:
    header = section.header
    name, place = header.name, header.place
    if name == "%post":
        _post(draft, section)
    elif name in _IDLE_SECTIONS:
        draft.note(f"{name} does nothing: there is no installer", place)
    elif name == "%packages":
        if any(line.strip() and not line.lstrip().startswith("#") for line in section.body.splitlines()):
            hint = "packages come with the branch: compose them into it, or layer them on the machine"
            draft.unsupported("%packages is not supported", place, hint)
    elif name in ("%pre", "%pre-install"):
        draft.unsupported(f"{name} is not supported: nothing of a kickstart file runs outside of the new system", place)
    elif name in ("%addon", "%certificate"):
        draft.unsupported(f"{name} is not supported", place)
    else:
        draft.unsupported(f"unknown section: {name}", place)


def _post(draft: Draft, section: Section) -> None:
    """`%post --erroronfail --interpreter=/usr/bin/python3`."""
    header = section.header
    interpreter, essential = "/bin/sh", False
    options = iter(header.words[1:])
    for option in options:
        spelling, equals, value = option.partition("=")
        if spelling in ("--interpreter", "--log", "--logfile"):
            value = value if equals else next(options, "")
        elif equals:
            draft.wrong(f"%post {spelling} takes no value", header.at(option))
        if spelling == "--interpreter":
            interpreter = draft.checked(values.path, value, header.at(option)) or interpreter
        elif spelling in ("--log", "--logfile"):
            draft.note(f"%post {spelling} does nothing: what a script says is shown", header.at(option))
        elif spelling == "--erroronfail":
            essential = True
        elif spelling == "--nochroot":
            draft.unsupported("%post --nochroot is not supported: scripts run in the new system only", header.place)
            return
        else:
            draft.wrong(f"%post has no option {spelling}", header.at(option))
    if section.body.strip():
        draft.post.append(Script(section.body, interpreter, essential, header.place))


def _finished(draft: Draft) -> Installation:
    """All that was said, as one value; problems that only show then are added to the draft."""
    root, users = people.accounts(draft)
    return Installation(
        source=draft.source,
        partitions=storage.layout(draft),
        kernel_arguments=tuple(draft.kernel_arguments),
        boot_timeout=draft.boot_timeout,
        root=root,
        users=users,
        groups=tuple(draft.groups.values()),
        timezone=draft.timezone,
        lang=draft.lang,
        keyboard=draft.keyboard,
        hostname=draft.hostname,
        enabled=tuple(unit for unit, enabled in draft.units.items() if enabled),
        disabled=tuple(unit for unit, enabled in draft.units.items() if not enabled),
        selinux=draft.selinux,
        post=tuple(draft.post),
    )
