# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts of an installation beside those of an image: which numbers they get, and what is refused."""

from __future__ import annotations

import pytest

from kickstart.accounts import Defaults, Files, Home, add_accounts, defaults
from kickstart.installation import Account, Group
from rpmtree.errors import ConfigError

FILES = Files(
    passwd="root:x:0:0:root:/root:/bin/bash\n",
    group="root:x:0:\nsudo:x:27:\n",
    shadow="root:*:::::::\ndaemon:*:::::::\n",
    gshadow="root:*::\nsudo:*::\naudio:*::\n",
    image_passwd="daemon:x:1:1::/:/usr/sbin/nologin\nstrange:x:1000:1000::/:/bin/sh\n",
    image_group="daemon:x:1:\nsudo:x:27:\naudio:x:29:pulse\nstrange:x:1000:\nodd:x:1001:\n",
)
HOW = Defaults("/var/home", "/bin/bash", 1000, 20_000)


def test_a_user() -> None:
    kim = Account("kim", "$6$salt$hash", groups=("sudo", "audio"), gecos="Kim", keys=("ssh-ed25519 AAAA kim",))
    files, homes = add_accounts(FILES, None, [kim], [], HOW)
    assert (
        files.passwd == FILES.passwd + "kim:x:1002:1002:Kim:/var/home/kim:/bin/bash\n"
    )  # 1000 and 1001 are the image's
    assert files.group == "root:x:0:\nsudo:x:27:kim\naudio:x:29:pulse,kim\nkim:x:1002:\n".replace(
        "audio:x:29:pulse,kim\nkim:x:1002:\n", "kim:x:1002:\naudio:x:29:pulse,kim\n"
    )
    assert files.shadow == FILES.shadow + "kim:$6$salt$hash:20000:0:99999:7:::\n"
    assert files.gshadow == "root:*::\nsudo:!::kim\naudio:!::pulse,kim\nkim:!::\n"
    assert (files.image_passwd, files.image_group) == (FILES.image_passwd, FILES.image_group)
    assert homes == (Home("/var/home/kim", 1002, 1002, ("ssh-ed25519 AAAA kim",)),)


@pytest.mark.parametrize(
    ("account", "field"),
    [
        (Account("root", "$6$s$h"), "$6$s$h"),
        (Account("root", "$6$s$h", locked=True), "!$6$s$h"),
        (Account("root", locked=True), "!*"),
        (Account("root"), "*"),
    ],
)
def test_root(account: Account, field: str) -> None:
    files, homes = add_accounts(FILES, account, [], [], HOW)
    assert files.shadow == f"root:{field}:20000:0:99999:7:::\ndaemon:*:::::::\n"
    assert homes == ()


def test_root_as_the_image_has_it() -> None:
    assert add_accounts(FILES, None, [], [], HOW) == (FILES, ())


def test_keys_of_root() -> None:
    _, homes = add_accounts(FILES, Account("root", locked=True, keys=("ssh-rsa A",)), [], [], HOW)
    assert homes == (Home("/root", 0, 0, ("ssh-rsa A",)),)


def test_numbers_and_places_that_were_asked_for() -> None:
    users = [
        Account("a", uid=2000, home="/srv/a", shell="/bin/sh"),
        Account("b", gid=27),
        Account("c", gid=3000),
        Account("d"),
    ]
    files, homes = add_accounts(FILES, None, users, [Group("d", 1500), Group("e")], HOW)
    assert files.passwd.splitlines()[1:] == [
        "a:x:2000:2000::/srv/a:/bin/sh",
        "b:x:1003:27::/var/home/b:/bin/bash",  # 1002 has become the group e's
        "c:x:1004:3000::/var/home/c:/bin/bash",
        "d:x:1005:1500::/var/home/d:/bin/bash",
    ]
    assert files.group.splitlines()[2:] == ["d:x:1500:", "e:x:1002:", "a:x:2000:", "c:x:3000:"]
    assert [home.gid for home in homes] == [2000, 27, 3000, 1500]


@pytest.mark.parametrize(
    ("users", "groups"),
    [
        ([Account("root")], []),
        ([Account("daemon")], []),
        ([Account("kim"), Account("kim")], []),
        ([Account("kim", uid=1)], []),
        ([Account("kim", groups=("nowhere",))], []),
        ([], [Group("sudo")]),
        ([], [Group("audio")]),
        ([], [Group("new", 29)]),
    ],
)
def test_what_is_taken_or_missing(users: list[Account], groups: list[Group]) -> None:
    add_accounts(FILES, None, [Account("kim", uid=2, groups=("audio",))], [Group("new", 30)], HOW)  # the control
    with pytest.raises(ConfigError):
        add_accounts(FILES, None, users, groups, HOW)


def test_defaults_of_the_image() -> None:
    useradd, login = "# x\nSHELL=/bin/zsh\nHOME=/var/home\n", "#UID_MIN 5\nUID_MIN\t\t 1500\nUID_MAX 60000\n"
    assert defaults(useradd, login, 3) == Defaults("/var/home", "/bin/zsh", 1500, 3)
    assert defaults("", "", 3) == Defaults("/home", "/bin/sh", 1000, 3)
