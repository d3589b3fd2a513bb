# SPDX-License-Identifier: GPL-2.0-or-later
""".repo files: the repositories that packages come from, and how far each is trusted. Nothing is fetched here.

Only the options below are taken. One that is not known is named in a warning and has no effect, so that a file
can't set what belongs to the caller (a cache directory, plug-ins, another configuration file). Unlike dnf, where
a `[main]` elsewhere may turn it on, `gpgcheck` is on unless the file says otherwise.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from rpmtree.errors import ConfigError, Place
from rpmtree.progress import Reporter

_SECTION = re.compile(r"\[(?P<id>[^]]*)\]\s*(?:[#;].*)?")
_REPO_ID = re.compile(r"[A-Za-z0-9_.:-]+")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TRUE = frozenset({"1", "yes", "true", "on", "enabled"})
_FALSE = frozenset({"0", "no", "false", "off", "disabled"})
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
#: Known to dnf and without a meaning here: how its user interface and its downloads behave.
_WITHOUT_EFFECT = frozenset({
    "async", "bandwidth", "countme", "deltarpm", "deltarpm_percentage", "enabled_metadata", "enablegroups",
    "failovermethod", "fastestmirror", "http_caching", "ip_resolve", "keepcache", "max_parallel_downloads",
    "mdpolicy", "metadata_timer_sync", "minrate", "module_hotfixes", "protect", "retries", "skip_if_unavailable",
    "sslverifystatus", "throttle", "timeout", "type", "ui_repoid_vars", "user_agent", "mirrorlist_expire",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repo:
    """One repository. URLs are http(s):// or file:// with variables replaced; exactly one kind of source is set."""

    id: str
    name: str
    place: Place
    baseurl: tuple[str, ...] = ()
    metalink: str | None = None
    mirrorlist: str | None = None
    enabled: bool = True
    gpgcheck: bool = True
    repo_gpgcheck: bool = False
    gpgkey: tuple[str, ...] = ()
    #: Lower wins.
    priority: int = 99
    cost: int = 1000
    excludepkgs: tuple[str, ...] = ()
    includepkgs: tuple[str, ...] = ()
    #: Seconds for which metadata is used without asking again; None is for ever.
    metadata_expire: int | None = 0
    proxy: str | None = None
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    sslverify: bool = True
    sslcacert: str | None = None
    sslclientcert: str | None = None
    sslclientkey: str | None = None

    @property
    def local(self) -> Path | None:
        """The directory of a repository whose first URL is file://; such a one is used in place."""
        return Path(urlsplit(self.baseurl[0]).path) if self.baseurl and self.baseurl[0].startswith("file:") else None


@dataclass(frozen=True, slots=True)
class _Option:
    key: str
    value: str
    place: Place


def find_repos(
    directories: Sequence[Path],
    wanted: Sequence[str] | None,
    variables: Mapping[str, str],
    *,
    reporter: Reporter | None = None,
) -> tuple[Repo, ...]:
    """The repositories of the *.repo files in `directories`; see `parse_repos`. Raises ConfigError."""
    return parse_repos([_read(directory) for directory in directories], wanted, variables, reporter=reporter)


def parse_repos(
    directories: Sequence[Mapping[str, bytes]],
    wanted: Sequence[str] | None,
    variables: Mapping[str, str],
    *,
    reporter: Reporter | None = None,
) -> tuple[Repo, ...]:
    """The repositories called `wanted` (in that order), or all enabled ones (None).

    Each of `directories` maps the path of a .repo file to its text; for an id that several have, the first counts.
    `variables` replace `$name` and `${name}`. A repository that is not wanted is not looked at beyond its id.
    Raises ConfigError.
    """
    sections: dict[str, tuple[Place, list[_Option]]] = {}
    for files in directories:
        here: dict[str, tuple[Place, list[_Option]]] = {}
        for path, text in sorted(files.items()):
            for repo_id, place, options in _sections(path, text):
                if repo_id in here:
                    raise ConfigError(f"the repository {repo_id} is also in {here[repo_id][0]}", place=place)
                here[repo_id] = place, options
        sections = {**here, **sections}
    sections.pop("main", None)
    missing = [repo_id for repo_id in wanted or () if repo_id not in sections]
    if missing:
        where = ", ".join(sorted({str(Path(path).parent) for files in directories for path in files}))
        raise ConfigError(
            f"no .repo file{f' in {where}' if where else ''} has {', '.join(missing)}",
            hint=f"there are: {', '.join(sorted(sections)) or 'none'}",
        )
    said = reporter or Reporter()
    repos = (_repo(name, *sections[name], variables, said) for name in (wanted if wanted is not None else sections))
    return tuple(repo for repo in repos if wanted is not None or repo.enabled)


def _read(directory: Path) -> dict[str, bytes]:
    paths = sorted(directory.glob("*.repo"))
    try:
        for path in paths:
            if not stat.S_ISREG(path.stat().st_mode):  # a pipe would be waited for
                raise ConfigError("the file is not a regular one", place=Place(str(path)))
        return {str(path): path.read_bytes() for path in paths}
    except OSError as error:
        raise ConfigError(f"the file can't be read: {error}", place=Place(str(error.filename))) from error


def _sections(path: str, data: bytes) -> list[tuple[str, Place, list[_Option]]]:
    """The sections of an ini file as dnf reads it: indented lines go on with the value above them."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"the file can't be read: {error}", place=Place(path)) from error
    found: list[tuple[str, Place, list[_Option]]] = []
    for number, line in enumerate(lines, start=1):
        place = Place(path, number)
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if section := _SECTION.fullmatch(line.strip()) if line[0] == "[" else None:
            found.append((section["id"], place, []))
            continue
        if not found:
            raise ConfigError("there is text before the first [repository]", place=place)
        options = found[-1][2]
        if line[0].isspace():
            if not options:
                raise ConfigError("an indented line goes on with the option above it, and there is none", place=place)
            last = options[-1]
            options[-1] = _Option(last.key, f"{last.value}\n{line.strip()}", last.place)
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise ConfigError("the line is neither [repository] nor option=value", place=place)
        if any(option.key == key.strip() for option in options):
            raise ConfigError(f"the option {key.strip()} is given twice", place=place)
        options.append(_Option(key.strip(), value.strip(), place))
    return found


def _repo(repo_id: str, place: Place, options: list[_Option], variables: Mapping[str, str], reporter: Reporter) -> Repo:
    if not _REPO_ID.fullmatch(repo_id):
        raise ConfigError(f"{repo_id!r} is no repository id: letters, digits and . _ : - only", place=place)
    values: dict[str, object] = {"name": repo_id}
    for option in options:
        parse = _PARSERS.get(_ALIASES.get(option.key, option.key))
        if parse is not None:
            replaced = _Option(option.key, _substitute(option, variables, reporter), option.place)
            values[_ALIASES.get(option.key, option.key)] = parse(replaced)
        elif option.key not in _WITHOUT_EFFECT:
            reporter.warning(f"{option.place}: the option {option.key} is not known and has no effect")
    repo = Repo(id=repo_id, place=place, **values)  # type: ignore[arg-type]
    _check(repo, reporter)
    return repo


def _check(repo: Repo, reporter: Reporter) -> None:
    sources = [name for name in ("baseurl", "metalink", "mirrorlist") if getattr(repo, name)]
    if not sources:
        raise ConfigError(f"the repository {repo.id} has no baseurl, metalink or mirrorlist", place=repo.place)
    if len({urlsplit(url).scheme == "file" for url in repo.baseurl}) > 1:
        raise ConfigError(f"baseurl of {repo.id} mixes file:// with remote URLs", place=repo.place)
    if (repo.gpgcheck or repo.repo_gpgcheck) and not repo.gpgkey:
        raise ConfigError(
            f"the repository {repo.id} has no gpgkey to check signatures with",
            hint="add gpgkey=, or say gpgcheck=0 if its packages are to be used unchecked",
            place=repo.place,
        )
    if not repo.gpgcheck:
        reporter.warning(f"{repo.place}: packages of {repo.id} are used without a check of their signatures")
    if not repo.sslverify:
        reporter.warning(f"{repo.place}: the server of {repo.id} is not checked to be who it says it is")


def _substitute(option: _Option, variables: Mapping[str, str], reporter: Reporter) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        value = variables.get(name)
        if value is None:
            # As dnf has it: mirror lists are asked with variables that only some machines set.
            reporter.warning(f"{option.place}: the variable ${name} has no value and stays as it is")
            return match[0]
        if _CONTROL.search(value) or ".." in value.split("/"):
            raise ConfigError(
                f"the variable ${name} has a value that is unfit for a URL: {value!r}", place=option.place
            )
        return value

    return _VARIABLE.sub(value_of, option.value) if option.key != "password" else option.value


def _text(option: _Option) -> str:
    if _CONTROL.search(option.value):
        raise ConfigError(f"{option.key} is one line of text", place=option.place)
    return option.value


def _bool(option: _Option) -> bool:
    word = option.value.lower()
    if word not in _TRUE | _FALSE:
        raise ConfigError(f"{option.key} is 0 or 1, not {option.value!r}", place=option.place)
    return word in _TRUE


def _number(option: _Option) -> int:
    if not re.fullmatch(r"\d{1,9}", option.value):
        raise ConfigError(f"{option.key} is a number, not {option.value!r}", place=option.place)
    return int(option.value)


def _seconds(option: _Option) -> int | None:
    if option.value.lower() in ("never", "-1"):
        return None
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", option.value.lower())
    if match is None:
        raise ConfigError(f"{option.key} is seconds, or a number with m, h or d, or never", place=option.place)
    return int(match[1]) * _UNITS[match[2]]


def _words(option: _Option) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,]+", option.value.strip())) if option.value.strip() else ()


def _urls(option: _Option) -> tuple[str, ...]:
    return tuple(_url(_Option(option.key, word, option.place)) for word in _words(option))


def _url(option: _Option) -> str:
    url = option.value
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"{option.key} is no URL: {error}", place=option.place) from error
    if parts.scheme not in ("http", "https", "file"):
        raise ConfigError(f"{option.key} is a URL of http://, https:// or file://, not {url!r}", place=option.place)
    if _CONTROL.search(url) or " " in url or ".." in parts.path.split("/"):
        raise ConfigError(f"{option.key} has control characters, blanks or '..': {url!r}", place=option.place)
    if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
        raise ConfigError(f"a file:// URL has three slashes and an absolute path: {url!r}", place=option.place)
    if parts.scheme != "file" and not parts.hostname:
        raise ConfigError(f"{option.key} names no host: {url!r}", place=option.place)
    return url


def _remote_url(option: _Option) -> str | None:
    if not option.value:
        return None
    if _url(option).startswith("file:"):
        raise ConfigError(f"{option.key} is a URL of http:// or https://", place=option.place)
    return option.value


def _proxy(option: _Option) -> str | None:
    return None if option.value in ("", "_none_") else _remote_url(option)


def _path(option: _Option) -> str | None:
    if option.value and not option.value.startswith("/"):
        raise ConfigError(f"{option.key} is an absolute path", place=option.place)
    return _text(option) or None


#: dnf's old name of an option.
_ALIASES = {"exclude": "excludepkgs"}
_PARSERS: Mapping[str, Callable[[_Option], object]] = {
    "name": _text, "baseurl": _urls, "metalink": _remote_url, "mirrorlist": _remote_url, "enabled": _bool,
    "gpgcheck": _bool, "repo_gpgcheck": _bool, "gpgkey": _urls, "priority": _number, "cost": _number,
    "excludepkgs": _words, "includepkgs": _words, "metadata_expire": _seconds, "proxy": _proxy, "username": _text,
    "password": _text, "sslverify": _bool, "sslcacert": _path, "sslclientcert": _path, "sslclientkey": _path,
}  # fmt: skip
