# SPDX-License-Identifier: GPL-2.0-or-later
""".repo files: what is taken, what is refused with its line, what is said."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from rpmtree.errors import ConfigError
from rpmtree.progress import Reporter
from rpmtree.rpm.repos import Repo, find_repos

VARIABLES = {"releasever": "12", "basearch": "x86_64", "stream": "a/b"}


class Warnings(Reporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warning(self, text: str) -> None:
        self.texts.append(text)


def repos(
    tmp_path: Path, text: str, wanted: list[str] | None = None, reporter: Reporter | None = None
) -> tuple[Repo, ...]:
    (tmp_path / "x.repo").write_text(text)
    return find_repos([tmp_path], wanted, VARIABLES, reporter=reporter)


def one(tmp_path: Path, *lines: str, reporter: Reporter | None = None) -> Repo:
    """The repository with a baseurl and no gpgcheck, unless `lines` say otherwise."""
    keys = {line.partition("=")[0] for line in lines}
    defaults = [line for line in ("baseurl=http://h/", "gpgcheck=0") if line.partition("=")[0] not in keys]
    (repo,) = repos(tmp_path, "\n".join(["[r]", *lines, *defaults]), ["r"], reporter)
    return repo


FULL = """\
# a comment
[base]
name = Base $releasever - ${basearch}
baseurl = https://a.example/$releasever/$basearch/os
    https://b.example/$stream/
enabled=1
gpgcheck = yes
gpgkey=file:///etc/pki/$releasever.key, https://a.example/key
priority=10
cost=500
exclude=foo bar*
includepkgs=baz
metadata_expire=6h
proxy=http://proxy.example:3128
countme=1

; another comment
[off]
baseurl=file:///srv/repo
enabled=0
gpgcheck=0
"""


def test_every_option_is_taken(tmp_path: Path) -> None:
    (base,) = repos(tmp_path, FULL)
    assert base.name == "Base 12 - x86_64"
    assert base.baseurl == ("https://a.example/12/x86_64/os", "https://b.example/a/b/")
    assert base.gpgkey == ("file:///etc/pki/12.key", "https://a.example/key")
    assert (base.enabled, base.gpgcheck, base.priority, base.cost) == (True, True, 10, 500)
    assert (base.excludepkgs, base.includepkgs) == (("foo", "bar*"), ("baz",))
    assert (base.metadata_expire, base.proxy, base.local) == (21600, "http://proxy.example:3128", None)
    assert (base.place.file, base.place.line) == (str(tmp_path / "x.repo"), 2)


def test_wanted_ones_are_found_in_their_order_and_even_if_disabled(tmp_path: Path) -> None:
    found = repos(tmp_path, FULL, ["off", "base"])
    assert [repo.id for repo in found] == ["off", "base"]
    assert found[0].local == Path("/srv/repo")
    assert [repo.id for repo in repos(tmp_path, FULL)] == ["base"]


def test_one_that_is_not_wanted_may_be_wrong(tmp_path: Path) -> None:
    text = f"{FULL}[wrong]\nbaseurl=gopher://$nothing\n"
    assert repos(tmp_path, text, ["off"])
    with pytest.raises(ConfigError):
        repos(tmp_path, text, ["wrong"])


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    assert repos(tmp_path, FULL, ["base"])
    for make in (os.mkfifo, os.mkdir, partial(os.symlink, "/dev/zero"), partial(os.symlink, "nothing")):
        odd = tmp_path / "odd.repo"
        make(odd)
        with pytest.raises(ConfigError) as raised:
            find_repos([tmp_path], ["base"], VARIABLES)
        assert raised.value.place is not None
        assert raised.value.place.file == str(odd)
        odd.rmdir() if odd.is_dir() else odd.unlink()


def test_a_missing_one_is_named_and_the_others_offered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        repos(tmp_path, FULL, ["base", "bsae", "nope"])
    assert "bsae, nope" in raised.value.message
    assert "base" in (raised.value.hint or "")


def test_gpgcheck_is_on_unless_said_otherwise(tmp_path: Path) -> None:
    assert one(tmp_path, "gpgkey=file:///k", "gpgcheck=1").gpgcheck
    assert repos(tmp_path, "[r]\nbaseurl=http://h/\ngpgkey=file:///k\n")[0].gpgcheck
    with pytest.raises(ConfigError) as raised:
        repos(tmp_path, "[r]\nbaseurl=http://h/\n")
    assert raised.value.place is not None


def test_what_lowers_trust_is_said(tmp_path: Path) -> None:
    said = Warnings()
    one(tmp_path, "gpgcheck=1", "gpgkey=file:///k", reporter=said)
    assert said.texts == []
    one(tmp_path, "sslverify=0", reporter=said)
    assert len(said.texts) == 2


@pytest.mark.parametrize("key", ["cachedir", "pluginpath", "plugins", "include", "installroot", "reposdir", "tsflags"])
def test_what_is_not_a_repositorys_to_say_is_named_and_left(tmp_path: Path, key: str) -> None:
    said = Warnings()
    quiet = one(tmp_path)
    assert one(tmp_path, f"{key}=/etc", reporter=said).baseurl == quiet.baseurl
    assert [text for text in said.texts if f" {key} " in text and text.startswith(f"{tmp_path}/x.repo:2:")]


def test_main_is_no_repository(tmp_path: Path) -> None:
    text = "[main]\ngpgcheck=0\n[r]\nbaseurl=http://h/\ngpgkey=file:///k\n"
    assert [(repo.id, repo.gpgcheck) for repo in repos(tmp_path, text)] == [("r", True)]


REFUSED = {
    "no source": ("[r]\nname=x\ngpgcheck=0", 1),
    "text first": ("baseurl=http://h/", 1),
    "no equals sign": ("[r]\nbaseurl=http://h/\nfoo", 3),
    "indented first": ("[r]\n  http://h/", 2),
    "twice": ("[r]\nbaseurl=http://h/\ngpgcheck=1\ngpgcheck=0", 4),
    "strange id": ("[a/../b]\nbaseurl=http://h/\ngpgcheck=0", 1),
    "empty id": ("[]\nbaseurl=http://h/\ngpgcheck=0", 1),
    "scheme": ("[r]\nbaseurl=ftp://h/\ngpgcheck=0", 2),
    "no scheme": ("[r]\nbaseurl=/srv/repo\ngpgcheck=0", 2),
    "dots": ("[r]\nbaseurl=file:///srv/../etc\ngpgcheck=0", 2),
    "file on a host": ("[r]\nbaseurl=file://host/srv\ngpgcheck=0", 2),
    "no host": ("[r]\nbaseurl=http:///srv\ngpgcheck=0", 2),
    "mixed": ("[r]\nbaseurl=file:///srv http://h/\ngpgcheck=0", 1),
    "a local metalink": ("[r]\nmetalink=file:///etc/passwd\ngpgcheck=0", 2),
    "a local mirror list": ("[r]\nmirrorlist=file:///etc/passwd\ngpgcheck=0", 2),
    "a key by another scheme": ("[r]\nbaseurl=http://h/\ngpgkey=data:x", 3),
    "bool": ("[r]\nbaseurl=http://h/\ngpgcheck=maybe", 3),
    "empty bool": ("[r]\nbaseurl=http://h/\ngpgcheck=", 3),
    "number": ("[r]\nbaseurl=http://h/\ngpgcheck=0\npriority=-1", 4),
    "time": ("[r]\nbaseurl=http://h/\ngpgcheck=0\nmetadata_expire=soon", 4),
    "relative path": ("[r]\nbaseurl=http://h/\ngpgcheck=0\nsslcacert=ca.pem", 4),
    "key but none": ("[r]\nbaseurl=http://h/\ngpgcheck=0\nrepo_gpgcheck=1", 1),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, line = REFUSED[case]
    with pytest.raises(ConfigError) as raised:
        repos(tmp_path, text)
    assert raised.value.place is not None
    assert (raised.value.place.file, raised.value.place.line) == (str(tmp_path / "x.repo"), line)


def test_an_unknown_variable_stays_and_is_named(tmp_path: Path) -> None:
    said = Warnings()
    repo = one(tmp_path, "mirrorlist=http://h/?a=$basearch&infra=$infra", "baseurl=", reporter=said)
    assert repo.mirrorlist == "http://h/?a=x86_64&infra=$infra"
    assert [text for text in said.texts if "$infra" in text and text.startswith(f"{tmp_path}/x.repo:2")]


@pytest.mark.parametrize("value", ["a\nbaseurl=http://evil/", "../..", "x/../../etc", "a\x00b"])
def test_a_variable_can_not_change_what_a_url_is(tmp_path: Path, value: str) -> None:
    (tmp_path / "x.repo").write_text("[r]\nbaseurl=http://h/$v/\ngpgcheck=0")
    assert find_repos([tmp_path], None, {"v": "fine"})
    with pytest.raises(ConfigError):
        find_repos([tmp_path], None, {"v": value})


def test_an_id_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.repo").write_text("[r]\nbaseurl=http://h/\ngpgcheck=0")
    assert find_repos([tmp_path], None, {})
    (tmp_path / "b.repo").write_text("\n[r]\nbaseurl=http://evil/\ngpgcheck=0")
    with pytest.raises(ConfigError) as raised:
        find_repos([tmp_path], None, {})
    assert raised.value.place is not None
    assert (raised.value.place.file, raised.value.place.line) == (str(tmp_path / "b.repo"), 2)


def test_a_password_is_not_shown() -> None:
    from rpmtree.errors import Place

    assert "hunter2" not in repr(Repo("r", "r", Place("x"), password="hunter2"))


def test_files_of_others_are_read(shared: Path, tmp_path: Path) -> None:
    """Each .repo file that people use is read, or refused with a place."""
    outcomes = []
    for path in sorted(shared.glob("corpus/**/*.repo")):
        (tmp_path / "x.repo").write_bytes(path.read_bytes())
        outcomes.append(_outcome(tmp_path))
    assert all(error.place for error in outcomes if error)
    assert not outcomes or outcomes.count(None) > len(outcomes) // 2


def _outcome(tmp_path: Path) -> ConfigError | None:
    try:
        find_repos([tmp_path], None, VARIABLES)
    except ConfigError as error:
        return error
    return None
