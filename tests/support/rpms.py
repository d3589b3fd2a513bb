# SPDX-License-Identifier: GPL-2.0-or-later
"""Synthetic packages and repositories from keyword arguments, for unit, store and sandbox tests.

    packages = [
        rpm("foo", requires=["bar >= 2"], files={"/usr/bin/foo": file("text", mode=0o755, caps="cap_net_raw=ep")},
            post="echo hi", pretrans=lua("print('hi')")),
        rpm("bar", version="2.0~rc1", epoch=1, triggers=[trigger("transfiletriggerin", "/usr/lib", "cat")]),
    ]
    repository = make_repo(tmp_path / "repo", packages)

Ten packages take less than 0.1 s. Packages for attacks take `raw=Raw(…)`, or are damaged afterwards by
`flip_payload`, `flip_header`, `truncate`. How an RPM is laid out is `tests.support.rpmwriter`'s.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.openpgp import Key
from tests.support.repodata import Advisory, write_repodata
from tests.support.rpmvalues import (
    CONFIG,
    CRITICAL,
    DOC,
    EXPAND,
    GHOST,
    LICENSE,
    MISSINGOK,
    NOREPLACE,
    POST,
    POSTTRANS,
    POSTUN,
    PRE,
    PRETRANS,
    PREUN,
    RELATIONS,
    SCRIPTS,
    Dependency,
    File,
    Package,
    Raw,
    Script,
    Trigger,
)
from tests.support.rpmwriter import write_rpm

__all__ = [
    "Advisory", "File", "Key", "Package", "Raw", "Script", "Trigger", "device", "directory", "fifo", "file",
    "flip_header", "flip_payload", "hardlink", "lua", "make_repo", "repo_file", "rpm", "script", "symlink",
    "trigger", "truncate", "write_rpm",
]  # fmt: skip

_REQUIRES_FOR = {
    "requires_pre": PRE, "requires_post": POST, "requires_preun": PREUN, "requires_postun": POSTUN,
    "requires_pretrans": PRETRANS, "requires_posttrans": POSTTRANS,
}  # fmt: skip
_FIELDS = frozenset(Package.__dataclass_fields__) - {"relations", "scripts", "triggers", "files", "name"}


def rpm(
    name: str, *, files: Mapping[str, File | str] | None = None, triggers: Sequence[Trigger] = (), **said: Any
) -> Package:
    """A package.

    Keywords: the fields of `Package` (version, release, epoch, arch, build_time, compression, raw …); the kinds
    of RELATIONS (requires, provides, recommends …) and requires_pre/_post/_preun/_postun/_pretrans/_posttrans as
    lists of text ("foo >= 1:2", "(a if b)"); the phases of SCRIPTS (pre, post, preun, postun, pretrans, posttrans,
    verifyscript) as shell text, `script(…)` or `lua(…)`; files by path, where text stands for `file(text)`.
    Interpreters are not required unless require_interpreters=True: a small repository needs no /bin/sh then.
    """
    relations: dict[str, list[Dependency]] = {}
    scripts: dict[str, Script] = {}
    fields: dict[str, Any] = {"require_interpreters": False}
    for keyword, value in said.items():
        if keyword in RELATIONS:
            relations.setdefault(keyword, []).extend(Dependency.parse(text) for text in value)
        elif keyword in _REQUIRES_FOR:
            parsed = [Dependency.parse(text, _REQUIRES_FOR[keyword]) for text in value]
            relations.setdefault("requires", []).extend(parsed)
        elif keyword in SCRIPTS:
            scripts[keyword] = value if isinstance(value, Script) else Script(value)
        elif keyword in _FIELDS:
            fields[keyword] = value
        else:
            raise TypeError(f"rpm() does not know {keyword}")
    owned = {path: file(item) if isinstance(item, str) else item for path, item in (files or {}).items()}
    return Package(name, files=owned, relations=relations, scripts=scripts, triggers=tuple(triggers), **fields)


def file(
    content: str | bytes = "",
    *,
    mode: int = 0o644,
    config: bool | str = False,
    doc: bool = False,
    ghost: bool = False,
    license: bool = False,
    **said: Any,
) -> File:
    """A regular file; `config` is True, "noreplace" or "missingok". Others: user, group, mtime, caps, lang, verify."""
    flags = (CONFIG if config else 0) | (DOC if doc else 0) | (GHOST if ghost else 0) | (LICENSE if license else 0)
    flags |= {"noreplace": NOREPLACE, "missingok": MISSINGOK}.get(str(config), 0)
    data = content.encode() if isinstance(content, str) else content
    return File(stat.S_IFREG | mode, data, flags=flags, **said)


def directory(*, mode: int = 0o755, **said: Any) -> File:
    """A directory. Others: user, group, flags, verify."""
    return File(stat.S_IFDIR | mode, **said)


def symlink(target: str, **said: Any) -> File:
    """A symbolic link."""
    return File(stat.S_IFLNK | 0o777, target=target, **said)


def hardlink(path: str, *, mode: int = 0o644, **said: Any) -> File:
    """Another name of the package's file at `path`; mode, owner and flags must be said again."""
    return File(stat.S_IFREG | mode, hardlink=path, **said)


def device(*, kind: int = stat.S_IFCHR, mode: int = 0o666, rdev: int = 0x0103, **said: Any) -> File:
    """A device node (`rdev` is major << 8 | minor)."""
    return File(kind | mode, rdev=rdev, **said)


def fifo(*, mode: int = 0o644, **said: Any) -> File:
    """A named pipe."""
    return File(stat.S_IFIFO | mode, **said)


def script(body: str, *interpreter: str, expand: bool = False, critical: bool = False) -> Script:
    """A scriptlet with its interpreter and arguments (/bin/sh if none); `expand` is `-e`."""
    flags = (EXPAND if expand else 0) | (CRITICAL if critical else 0)
    return Script(body, interpreter or ("/bin/sh",), flags)


def lua(body: str, *arguments: str, expand: bool = False) -> Script:
    """A scriptlet that rpm's embedded Lua runs."""
    return script(body, "<lua>", *arguments, expand=expand)


def trigger(kind: str, on: str | Sequence[str], body: str | Script, *, priority: int = 1_000_000) -> Trigger:
    """A trigger: `kind` is triggerin, filetriggerin, transfiletriggerin …; `on` is packages or path prefixes."""
    conditions = (on,) if isinstance(on, str) else tuple(on)
    return Trigger(kind, conditions, body if isinstance(body, Script) else Script(body), priority)


def make_repo(
    where: Path,
    packages: Iterable[Package],
    *,
    key: Key | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    advisories: Sequence[Advisory] = (),
) -> Path:
    """Write RPMs and repodata into `where`, which is made; gives `where`.

    `key` signs; `groups` is comps: group id → package names. Made again in place, the repository
    describes only what this call was given.
    """
    where.mkdir(parents=True, exist_ok=True)
    written = [write_rpm(where, package, key=key) for package in packages]
    write_repodata(where, [(path, path.name) for path in written], groups=groups, advisories=advisories)
    return where


def repo_file(
    path: Path, repo_id: str, baseurl: str | Path, *, gpgcheck: bool = False, gpgkey: Path | Key | None = None
) -> Path:
    """Write a .repo file; `baseurl` may be a directory. A Key is written beside it, armored."""
    if isinstance(gpgkey, Key):
        armored = path.with_suffix(".key")
        armored.write_text(gpgkey.public_key())
        gpgkey = armored
    url = f"file://{baseurl.absolute()}" if isinstance(baseurl, Path) else baseurl
    lines = [f"[{repo_id}]", f"name={repo_id}", f"baseurl={url}", "enabled=1", f"gpgcheck={int(gpgcheck)}"]
    if gpgkey is not None:
        lines.append(f"gpgkey=file://{gpgkey.absolute()}")
    path.write_text("\n".join([*lines, "metadata_expire=0", ""]))
    return path


def truncate(path: Path, lost: int) -> None:
    """Cut `lost` bytes off the end of an RPM."""
    data = path.read_bytes()
    path.write_bytes(data[:-lost])


def flip_payload(path: Path) -> None:
    """Change one bit in the middle of the payload of an RPM."""
    data = path.read_bytes()
    _flip(path, data, (_header_start(data)[1] + len(data)) // 2)


def flip_header(path: Path) -> None:
    """Change one bit in the summary-and-description text of an RPM's main header: it still parses."""
    data = path.read_bytes()
    start, end = _header_start(data)
    _flip(path, data, data.index(b"localhost\0", start, end))


def _flip(path: Path, data: bytes, offset: int) -> None:
    path.write_bytes(data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :])


def _header_start(data: bytes) -> tuple[int, int]:
    """Offsets of the main header's start and end."""

    def end(start: int) -> int:
        entries = int.from_bytes(data[start + 8 : start + 12])
        return start + 16 + 16 * entries + int.from_bytes(data[start + 12 : start + 16])

    main = (end(96) + 7) // 8 * 8
    return main, end(main)
