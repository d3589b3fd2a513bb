# SPDX-License-Identifier: GPL-2.0-or-later
"""`compose disk` without a boot: what lies on the disk, what is refused, and what is left behind."""

from __future__ import annotations

import os
import random
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kickstart import image
from kickstart.disk import DiskOptions, Outcome, boot_code, make_disk
from kickstart.installation import Account, Group, Installation, Partition, Source
from kickstart.layout import MIB, lay_out, usable
from rpmtree import mounts
from rpmtree.errors import (
    BusyError,
    ConfigError,
    StoreError,
    ToolError,
    UsageError,
)
from rpmtree.ostree.repo import create
from rpmtree.progress import Reporter
from tests.end_to_end.shale import COMPOSE
from tests.support import disks
from tests.support.openpgp import Key
from tests.support.policies import ATTRIBUTE, policy
from tests.support.sysroots import commit_tree

pytestmark = [
    pytest.mark.needs("root", "bwrap", "ostree", "gi:", "losetup", "blkid"),
    pytest.mark.needs("sfdisk", "mke2fs", "extlinux", "mkfs.xfs"),
]
REF = "granite/12/stable"
PASSWD = "root:x:0:0:root:/root:/bin/sh\n"
_SHADOW = "root:*:::::::\ndaemon:*:::::::\n"
SIZE = 128 * MIB


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("repo")
    create(made, "bare")
    files: dict[str, str | bytes] = {
        "usr/etc/passwd": PASSWD,
        "usr/etc/group": "root:x:0:\n",
        "usr/etc/shadow": _SHADOW,
        "usr/etc/gshadow": "root:*::\n",
        "usr/etc/skel/.profile": "# hello\n",
        "usr/etc/default/useradd": "HOME=/var/home\nSHELL=/bin/sh\n",
        "usr/etc/fstab": "# of the image",
        "usr/lib/passwd": "daemon:x:1:1::/:/usr/sbin/nologin\n",
        "usr/lib/group": "daemon:x:1:\naudio:x:29:\n",
        "usr/share/zoneinfo/Europe/Oslo": "zone",
        "usr/lib/systemd/system/own.service": "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
    }
    commit_tree(made, REF, files=files, links={"root": "var/roothome", "home": "var/home"})
    return made


def make(repo: Path, target: Path, installation: Installation | None = None, **said: object) -> Outcome:
    options = DiskOptions(repo, REF, target, **{"size": SIZE, **said})  # type: ignore[arg-type]
    return make_disk(options, installation or Installation(root=None), Said())


@contextmanager
def opened(disk: Path, where: Path, places: dict[int, str] | None = None) -> Iterator[tuple[Path, Path]]:
    """The sysroot and the deployment of a disk."""
    with disks.mounted(disk, where, places or {1: ""}) as top:
        (deployed,) = [path for path in top.glob("ostree/deploy/*/deploy/*") if path.is_dir()]
        yield top, deployed


def test_a_disk(repo: Path, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    outcome = make(repo, target, kernel_arguments=("quiet",))
    assert target.stat().st_size == SIZE
    assert target.stat().st_blocks * 512 < SIZE / 2  # it is sparse
    (part,) = disks.partitions(target)
    assert (part.offset, part.size, part.kind, part.bootable) == (MIB, SIZE - MIB, "83", True)
    assert part.facts["UUID"] == outcome.root_uuid
    assert target.read_bytes()[:440].rstrip(b"\0") == boot_code().read_bytes().rstrip(b"\0")
    disks.check_file_systems(target)
    with opened(target, tmp_path / "mnt") as (top, deployed):
        config = (top / "boot/loader/syslinux.cfg").read_text()
        assert f"APPEND root=UUID={outcome.root_uuid} rw console=tty0 console=ttyS0 quiet ostree=" in config
        kernel = next(line.split()[1] for line in config.splitlines() if "KERNEL" in line)
        assert (top / kernel.lstrip("/")).read_text() == "kernel 6.1"
        assert (top / "boot/syslinux/ldlinux.sys").exists()
        assert (top / "boot/syslinux/menu.c32").exists()
        _check_equal(repo, deployed, tmp_path / "checkout")
        assert (deployed / "etc/machine-id").read_bytes() == b""
        assert deployed.name.startswith(outcome.commit)
        assert deployed.parent.parent.name == "granite"  # the ID of os-release
        assert (deployed.parent / f"{deployed.name}.origin").read_text().splitlines() == ["[origin]", f"refspec={REF}"]
        assert (deployed / "etc/shadow").read_text() == _SHADOW
        subprocess.run(["ostree", "fsck", f"--repo={top}/ostree/repo", "--quiet"], check=True, capture_output=True)
    _check_nothing_left(tmp_path)


def _check_equal(repo: Path, deployed: Path, checkout: Path) -> None:
    """/usr of a deployment is that of the commit."""
    subprocess.run(["ostree", f"--repo={repo}", "checkout", "--user-mode", REF, str(checkout)], check=True)
    # Modes, owners and targets of links, too.
    for tree in (deployed, checkout):
        listed = subprocess.run(
            ["find", "usr", "-printf", "%p %y %m %l %s\\n"], cwd=tree, check=True, capture_output=True, text=True
        )
        listing = sorted(line for line in listed.stdout.splitlines() if " d " not in line)
        if tree is deployed:
            expected = listing
    assert listing == expected
    subprocess.run(["diff", "-r", str(deployed / "usr"), str(checkout / "usr")], check=True)
    shutil.rmtree(checkout)


def _check_nothing_left(directory: Path) -> None:
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []
    assert disks.loop_devices(directory) == []


def test_a_disk_of_everything(repo: Path, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    installation = Installation(
        source=Source("http://example.com/repo", "other/branch", "site", "oak", gpg=False),
        partitions=(
            Partition("/boot", size=64),
            Partition("/", "xfs", grow=True, label="top"),
            Partition("swap", "swap", 16),
            Partition("/var", size=64, options=("noatime",)),
            Partition("/home", size=64),
        ),
        root=Account("root", "$6$salt$hash", keys=("ssh-rsa AAAA",)),
        users=(Account("kim", groups=("audio", "team"), keys=("ssh-ed25519 BBBB", "ssh-ed25519 CCCC")),),
        groups=(Group("team", 2000),),
        timezone="Europe/Oslo",
        lang="nb_NO.UTF-8",
        keyboard="no",
        hostname="oak.example.com",
        kernel_arguments=("console=hvc0",),
    )
    outcome = make(repo, target, installation, size=700 * MIB)
    parts = disks.partitions(target)
    assert [(part.number, part.facts["TYPE"], part.bootable) for part in parts] == [
        (1, "ext4", True), (2, "xfs", False), (3, "swap", False), (5, "ext4", False), (6, "ext4", False),
    ]  # fmt: skip
    assert len({part.facts["UUID"] for part in parts}) == 5
    assert parts[1].facts["LABEL"] == "top"
    disks.check_file_systems(target)
    with opened(target, tmp_path / "mnt", {2: "", 1: "boot"}) as (top, deployed):
        config = (top / "boot/loader/syslinux.cfg").read_text()
        assert f"APPEND root=UUID={outcome.root_uuid} rw console=hvc0 ostree=" in config
        kernel = next(line.split()[1] for line in config.splitlines() if "KERNEL" in line)
        assert (top / "boot" / kernel.lstrip("/")).exists()  # as the boot loader sees the partition
        etc = deployed / "etc"
        uuids = {part.number: part.facts["UUID"] for part in parts}
        assert (etc / "fstab").read_text().splitlines() == [
            "# of the image",
            f"UUID={uuids[1]} /boot ext4 defaults 0 2",
            f"UUID={uuids[3]} none swap defaults 0 0",
            f"UUID={uuids[5]} /var ext4 noatime 0 2",
            f"UUID={uuids[6]} /var/home ext4 defaults 0 2",
        ]
        assert (etc / "passwd").read_text() == PASSWD + "kim:x:1000:1000::/var/home/kim:/bin/sh\n"
        assert (etc / "group").read_text() == "root:x:0:\nteam:x:2000:kim\nkim:x:1000:\naudio:x:29:kim\n"
        assert (etc / "shadow").read_text().startswith("root:$6$salt$hash:19675:0:99999:7:::\n")
        assert (etc / "shadow").read_text().endswith("kim:*:19675:0:99999:7:::\n")
        assert os.readlink(etc / "localtime") == "../usr/share/zoneinfo/Europe/Oslo"
        texts = {name: (etc / name).read_text() for name in ("hostname", "locale.conf", "vconsole.conf")}
        assert texts == {
            "hostname": "oak.example.com\n", "locale.conf": "LANG=nb_NO.UTF-8\n", "vconsole.conf": "KEYMAP=no\n",
        }  # fmt: skip
        repository = top / "ostree/repo"
        assert "url=http://example.com/repo\ngpg-verify=false" in (repository / "config").read_text()
        assert (repository / "refs/remotes/site/other/branch").read_text().strip() == outcome.commit
        origin = deployed.parent / f"{deployed.name}.origin"
        assert "refspec=site:other/branch" in origin.read_text()
        assert deployed.parent.parent.name == "oak"
    with disks.mounted(target, tmp_path / "mnt", {5: ""}) as var:
        assert {"lib", "log", "tmp", "home", "roothome"} <= set(os.listdir(var))  # libostree's and ours
        assert os.listdir(var / "home") == []
        assert stat.S_IMODE((var / "roothome").stat().st_mode) == 0o700
        _check_keys(var / "roothome", 0, "ssh-rsa AAAA\n")
    with disks.mounted(target, tmp_path / "mnt", {6: ""}) as home:
        assert (home / "kim/.profile").read_text() == "# hello\n"
        assert (home / "kim/.profile").stat().st_uid == 1000
        assert stat.S_IMODE((home / "kim").stat().st_mode) == 0o700
        _check_keys(home / "kim", 1000, "ssh-ed25519 BBBB\nssh-ed25519 CCCC\n")
    _check_nothing_left(tmp_path)


def _check_keys(home: Path, uid: int, text: str) -> None:
    for path, mode in ((home / ".ssh", 0o700), (home / ".ssh/authorized_keys", 0o600)):
        found = path.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (uid, uid, mode)
    assert (home / ".ssh/authorized_keys").read_text() == text


def test_names_are_the_same_in_each_run(repo: Path, tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    make(repo, one)
    make(repo, two)
    make(repo, other, source_date_epoch=5)
    facts = [(disks.disk_id(disk), disks.partitions(disk)) for disk in (one, two, other)]
    assert facts[0] == facts[1]
    assert facts[0][0] != facts[2][0]
    assert facts[0][1][0].facts["UUID"] != facts[2][1][0].facts["UUID"]
    listings = []
    for disk in (one, two):
        with disks.mounted(disk, tmp_path / "mnt", {1: ""}) as top:
            command = ["find", ".", "-printf", "%P %y %m %U %G %s %l\\n"]
            listings.append(
                sorted(subprocess.run(command, cwd=top, check=True, capture_output=True).stdout.split(b"\n"))
            )
    assert listings[0] == listings[1]


def test_a_qcow2_image(repo: Path, tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not here")
    target = tmp_path / "disk.qcow2"
    make(repo, target, format="qcow2")
    assert target.read_bytes()[:4] == b"QFI\xfb"
    raw = tmp_path / "disk.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(target), str(raw)], check=True)
    disks.check_file_systems(raw)
    assert raw.stat().st_size == SIZE
    _check_nothing_left(tmp_path)


def test_a_disk_that_is_there_is_replaced_at_once(repo: Path, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    target.write_text("older")
    with pytest.raises(ConfigError):
        make(repo, target, Installation(timezone="Nowhere/Atall"))
    assert target.read_text() == "older"
    _check_nothing_left(tmp_path)
    make(repo, target, Installation(timezone="Europe/Oslo"))
    assert disks.partitions(target)


@pytest.mark.parametrize(
    ("installation", "error"),
    [
        (Installation(timezone="../../etc/passwd"), ConfigError),
        (Installation(users=(Account("daemon"),)), ConfigError),
        (Installation(users=(Account("kim", home="/usr/kim"),)), ConfigError),
        (Installation(users=(Account("kim", home="/var/../usr/kim"),)), ConfigError),
        (Installation(selinux="enforcing"), ConfigError),
        (Installation(partitions=(Partition("/usr", size=10),)), ConfigError),
        (Installation(kernel_arguments=("a b",)), UsageError),
        (Installation(source=Source("http://x/", REF, "site", "../x")), UsageError),
        (Installation(source=Source("http://x/", REF, "..", "x")), UsageError),
    ],
)
def test_what_is_refused_leaves_nothing(
    repo: Path, tmp_path: Path, installation: Installation, error: type[ToolError]
) -> None:
    with pytest.raises(error):
        make(repo, tmp_path / "disk.raw", installation)
    assert list(tmp_path.iterdir()) == []
    assert disks.loop_devices(tmp_path) == []


def test_there_must_be_room(repo: Path, tmp_path: Path) -> None:
    """The smallest disk that is accepted holds the commit; one MiB less is refused before anything is written."""
    big = tmp_path / "big"
    create(big, "bare")
    content: dict[str, str | bytes] = {f"usr/share/{n}": random.Random(n).randbytes(3_000_000) for n in range(20)}
    commit_tree(big, REF, files=content)

    def fits(mib: int) -> bool:
        target = tmp_path / "disk.raw"
        try:
            make(big, target, size=mib * MIB)
        except StoreError as error:
            refused.append(error.message)
            assert not target.exists()
            assert not list(tmp_path.glob(".disk*"))
            return False
        disks.check_file_systems(target)
        target.unlink()
        return True

    refused: list[str] = []
    low, high = 17, 400
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    assert 60 < high < 120  # 57 MiB of files
    assert refused
    assert all("MiB are needed" in message for message in refused)  # and none of them by a full disk


@pytest.mark.parametrize(
    ("filesystem", "mib"), [("ext4", 40), ("ext4", 200), ("ext4", 3000), ("xfs", 320), ("xfs", 3000)]
)
def test_what_fits_is_not_less_than_was_thought(tmp_path: Path, filesystem: str, mib: int) -> None:
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate((mib + 10) * MIB)
    slot = lay_out((Partition("/boot", size=20), Partition("/", filesystem, size=mib - 20)), (mib + 10) * MIB).root  # type: ignore[arg-type]
    mounts.enter_private_namespace()
    with image.loop_device(disk, slot.offset, slot.size) as device:
        image.make_file_system(device, slot, "5b2b8f46-6a77-4f3e-8f0a-111111111111", 0)
        where = tmp_path / "mnt"
        where.mkdir()
        with image.mounted_at(device, slot, where):
            found = os.statvfs(where)
            assert usable(slot) <= found.f_bfree * found.f_frsize


def test_a_branch_that_is_not_there(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no-such"):
        make_disk(DiskOptions(repo, "no-such", tmp_path / "x", size=SIZE), Installation(), Said())
    assert list(tmp_path.iterdir()) == []


def test_labels(tmp_path: Path) -> None:
    """What is written is labelled by the policy of the image, that was there as well."""
    made = tmp_path / "labelled"
    create(made, "bare")
    packaged = policy(aliases=None).files
    files = {f"usr{path}" if path.startswith("/etc/") else path.strip("/"): it.content for path, it in packaged.items()}
    commit_tree(made, REF, files={**files, "usr/etc/passwd": PASSWD}, links={"home": "var/home"})
    installation = Installation(users=(Account("kim", keys=("ssh-rsa A",)),), hostname="oak", selinux="permissive")
    target = tmp_path / "disk.raw"
    make(made, target, installation)
    with opened(target, tmp_path / "mnt") as (top, deployed):
        assert "SELINUX=permissive\nSELINUXTYPE=stone" in (deployed / "etc/selinux/config").read_text()
        var = top / "ostree/deploy/granite/var"
        paths = {"passwd_file_t": deployed / "etc/passwd", "etc_t": deployed / "etc/hostname", "var_t": var / "lib",
                 "home_dir_t": var / "home/kim"}  # fmt: skip
        found = {name: os.getxattr(path, ATTRIBUTE).decode().split(":")[2] for name, path in paths.items()}
        assert found == {name: name for name in paths}


def test_keys_of_the_remote(repo: Path, tmp_path: Path) -> None:
    key = Key.generate("Site <site@localhost>")
    (tmp_path / "key").write_text(key.public_key())
    source = Source("http://x/", REF, "site", "oak")
    target = tmp_path / "disk.raw"
    with pytest.raises(ConfigError):
        make(repo, target, Installation(source=source), gpg_keys=(tmp_path / "no-such",))
    assert not target.exists()
    make(repo, target, Installation(source=source), gpg_keys=(tmp_path / "key",))
    with opened(target, tmp_path / "mnt") as (top, _):
        config = (top / "ostree/repo/config").read_text()
        assert "gpg-verify=true" in config
        assert (top / "ostree/repo/site.trustedkeys.gpg").stat().st_size > 100


def test_one_at_a_time(repo: Path, tmp_path: Path) -> None:
    target = tmp_path / "disk.raw"
    with image.work_file(target, "new"), pytest.raises(BusyError):
        make(repo, target)
    make(repo, target)


# -- a whole disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A loop device that stands for a disk of the machine."""
    file = tmp_path / "backing"
    with file.open("wb") as made:
        made.truncate(SIZE)
    with image.loop_device(file) as path:
        yield path


def test_a_disk_is_overwritten(repo: Path, tmp_path: Path, device: Path) -> None:
    subprocess.run(["mke2fs", "-q", "-F", str(device)], check=True)
    make(repo, device, erase=True)
    assert [part.facts["TYPE"] for part in disks.partitions(tmp_path / "backing")] == ["ext4"]
    disks.check_file_systems(tmp_path / "backing")


def test_a_disk_in_use_is_left_alone(repo: Path, tmp_path: Path, device: Path) -> None:
    subprocess.run(["mke2fs", "-q", "-F", str(device)], check=True)
    before = (tmp_path / "backing").read_bytes()
    mounts.enter_private_namespace()
    where = tmp_path / "mnt"
    where.mkdir()
    with (
        mounts.filesystem(device, where, "ext2", writable=False),
        pytest.raises(ToolError, match="in use"),
    ):
        make(repo, device, erase=True)
    assert (tmp_path / "backing").read_bytes() == before


def test_what_is_no_disk_is_refused(repo: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"precious")
    with pytest.raises(ToolError, match="not a block device"):
        make(repo, file, erase=True)
    with pytest.raises(ToolError):
        make(repo, tmp_path / "missing", erase=True)
    with pytest.raises(ToolError):
        make(repo, Path("/dev/null"), erase=True)
    assert file.read_bytes() == b"precious"


def test_a_small_disk_is_not_touched(repo: Path, tmp_path: Path, device: Path) -> None:
    subprocess.run(["mke2fs", "-q", "-F", str(device)], check=True)
    before = (tmp_path / "backing").read_bytes()
    with pytest.raises(StoreError, match="too small"):
        make(repo, device, Installation(partitions=(Partition("/", size=1024),)), erase=True)
    assert (tmp_path / "backing").read_bytes() == before


def test_a_device_needs_the_option(repo: Path, device: Path) -> None:
    argv = [str(COMPOSE), "disk", f"--repo={repo}", f"--ref={REF}", "-o", str(device)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--erase-device" in done.stderr
