# SPDX-License-Identifier: GPL-2.0-or-later
"""Is a composed tree what dnf installs? From dnf's tree and a list of rules the expected tree is worked out.

A rule is a frozen value: a reason, and a function that changes the expected tree. None leaves out a directory: what
a rule takes away it names, or checks to be in another place of the composed tree. Pure but for `scan`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """All about one path but its times and its number of links. `content` is a sha256 or a link's target."""

    mode: int
    uid: int = 0
    gid: int = 0
    content: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


@dataclass(frozen=True, slots=True)
class Tree:
    """Entries by absolute path, and the texts of the few files that rules look into."""

    entries: Mapping[str, Entry]
    texts: Mapping[str, str] = field(default_factory=dict)


Entries = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Rule:
    """Why trees differ, and what that makes of dnf's entries; the composed tree may be looked at."""

    reason: str
    apply: Callable[[Entries, Tree, Tree], None]


def scan(top: Path, texts: Callable[[str], bool]) -> Tree:
    """Read a tree, with the texts of files whose path `texts` picks."""
    entries: Entries = {}
    found: dict[str, str] = {}
    for directory, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(directory, name)
            relative = path[len(str(top)) :]
            info = os.lstat(path)
            content = ""
            if stat.S_ISREG(info.st_mode):
                with open(path, "rb") as stream:
                    content = hashlib.file_digest(stream, "sha256").hexdigest()
                if texts(relative):
                    found[relative] = Path(path).read_text(errors="surrogateescape")
            elif stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            xattrs = tuple((key, os.getxattr(path, key, follow_symlinks=False)) for key in
                           sorted(os.listxattr(path, follow_symlinks=False)))  # fmt: skip
            entries[relative] = Entry(info.st_mode, info.st_uid, info.st_gid, content, xattrs)
    return Tree(entries, found)


def differences(composed: Tree, peer: Tree, rules: Iterable[Rule]) -> list[str]:
    """A line for each path at which the composed tree is not what the rules make of dnf's."""
    expected: Entries = dict(peer.entries)
    for rule in rules:
        rule.apply(expected, composed, peer)
    paths = sorted(expected.keys() | composed.entries.keys())
    return [_line(path, composed.entries.get(path), expected.get(path)) for path in paths
            if composed.entries.get(path) != expected.get(path)]  # fmt: skip


def _line(path: str, ours: Entry | None, theirs: Entry | None) -> str:
    if ours is None or theirs is None:
        return f"{path}: only {'in the composed tree' if theirs is None else 'expected'}: {ours or theirs}"
    return f"{path}: {ours} where {theirs} was expected"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _directory(mode: int = 0o755) -> Entry:
    return Entry(stat.S_IFDIR | mode)


def _link(target: str) -> Entry:
    return Entry(stat.S_IFLNK | 0o777, content=target)


def text_file(text: str, mode: int = 0o644) -> Entry:
    return Entry(stat.S_IFREG | mode, content=_digest(text))


def _removes(*paths: str) -> Callable[[Entries, Tree, Tree], None]:
    def apply(expected: Entries, composed: Tree, peer: Tree) -> None:
        for path in paths:
            expected.pop(path, None)

    return apply


def _puts(entries: Mapping[str, Entry]) -> Callable[[Entries, Tree, Tree], None]:
    def apply(expected: Entries, composed: Tree, peer: Tree) -> None:
        expected.update(entries)

    return apply


def _move_etc(expected: Entries, composed: Tree, peer: Tree) -> None:
    for path in [path for path in expected if path == "/etc" or path.startswith("/etc/")]:
        expected[f"/usr{path}"] = expected.pop(path)


#: Our own files, whose content other tests look at: path → beginning of the text.
_OWN_FILES = {
    "/usr/lib/rpm/macros.d/macros.rpm-ostree": "%_dbpath /usr/share/rpm\n",
    "/usr/lib/tmpfiles.d/rpm-ostree-0-integration.conf": "# Where the links",
    "/usr/lib/tmpfiles.d/rpm-ostree-0-integration-opt-usrlocal.conf": "# /opt and /usr/local",
    "/usr/lib/tmpfiles.d/rpm-ostree-autovar.conf": "# Made from the packages",
    "/usr/share/rpm-ostree/treefile.json": "{",
}


def _own_files(expected: Entries, composed: Tree, peer: Tree) -> None:
    for path, beginning in _OWN_FILES.items():
        text = composed.texts.get(path, "")
        expected[path] = text_file(text if text.startswith(beginning) else beginning)


_TMPFILES = re.compile(r"/usr/lib/rpm-ostree/tmpfiles\.d/(?P<package>[A-Za-z0-9._+-]+)\.conf")


def _package_tmpfiles(expected: Entries, composed: Tree, peer: Tree) -> None:
    """A file a package that has something in /var; what is in it, the rule on /var takes into account."""
    expected["/usr/lib/rpm-ostree"] = expected["/usr/lib/rpm-ostree/tmpfiles.d"] = _directory()
    names = {line.rsplit("-", 2)[0] for line in composed.texts.get("packages", "").splitlines()}
    for path, text in composed.texts.items():
        match = _TMPFILES.fullmatch(path)
        if match and match["package"] in names:
            expected[path] = text_file(text)


def _tmpfiles_lines(composed: Tree) -> dict[str, list[str]]:
    """Path → fields of its d or L line, in the order in which systemd-tmpfiles takes the first."""
    files = {path.rpartition("/")[2]: text for path, text in composed.texts.items() if "/usr/lib/tmpfiles.d/" in path}
    found: dict[str, list[str]] = {}
    for name in sorted(files):
        for line in files[name].splitlines():
            fields = line.split(None, 6)
            if fields and fields[0].rstrip("!+=-^") in ("d", "D", "v", "q", "Q", "L"):
                found.setdefault(fields[1].rstrip("/"), fields)
    return found


def _ids(peer: Tree, name: str) -> dict[str, int]:
    lines = (line.split(":") for line in peer.texts.get(f"/etc/{name}", "").splitlines())
    return {fields[0]: int(fields[2]) for fields in lines}


def _as_entry(fields: list[str], users: Mapping[str, int], groups: Mapping[str, int]) -> Entry | None:
    """What a line makes; mode and owner are root's and 0755 where a line has a dash."""
    fields = [*fields, "-", "-", "-", "-", "-"]
    if fields[0].startswith("L"):
        return _link(fields[6].rstrip("- ") if fields[6] != "-" else "")
    mode, user, group = (None if text == "-" else text for text in fields[2:5])
    uid = int(user) if user and user.isdigit() else users.get(user or "root", -1)
    gid = int(group) if group and group.isdigit() else groups.get(group or "root", -1)
    return Entry(stat.S_IFDIR | int((mode or "0755").lstrip(":~"), 8), uid, gid)


def made_at_boot(prefix: str, becomes: str) -> Callable[[Entries, Tree, Tree], None]:
    """Directories and links below `prefix` are not in the tree, but are made alike by its tmpfiles.d below `becomes`.

    Parents of what a line makes are made along with it, as root's.
    """

    def apply(expected: Entries, composed: Tree, peer: Tree) -> None:
        lines, users, groups = _tmpfiles_lines(composed), _ids(peer, "passwd"), _ids(peer, "group")
        for path in [path for path in expected if path.startswith(f"{prefix}/")]:
            entry, there = expected[path], path.replace(prefix, becomes, 1)
            if there in lines:
                made = _as_entry(lines[there], users, groups)
            else:
                made = _directory() if any(other.startswith(f"{there}/") for other in lines) else None
            if made == entry:
                del expected[path]

    return apply


#: nss-systemd makes these up and takes no record of them.
_STAY = ("root:", "nobody:", "nogroup:")


def _accounts(expected: Entries, composed: Tree, peer: Tree) -> None:
    """Lines of root and of nobody in /etc, all others in /usr/lib, none changed."""
    for name in ("passwd", "group"):
        lines = peer.texts[f"/etc/{name}"].splitlines(keepends=True)
        stay = "".join(line for line in lines if line.startswith(_STAY))
        move = "".join(line for line in lines if not line.startswith(_STAY))
        expected[f"/usr/etc/{name}"] = text_file(stay)
        expected[f"/usr/lib/{name}"] = text_file(move)


def _userdb(expected: Entries, composed: Tree, peer: Tree) -> None:
    """A record for each line that moved: the same ids, as far as JSON says; links by number."""
    expected["/usr/lib/userdb"] = _directory()
    for name, suffix, key, number in (("passwd", "user", "userName", "uid"), ("group", "group", "groupName", "gid")):
        for line in peer.texts[f"/etc/{name}"].splitlines():
            fields = line.split(":")
            if line.startswith(_STAY):
                continue
            path = f"/usr/lib/userdb/{fields[0]}.{suffix}"
            record = json.loads(composed.texts.get(path, "{}"))
            right = (record.get(key), record.get(number)) == (fields[0], int(fields[2]))
            if name == "passwd":
                home = re.sub("/+", "/", fields[5])
                right = right and (record["gid"], record["homeDirectory"], record["shell"]) == (int(fields[3]), home,
                                                                                                fields[6])  # fmt: skip
            expected[path] = text_file(composed.texts[path]) if right else text_file(f"a record of {line}")
            expected.setdefault(f"/usr/lib/userdb/{fields[2]}.{suffix}", _link(f"{fields[0]}.{suffix}"))
            for member in filter(None, fields[3].split(",") if name == "group" else ()):
                expected[f"/usr/lib/userdb/{member}:{fields[0]}.membership"] = text_file("{}\n")


def _shadow(expected: Entries, composed: Tree, peer: Tree) -> None:
    for name in ("shadow", "gshadow"):
        lines = [line.split(":") for line in peer.texts[f"/etc/{name}"].splitlines()]
        for fields in lines if name == "shadow" else ():
            fields[2] = "" if fields[1].startswith(("!", "*")) else fields[2]
        entry = text_file("".join(f"{':'.join(fields)}\n" for fields in lines), 0)
        expected[f"/usr/etc/{name}"] = entry


def _database(expected: Entries, composed: Tree, peer: Tree) -> None:
    """The file itself differs in times and order of writing; what is in it, `rpm -qa` compares."""
    path = "/usr/share/rpm/rpmdb.sqlite"
    ours = composed.entries.get(path)
    if ours is not None:
        expected[path] = replace(expected[path], content=ours.content)
        expected["/usr/lib/sysimage/rpm-ostree-base-db"] = _directory()
        expected["/usr/lib/sysimage/rpm-ostree-base-db/rpmdb.sqlite"] = ours


def _modules(expected: Entries, composed: Tree, peer: Tree) -> None:
    """What is in the directory of a policy: that itself, which is in /etc already, has the mode of the one there."""
    expected.pop("/var/lib/selinux", None)
    for path in [path for path in expected if path.startswith("/var/lib/selinux/")]:
        entry, below = expected.pop(path), path.removeprefix("/var/lib/selinux/")
        if "/" in below:
            expected[f"/usr/etc/selinux/{below}"] = entry


_TOP = {"/home": "var/home", "/media": "run/media", "/mnt": "var/mnt", "/opt": "var/opt", "/root": "var/roothome",
        "/srv": "var/srv", "/tmp": "sysroot/tmp", "/ostree": "sysroot/ostree"}  # fmt: skip

RULES = (
    Rule("rpm makes a file /dev/null where there is no /dev", _removes("/dev/null")),
    Rule("backups and the lock of the shadow tools are no part of an image", _removes(
        "/etc/.pwd.lock", "/etc/group-", "/etc/gshadow-", "/etc/passwd-", "/etc/shadow-")),
    Rule("dnf's own history", _removes(*(f"/var/lib/dnf/history.sqlite{end}" for end in ("", "-shm", "-wal")))),
    Rule("ldconfig's cache of inodes differs from run to run", _removes("/var/cache/ldconfig/aux-cache",
        "/var/cache/ldconfig")),
    Rule("locks and logs of an open rpm database", _removes(*(f"/usr/share/rpm/{name}" for name in (
        ".rpm.lock", "rpmdb.sqlite-shm", "rpmdb.sqlite-wal")))),
    Rule("the rpm database differs in times; a second name tells of the base", _database),
    Rule("rpm's own place for the database leads there", _puts({"/usr/lib/sysimage/rpm": _link("../../share/rpm")})),
    Rule("configuration is deployed from /usr/etc", _move_etc),
    Rule("what the machine keeps is in /var: the top level has links", _puts(
        {path: _link(target) for path, target in _TOP.items()})),
    Rule("OSTree mounts the physical root there", _puts({"/sysroot": _directory()})),
    Rule("/usr/local is the machine's: a link, and its directories are made at boot", made_at_boot(
        "/usr/local", "/var/usrlocal")),
    Rule("/usr/local is a link", _puts({"/usr/local": _link("../var/usrlocal")})),
    Rule("/opt of packages would be here", _puts({"/usr/lib/opt": _directory()})),
    Rule("a machine id is made at the first boot", _puts({"/usr/etc/machine-id": text_file("", 0o444)})),
    Rule("accounts of packages belong to the image", _accounts),
    Rule("nss-systemd finds them there", _userdb),
    Rule("shadow is readable by nobody, without the day of the compose for locked accounts", _shadow),
    Rule("files of ours", _own_files),
    Rule("directories of ours", _puts({"/usr/share/rpm-ostree": _directory()})),
    Rule("modules of an SELinux policy are beside it, where a link leads at boot", _modules),
    Rule("polkit's own tmpfiles.d makes it another way than its package", _removes("/var/lib/polkit-1")),
    Rule("a link to the rpm database is made here at boot", _removes("/var/lib/rpm")),
    Rule("a package's directories in /var as tmpfiles.d", _package_tmpfiles),
    Rule("/var is empty, and what packages have there is made at boot", made_at_boot("/var", "/var")),
)  # fmt: skip


def looked_into(path: str) -> bool:
    """The files of both trees that RULES read."""
    return (
        path in ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")
        or path in _OWN_FILES
        or path.startswith(("/usr/lib/tmpfiles.d/", "/usr/lib/userdb/", "/usr/lib/rpm-ostree/tmpfiles.d/"))
    )
