# SPDX-License-Identifier: GPL-2.0-or-later
"""Kickstart files that are read: what each directive becomes, and where each is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kickstart import passwords, values
from kickstart.document import MAX_BYTES, MAX_DEPTH, MAX_FILES, MAX_LINE, MAX_STATEMENTS, read_document
from kickstart.grammar import IDLE, UNSUPPORTED
from kickstart.installation import Account, Group, Installation, Partition, Source
from kickstart.reading import DIRECTIVES, read
from rpmtree.errors import ConfigError, Place
from rpmtree.problems import Notice

HASH = passwords.hashed("stone", "saltstring")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKSVt2xT2oYDkCVcUvkE3wfYLzrE0g1kR5Ul0bS4t2P core@stone"
SETUP = "ostreesetup --osname=granite --remote=origin --url=https://x.example/repo --ref=granite/12/${basearch}/server"


def read_text(tmp_path: Path, text: str, *, lenient: bool = False) -> tuple[Installation, tuple[Notice, ...]]:
    path = tmp_path / "t.ks"
    path.write_text(text)
    return read(path, lenient=lenient, basearch="x86_64")


def refused(tmp_path: Path, text: str, *, lenient: bool = False) -> list[tuple[int, int | None]]:
    """Line and column of each problem; the first is the error's place."""
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, text, lenient=lenient)
    error = caught.value
    assert error.place is not None
    others = [line.split(":")[1:3] for line in (error.detail or "").splitlines() if line.startswith(str(tmp_path))]
    return [(error.place.line or 0, error.place.column), *((int(line), int(column)) for line, column in others)]


SAID = [
    ("", Installation()),
    (
        f"{SETUP}\n",
        Installation(source=Source("https://x.example/repo", "granite/12/x86_64/server", "origin", "granite")),
    ),
    (
        "ostreesetup --nogpg --osname=g --url=file:///srv/repo --ref=g/1\n",
        Installation(source=Source("file:///srv/repo", "g/1", "g", "g", gpg=False)),
    ),
    ("lang de_DE.UTF-8 # a remark\n", Installation(lang="de_DE.UTF-8")),
    ("keyboard us\n", Installation(keyboard="us")),
    ("keyboard --vckeymap=de-nodeadkeys --xlayouts='de (nodeadkeys)'\n", Installation(keyboard="de-nodeadkeys")),
    ("keyboard --xlayouts='cz (qwerty)'\n", Installation(keyboard="cz-qwerty")),
    ("timezone Europe/Berlin --utc\n", Installation(timezone="Europe/Berlin")),
    ("timezone --isUtc Etc/GMT+1\n", Installation(timezone="Etc/GMT+1")),
    ("network --hostname=a.example\n", Installation(hostname="a.example")),
    ("selinux --permissive\n", Installation(selinux="permissive")),
    ("selinux --disabled\nselinux --enforcing\n", Installation(selinux="enforcing")),
    (
        "services --enabled=sshd,a@b.service --disabled=c\n",
        Installation(enabled=("sshd", "a@b.service"), disabled=("c",)),
    ),
    ("services --enabled=a,b\nservices --disabled=a\n", Installation(enabled=("b",), disabled=("a",))),
    (
        "bootloader --append='console=ttyS0 a=\"b c\"' --timeout=1\n",
        Installation(kernel_arguments=("console=ttyS0", 'a="b c"'), boot_timeout=1),
    ),
    (
        "bootloader --append=a\nbootloader --location=mbr --append=b --boot-drive=vda\n",
        Installation(kernel_arguments=("a", "b")),
    ),
    ("rootpw --lock\n", Installation()),
    ("rootpw --lock --iscrypted locked\n", Installation()),
    ("rootpw --iscrypted !!\n", Installation()),
    (f"rootpw --iscrypted {HASH}\n", Installation(root=Account("root", HASH))),
    (f"rootpw --iscrypted --lock {HASH}\n", Installation(root=Account("root", HASH, locked=True))),
    (f"sshkey --username=root '{KEY}'\n", Installation(root=Account("root", locked=True, keys=(KEY,)))),
    (
        f"sshkey --username=core '{KEY}'\nuser --name=core --groups=wheel,media(5002) --uid=1500 --gid=1501 "
        f"--shell=/bin/bash --homedir=/var/home/c --gecos='The Core, 1' --iscrypted --password={HASH}\n",
        Installation(
            users=(
                Account(
                    "core",
                    HASH,
                    False,
                    ("wheel", "media"),
                    1500,
                    1501,
                    "/var/home/c",
                    "/bin/bash",
                    "The Core, 1",
                    (KEY,),
                ),
            ),
            groups=(Group("media", 5002),),
        ),
    ),
    ("user --name=none\nuser --name=b --lock\n", Installation(users=(Account("none"), Account("b", locked=True)))),
    ("group --name=media --gid=5002\ngroup --name=b\n", Installation(groups=(Group("media", 5002), Group("b")))),
    ("part / --size=10\n", Installation(partitions=(Partition("/", size=10),))),
    (
        "partition /boot --size=300 --fstype=xfs --asprimary --label=boot\npart swap --size=100\n"
        "part / --grow --fstype xfs\npart /var/lib --size=5 --grow --maxsize=9 --fsoptions=defaults,noatime,size=5%\n",
        Installation(
            partitions=(
                Partition("/boot", "xfs", 300, label="boot"),
                Partition("swap", "swap", 100),
                Partition("/", "xfs", grow=True),
                Partition("/var/lib", size=5, grow=True, most=9, options=("noatime", "size=5%")),
            )
        ),
    ),
    (
        "part / --grow\npart /home/ --size=5\n",
        Installation(partitions=(Partition("/", grow=True), Partition("/var/home", size=5))),
    ),
    (
        "autopart --type=plain --nohome --fstype=xfs\n",
        Installation(partitions=(Partition("/boot", size=1024), Partition("/", "xfs", grow=True))),
    ),
    ("autopart --nolvm --noboot\n", Installation(partitions=(Partition("/", grow=True),))),
    (
        "reqpart --add-boot\npart / --size=9\n",
        Installation(partitions=(Partition("/boot", size=1024), Partition("/", size=9))),
    ),
    ("reqpart\n", Installation()),
    ("%packages\n# nothing\n\n%end\n", Installation()),
    ("%anaconda\npwpolicy root --strict\n%end\n%traceback\nx\n%end\n", Installation()),
    ("%post\n\n%end\n", Installation()),
]


def without_places(found: Installation) -> Installation:
    from dataclasses import replace

    return replace(
        found,
        partitions=tuple(replace(one, place=None) for one in found.partitions),
        post=tuple(replace(one, place=None) for one in found.post),
    )


@pytest.mark.parametrize(("text", "wanted"), SAID)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_said(tmp_path: Path, text: str, wanted: Installation, lenient: bool) -> None:
    assert without_places(read_text(tmp_path, text, lenient=lenient)[0]) == wanted


IDLE_TEXT = """\
text
cmdline
graphical
reboot --eject
poweroff
halt
shutdown
zerombr
clearpart --all --initlabel --disklabel=msdos
firewall --enabled --ssh
firstboot --disabled
eula --agreed
skipx
auth --useshadow --passalgo=sha512
authselect select sssd
install
url --url=https://x.example
repo --name=a --baseurl=https://x.example
rdp
"""


def test_what_does_nothing_is_named_once(tmp_path: Path) -> None:
    installation, notices = read_text(tmp_path, IDLE_TEXT)
    assert installation == Installation()
    assert len(notices) == 1
    for line in IDLE_TEXT.splitlines():
        assert f" {line.split()[0]}" in notices[0].message


def test_scripts_are_kept_as_they_stand(tmp_path: Path) -> None:
    body = "  # a remark\n\necho '%post'\n%not-a-section\ncat <<EOF\n$x `y`\nEOF\n"
    text = f"lang C\n%post --erroronfail --interpreter /usr/bin/python3\n{body}%end\n%post\nb\n%end # remark\n"
    installation, _ = read_text(tmp_path, text)
    assert [(one.text, one.interpreter, one.essential) for one in installation.post] == [
        (body, "/usr/bin/python3", True),
        ("b\n", "/bin/sh", False),
    ]
    assert installation.post[1].place == Place(str(tmp_path / "t.ks"), 11, 1)


def test_a_plain_password_is_hashed_with_a_salt_of_its_own(tmp_path: Path) -> None:
    text = "rootpw --plaintext 'st one'\nuser --name=a --password='st one'\n"
    found, notices = read_text(tmp_path, text)
    hashes = [found.root.password, found.users[0].password]
    hashes.append(read_text(tmp_path, text)[0].root.password)
    assert len(set(hashes)) == 3
    for one in hashes:
        assert one is not None
        assert one == passwords.hashed("st one", one.split("$")[2])
    assert [notice.place.line for notice in notices] == [1, 2]
    assert "st one" not in "".join(str(notice) for notice in notices)


def test_the_hash_is_that_of_the_specification() -> None:
    # Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512", the first of the test vectors; `openssl passwd -6` agrees.
    wanted = "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
    assert passwords.hashed("Hello world!", "saltstring") == f"$6$saltstring${wanted}"


#: Refused whatever the reader is: each with the place of what is wrong.
WRONG = [
    ("part / --size=0\n", 1, 8),
    ("part / --size=-1\n", 1, 8),
    ("part / --size=1e30\n", 1, 1),
    ('part / --size="10; rm -rf x"\n', 1, 1),
    ("part / --size=99999999999999999999\n", 1, 8),
    (f"part / --size={'9' * 5000}\n", 1, 1),
    ("part / --size=10 --maxsize=9 --grow\n", 1, 18),
    ("part / --size=10 --maxsize=0 --grow\n", 1, 18),
    ("part /\n", 1, 1),
    ("part /../ --size=10\n", 1, 6),
    ("part /../ --size=10 --label /\n", 1, 6),
    ("part /. --size=10\n", 1, 6),
    ("part // --size=10\n", 1, 6),
    ("part /media --size=10\n", 1, 6),
    ("part /var/../etc --size=10\npart / --size=1\n", 1, 6),
    ("part //var --size=10\npart / --size=1\n", 1, 6),
    ("part /usr --size=10\npart / --size=1\n", 1, 6),
    ("part /etc/x --size=10\npart / --size=1\n", 1, 6),
    ("part '/var/a b' --size=10\npart / --size=1\n", 1, 7),
    ("part '/var/$(id)' --size=10\npart / --size=1\n", 1, 7),
    ("part / --size=10\npart / --size=11\n", 2, 1),
    ("part / --size=10\npart /home --size=11\npart /var/home --size=12\n", 3, 1),
    ("part /var --size=10\n", 1, 1),
    ("part swap --size=10 --fstype=ext4\npart / --size=1\n", 1, 30),
    ("part / --size=10 --fstype=swap\n", 1, 27),
    ("part / --size=10 --label='a b'\n", 1, 18),
    ("part / --size=10 --label='a\"; rm'\n", 1, 18),
    ("part / --size=10 --label=-L\n", 1, 18),
    ("part / --size=10 --label=12345678901234567\n", 1, 18),
    ("part / --size=10 --fstype=xfs --label=1234567890123\n", 1, 31),
    ("part / --size=10 --label=a\npart /var --size=10 --label=a\n", 2, 21),
    ("part / --size=10 --fsoptions='a b'\n", 1, 18),
    ("part / --size=10 --fsoptions='a,,b'\n", 1, 18),
    ("part / --size=10 --unheard-of\n", 1, 1),
    ("part\n", 1, 1),
    ("autopart --type=plain\npart / --size=10\n", 1, 1),
    ("autopart --type=nonsense\n", 1, 1),
    ("bootloader --append='a\"b'\n", 1, 12),
    ("bootloader --append='a\tb'\n", 1, 12),
    (f"bootloader --append={'a' * 1500}\nbootloader --append={'b' * 1500}\n", 2, 12),
    ("bootloader --timeout=-1\n", 1, 12),
    ("bootloader --timeout=x\n", 1, 1),
    (f"{SETUP}\n{SETUP}\n", 2, 1),
    ("ostreesetup --osname=a --url=https://x.example\n", 1, 1),
    ("ostreesetup --osname=a --url=ftp://x.example --ref=a\n", 1, 1),
    ("ostreesetup --osname=a --url='https://x.example/;\"\\' --ref=a\n", 1, 31),
    ("ostreesetup --osname=a --url='https://x/ -o' --ref=a\n", 1, 31),
    ("ostreesetup --osname=../a --url=https://x.example --ref=a\n", 1, 22),
    ("ostreesetup --osname=.. --url=https://x.example --ref=a\n", 1, 22),
    ("ostreesetup --osname=a --remote=b/c --url=https://x.example --ref=a\n", 1, 33),
    ("ostreesetup --osname=a --url=https://x.example --ref=a/../b\n", 1, 54),
    ("ostreesetup --osname=a --url=https://x.example --ref=-a\n", 1, 54),
    ("ostreesetup --osname=a --url=https://x.example --ref=${releasever}\n", 1, 54),
    ("rootpw\n", 1, 1),
    ("rootpw --iscrypted nonsense\n", 1, 20),
    ("rootpw --iscrypted '$6$a:b$c'\n", 1, 21),
    (f"rootpw {HASH}\n", 1, 8),
    (f"rootpw {'x' * 512}\n", 1, 8),
    ("rootpw 'a\tb'\n", 1, 9),
    ("user --groups=wheel\n", 1, 1),
    ("user --name=root\n", 1, 13),
    ("user --name=a\nuser --name=a\n", 2, 13),
    ("user --name=a:b\n", 1, 13),
    ("user --name='a b'\n", 1, 14),
    ("user --name=-a\n", 1, 13),
    ("user --name=../a\n", 1, 13),
    ("user --name=a --uid=0\n", 1, 15),
    ("user --name=a --uid=-1\n", 1, 15),
    ("user --name=a --uid=4294967295\n", 1, 15),
    ("user --name=a --uid=1x\n", 1, 1),
    ("user --name=a --uid=1000\nuser --name=b --uid=1000\n", 2, 15),
    ("user --name=a --groups=b:c\n", 1, 24),
    ("user --name=a --groups='b(0)'\n", 1, 25),
    ("user --name=a --homedir=x\n", 1, 25),
    ("user --name=a --homedir=/var/../etc\n", 1, 25),
    ("user --name=a --homedir='/var/a:b'\n", 1, 26),
    ("user --name=a --shell='/bin/sh -c x'\n", 1, 24),
    ("user --name=a --gecos='a:0:0'\n", 1, 15),
    ("group --name=a --gid=5\ngroup --name=a --gid=6\n", 2, 14),
    ("group --name=a --gid=5\ngroup --name=b --gid=5\n", 2, 22),
    (f"sshkey --username=a '{KEY}'\n", 1, 19),
    ("sshkey --username=root nonsense\n", 1, 24),
    ("sshkey --username=root 'command=\"x\" ssh-ed25519 AAAA'\n", 1, 25),
    (f"sshkey --username=root '{KEY.replace('ssh-ed25519', 'ssh-rsa')}'\n", 1, 25),
    ("lang 'de; x'\n", 1, 7),
    ("lang\n", 1, 1),
    ("keyboard ../us\n", 1, 10),
    ("timezone ../../etc/passwd --utc\n", 1, 10),
    ("timezone /etc/passwd --utc\n", 1, 10),
    ("network --hostname=a_b\n", 1, 20),
    (f"network --hostname={'a' * 65}\n", 1, 20),
    ("services --enabled=../a\n", 1, 20),
    ("services --enabled=a --disabled=a\n", 1, 20),
    ("services\n", 1, 1),
    (f"text {'a' * MAX_LINE}\n", 1, 1),
    (f"text {'a ' * 256}\n", 1, 1),
    ("".join(f"services --enabled=a{n}\n" for n in range(1025)), 1025, 1),
    ("text 'a\n", 1, 1),
    ("text a\\", 1, 1),
    ("'' text\n", 1, 1),
    ("%end\n", 1, 1),
    ("%post\necho\n", 1, 1),
    ("%post\necho\n%pre\n%end\n", 3, 1),
    ("%post --unheard-of\n%end\n", 1, 7),
    ("%post --erroronfail=1\n%end\n", 1, 7),
    ("%post --interpreter=sh\nx\n%end\n", 1, 7),
    ("%post --interpreter='/bin/sh -x'\nx\n%end\n", 1, 1),
    ("%include\n", 1, 1),
    ("%include a b\n", 1, 10),
    ("%include gone.ks\n", 1, 10),
    ("%include https://x.example/a.ks\n", 1, 10),
    ("%include /etc/passwd\n", 1, 10),
    ("%include ../a.ks\n", 1, 10),
    ("%include t.ks\n", 1, 10),
    ("%include .\n", 1, 10),
    (f"%include {'x' * 300}\n", 1, 10),
    ("lang C\n%post\n%include /etc/passwd\n%end\n", 3, 10),
    ("lang a\0b\n", 1, 7),
    ("lang C\x1b[31m\n", 1, 7),
    ("user --name=a --gecos='b\u2028rootpw x'\n", 1, 25),
    ("user --name=a --gecos='b\x85rootpw x'\n", 1, 25),
    ("user --name=a --gecos='b\x0brootpw x'\n", 1, 25),
]


@pytest.mark.parametrize(("text", "line", "column"), WRONG)
@pytest.mark.parametrize("lenient", [False, True])
def test_where_it_is_wrong(tmp_path: Path, text: str, line: int, column: int, lenient: bool) -> None:
    assert refused(tmp_path, text, lenient=lenient)[0] == (line, column)


#: Refused, or left out by a lenient reader.
UNSUPPORTED_TEXTS = [
    ("volgroup a pv.1\n", 1, 1),
    ("part pv.1 --grow\n", 1, 6),
    ("part raid.1 --grow\n", 1, 6),
    ("part btrfs.1 --grow\n", 1, 6),
    ("part /boot/efi --fstype=efi --size=200\n", 1, 6),
    ("part biosboot --size=1\n", 1, 6),
    ("part swap --recommended\n", 1, 6),
    ("clearpart --all --disklabel=gpt\n", 1, 17),
    ("part /var --onpart=sda1\n", 1, 6),
    ("part /var --noformat --onpart=LABEL=x\n", 1, 6),
    ("logvol /var --vgname=a --name=b --size=1\n", 1, 1),
    ("raid / --level=1 --device=a raid.1 raid.2\n", 1, 1),
    ("btrfs none --label=a btrfs.1\n", 1, 1),
    ("autopart --type=plain --encrypted --passphrase=x\n", 1, 23),
    ("autopart\n", 1, 1),
    ("autopart --type=thinp\n", 1, 1),
    ("autopart --type=lvm\n", 1, 1),
    ("autopart --type=plain --fstype=ext3\n", 1, 32),
    ("bootloader --password=x\n", 1, 12),
    ("bootloader --location=none\n", 1, 12),
    ("network --bootproto=static --ip=10.0.0.2 --netmask=255.0.0.0\n", 1, 9),
    ("timezone UTC --utc --ntpservers=a\n", 1, 20),
    ("timesource --ntp-disable\n", 1, 1),
    ("rootpw --lock --allow-ssh\n", 1, 15),
    ("ostreecontainer --url=quay.io/a/b:c\n", 1, 1),
    ("liveimg --url=https://x.example\n", 1, 1),
    ("iscsi --ipaddr=10.0.0.2\n", 1, 1),
    ("unheard-of --option\n", 1, 1),
    ("%ksappend https://x.example/a.ks\n", 1, 1),
    ("%pre\nrm -rf /\n%end\n", 1, 1),
    ("%pre-install\nrm -rf /\n%end\n", 1, 1),
    ("%packages\ntree\n%end\n", 1, 1),
    ("%post --nochroot\nrm -rf /mnt\n%end\n", 1, 1),
    ("%addon com_redhat_kdump --disable\n%end\n", 1, 1),
    ("%certificate --filename=a\n%end\n", 1, 1),
    ("%unheard-of\n%end\n", 1, 1),
]


@pytest.mark.parametrize(("text", "line", "column"), UNSUPPORTED_TEXTS)
def test_what_is_not_supported(tmp_path: Path, text: str, line: int, column: int) -> None:
    assert refused(tmp_path, text)[0] == (line, column)
    installation, notices = read_text(tmp_path, f"{text}lang C\n", lenient=True)
    assert installation.lang == "C"
    assert installation.post == ()
    assert (line, column) in [(notice.place.line, notice.place.column) for notice in notices]


def test_options_that_are_left_out_leave_the_directive(tmp_path: Path) -> None:
    text = "part / --size=10 --encrypted --passphrase=x\npart /var --size=5 --mkfsoptions='-O x'\n"
    assert refused(tmp_path, text) == [(1, 18), (1, 30), (2, 20)]
    found, notices = read_text(tmp_path, text, lenient=True)
    assert without_places(found).partitions == (Partition("/", size=10), Partition("/var", size=5))
    assert [notice.place.line for notice in notices] == [1, 1, 2]


LVM = "part /boot --size=300 --fstype=xfs\npart pv.1 --grow\nvolgroup a pv.1\nlogvol / --vgname=a --name=r --size=1\n"


@pytest.mark.parametrize("text", [LVM, LVM.partition("\n")[2], "part / --fstype=btrfs --size=9\n"])
def test_a_root_that_is_left_out_is_the_default_layout(tmp_path: Path, text: str) -> None:
    found, notices = read_text(tmp_path, text, lenient=True)
    assert found.partitions == ()
    assert "default layout" in "".join(notice.message for notice in notices)
    assert refused(tmp_path, text)[0][0] in (1, 2)


def test_disks(tmp_path: Path) -> None:
    text = "part / --size=9 --ondisk=sda\npart /var --size=9 --ondisk={}\n"
    assert len(read_text(tmp_path, text.format("sda"))[0].partitions) == 2
    assert refused(tmp_path, text.format("sdb")) == [(2, 29)]


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = "lang 'a b'\nvolgroup a b\n%pre\n%end\npart / --size=0\nunheard-of\n%post --nochroot\n%end\n%include gone\n"
    assert [line for line, _ in refused(tmp_path, text)] == [1, 2, 3, 5, 6, 7, 9]
    assert [line for line, _ in refused(tmp_path, text, lenient=True)] == [1, 5, 9]


def test_includes(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.ks").write_text("lang C\n%include b.ks\n%post\na\n%end\n")
    (tmp_path / "sub" / "b.ks").write_text("keyboard us\r\n")
    (tmp_path / "body").write_text("b\n%include sub/body\n")
    (tmp_path / "sub" / "body").write_text("c")
    text = f"%include sub/a.ks\n%include {tmp_path}/sub/b.ks\n%post\na\n%include body\nd\n%end\n"
    found, _ = read_text(tmp_path, text)
    assert (found.lang, found.keyboard) == ("C", "us")
    assert [one.text for one in found.post] == ["a\n", "a\nb\nc\nd\n"]
    (tmp_path / "sub" / "b.ks").write_text("\nkeyboard 'u s'\n")
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, text)
    assert caught.value.place == Place(str(tmp_path / "sub" / "b.ks"), 2, 11)


def test_an_included_file_can_not_end_a_section(tmp_path: Path) -> None:
    (tmp_path / "body").write_text("%end\nrootpw x\n")
    assert refused(tmp_path, "%post\n%include body\n%end\n") == [(1, 1)]
    (tmp_path / "body").write_text("%post\nx\n")
    assert refused(tmp_path, "%include body\n%end\n")[0] == (1, 1)


def test_a_name_that_is_nearly_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, "bootlaoder --append=x\n")
    assert "bootloader" in (caught.value.hint or "")


def test_places_are_named_as_the_file_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.ks").write_text("%include b.ks\n")
    (tmp_path / "sub" / "b.ks").write_text("lang 'a b'\n")
    (tmp_path / "t.ks").write_text("%include sub/a.ks\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read(Path("t.ks"))
    assert caught.value.place == Place("sub/b.ks", 1, 7)


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "outside.ks").write_text("lang C\n")
    (home / "inside.ks").write_text("lang C\n")
    (home / "link.ks").symlink_to("../outside.ks")
    (home / "good.ks").symlink_to("inside.ks")
    assert refused(home, "%include link.ks\n") == [(1, 10)]
    assert read_text(home, "%include good.ks\n")[0].lang == "C"


def test_limits(tmp_path: Path) -> None:
    for number in range(MAX_DEPTH + 2):
        (tmp_path / f"{number}.ks").write_text(f"%include {number + 1}.ks\n")
    (tmp_path / f"{MAX_DEPTH - 1}.ks").write_text("lang C\n")
    assert read_text(tmp_path, "%include 1.ks\n")[0].lang == "C"
    (tmp_path / f"{MAX_DEPTH - 1}.ks").write_text(f"%include {MAX_DEPTH}.ks\n")
    assert refused(tmp_path, "%include 1.ks\n") == [(1, 10)]

    (tmp_path / "one.ks").write_text("keyboard us\n")
    assert read_text(tmp_path, "%include one.ks\n" * (MAX_FILES - 1))[0].keyboard == "us"
    assert refused(tmp_path, "%include one.ks\n" * MAX_FILES)[0][0] == MAX_FILES

    assert read_text(tmp_path, "#" * (MAX_BYTES - 1) + "\n")[0] == Installation()
    path = tmp_path / "t.ks"
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError):
        read(path)
    assert refused(tmp_path, "\n" * 30_000)[0][0] > 0
    assert read_text(tmp_path, "lang C\n" * MAX_STATEMENTS)[0].lang == "C"
    assert refused(tmp_path, "lang C\n" * (MAX_STATEMENTS + 1)) == [(MAX_STATEMENTS + 1, 1)]
    assert refused(tmp_path, "rootpw a\n" * 257) == [(257, 8)]
    assert refused(tmp_path, "part / --size=1\n" + "part swap --size=1\n" * 40)[0][0] == 33


@pytest.mark.parametrize("content", [b"lang \xff\n", b""])
def test_what_is_no_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.ks"
    path.write_bytes(content)
    if not content:
        assert read(path) == (Installation(), ())
        return
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert caught.value.place == Place(str(path), 1, 6)


@pytest.mark.parametrize("name", ["gone.ks", "."])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / name)
    assert caught.value.place == Place(str(tmp_path / name))


def test_every_directive_that_an_installer_knows_is_known() -> None:
    from pykickstart.version import F21, RHEL7, makeVersion, versionMap

    ours = {*IDLE, *UNSUPPORTED, *DIRECTIVES}
    for version in sorted({number for number in versionMap.values() if number >= F21 or number == RHEL7}):
        assert set(makeVersion(version).commands) - ours == set()
    assert not set(IDLE) & set(UNSUPPORTED)
    assert not set(DIRECTIVES) & {*IDLE, *UNSUPPORTED}


def test_the_document_is_what_the_installer_reads(tmp_path: Path) -> None:
    """Lines, words and bodies of sections as pykickstart's own reader has them."""
    from pykickstart.parser import KickstartParser
    from pykickstart.version import F33, makeVersion

    text = "lang C # x\n  part '/' --size=\"10\" # y\n\n#z\n"
    text += "%post --erroronfail\n# kept\n a\n%x\n%end # w\ntext\n%packages\n#\nb\n%end\n"
    (tmp_path / "t.ks").write_text(text)
    statements, problems = read_document(tmp_path / "t.ks")
    assert problems == []
    handler = makeVersion(F33)
    seen: list[tuple[str, ...]] = []

    class Parser(KickstartParser):  # type: ignore[misc]
        def handleCommand(self, lineno: int, args: list[str]) -> None:
            seen.append((str(lineno), *args))

    Parser(handler).readKickstart(str(tmp_path / "t.ks"))
    assert seen == [(str(one.place.line), *one.words) for one in statements if not hasattr(one, "body")]
    assert [one.script for one in handler.scripts] == [
        one.body for one in statements if hasattr(one, "body") and one.header.name == "%post"
    ]


@pytest.mark.parametrize(
    "text",
    [
        HASH,
        "$5$rounds=5000$salt$" + "a" * 43,
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
        "$2b$12$" + "a" * 53,
        "$1$salt$" + "a" * 22,
    ],
)
def test_hashes(text: str) -> None:
    assert values.password_hash(text) == text
    for wrong in (text[:-1], f"{text}:", f"{text}\n", f"{text} "):
        with pytest.raises(ValueError, match="crypt"):
            values.password_hash(wrong)
