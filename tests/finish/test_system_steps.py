# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps that make an installed system into an image: accounts, /var, the top level."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rpmtree import command
from rpmtree.errors import ToolError
from rpmtree.finish import (
    autovar,
    check_accounts,
    integration,
    leftovers,
    lookup,
    machine_id,
    passwd,
    shadow,
    skeleton,
    tmpfiles,
    useradd,
    userdb,
    var,
    var_state,
)
from rpmtree.root.accounts import parse_group, parse_passwd
from rpmtree.root.spec import AccountsCheck, FinishSpec, OptUsrLocal
from tests.finish.golden import check, run
from tests.support.trees import plant

CONTAINER = FinishSpec(container=True)

ACCOUNTS = """
etc/passwd
| root:x:0:0:root:/root:/bin/bash
| daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
| messagebus:x:100:101::/nonexistent:
etc/group
| root:x:0:
| daemon:x:1:
| sudo:x:27:daemon,messagebus
| messagebus:x:101:
"""
IN_USR = """
usr/lib/passwd
| daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
| messagebus:x:100:101::/nonexistent:
usr/lib/group
| daemon:x:1:
| sudo:x:27:daemon,messagebus
| messagebus:x:101:
etc/passwd
| root:x:0:0:root:/root:/bin/bash
etc/group
| root:x:0:
| sudo:x:27:daemon,messagebus
"""
SUDO = FinishSpec(etc_group_members=("sudo",))


def test_accounts_with_altfiles(tmp_path: Path) -> None:
    library = "usr/lib64/libnss_altfiles.so.2\n"
    before = f"{library}{ACCOUNTS}\netc/nsswitch.conf\n| passwd: files systemd\n| group: files [SUCCESS=merge] systemd"
    after = f"""{library}{IN_USR}
    etc/nsswitch.conf
    | passwd: files altfiles systemd
    | group: files altfiles [SUCCESS=merge] systemd
    """.replace("files altfiles [", "files [SUCCESS=merge] altfiles [")
    assert check(tmp_path, passwd.apply, before, after, SUDO).warnings == []


def test_accounts_with_userdb(tmp_path: Path) -> None:
    library = "usr/lib/x86_64-linux-gnu/libnss_systemd.so.2\n"
    before = f"{library}{ACCOUNTS}\netc/nsswitch.conf\n| passwd: files"
    daemon = r'"{\"userName\": \"daemon\", \"uid\": 1, \"gid\": 1, \"realName\": \"daemon\", \"homeDirectory\": '
    daemon += r'\"/usr/sbin\", \"shell\": \"/usr/sbin/nologin\"}\n"'
    bus = r'"{\"userName\": \"messagebus\", \"uid\": 100, \"gid\": 101, \"homeDirectory\": \"/nonexistent\", '
    bus += r'\"shell\": \"/bin/sh\"}\n"'
    after = rf"""{library}{IN_USR}
    etc/nsswitch.conf
    | passwd: files systemd
    | group: files systemd
    usr/lib/userdb/daemon.user {daemon}
    usr/lib/userdb/messagebus.user {bus}
    usr/lib/userdb/1.user -> daemon.user
    usr/lib/userdb/100.user -> messagebus.user
    usr/lib/userdb/daemon.group "{{\"groupName\": \"daemon\", \"gid\": 1}}\n"
    usr/lib/userdb/sudo.group "{{\"groupName\": \"sudo\", \"gid\": 27}}\n"
    usr/lib/userdb/messagebus.group "{{\"groupName\": \"messagebus\", \"gid\": 101}}\n"
    usr/lib/userdb/1.group -> daemon.group
    usr/lib/userdb/27.group -> sudo.group
    usr/lib/userdb/101.group -> messagebus.group
    usr/lib/userdb/daemon:sudo.membership "{{}}\n"
    usr/lib/userdb/messagebus:sudo.membership "{{}}\n"
    """
    check(tmp_path, passwd.apply, before, after, SUDO)


def test_accounts_without_a_library_stay(tmp_path: Path) -> None:
    said = check(tmp_path, passwd.apply, f"{ACCOUNTS}\nusr/lib/", f"{ACCOUNTS}\nusr/lib/", SUDO)
    assert len(said.warnings) == 1
    assert (
        check(tmp_path / "c", passwd.apply, f"{ACCOUNTS}\nusr/lib/", f"{ACCOUNTS}\nusr/lib/", CONTAINER).warnings == []
    )


def test_accounts_of_a_base_are_kept_and_new_ones_join_them(tmp_path: Path) -> None:
    library = "usr/lib64/libnss_altfiles.so.2\nusr/lib64/libnss_systemd.so.2\n"
    before = f"{library}usr/lib/passwd\n| a:x:1:1::/:/x\netc/passwd\n| root:x:0:0::/:/x\n| b:x:2:2::/:/x"
    found, _ = run(tmp_path, passwd.apply, before)
    assert "usr/lib/passwd\n| a:x:1:1::/:/x\n| b:x:2:2::/:/x\n" in found
    assert "etc/passwd\n| root:x:0:0::/:/x\n" in found
    assert "| group: files altfiles\n" in found


def test_names_that_userdb_cannot_hold_stay_in_etc(tmp_path: Path) -> None:
    library = "usr/lib64/libnss_systemd.so.2\n"
    before = f"{library}etc/passwd\n| a/../b:x:5:5::/:/x\n| ok:x:6:6::/:/x\netc/group\n| {'g' * 40}:x:7:"
    found, _ = run(tmp_path, passwd.apply, before)
    assert "etc/passwd\n| a/../b:x:5:5::/:/x\n" in found
    assert f"etc/group\n| {'g' * 40}:x:7:\n" in found
    assert "usr/lib/passwd\n| ok:x:6:6::/:/x\n" in found


def test_accounts_that_systemd_makes_up_stay_in_etc(tmp_path: Path) -> None:
    """systemd-sysusers would make them again, and fail over their lines in shadow and gshadow."""
    accounts = "etc/passwd\n| nobody:x:65534:65534::/:/x\n| b:x:2:2::/:/x\netc/group\n| nogroup:x:65534:"
    found, _ = run(tmp_path, passwd.apply, f"usr/lib64/libnss_systemd.so.2\n{accounts}")
    assert "etc/passwd\n| nobody:x:65534:65534::/:/x\n" in found
    assert "etc/group\n| nogroup:x:65534:\n" in found
    assert "usr/lib/passwd\n| b:x:2:2::/:/x\n" in found
    found, _ = run(tmp_path / "other", passwd.apply, f"usr/lib64/libnss_altfiles.so.2\n{accounts}")
    assert "usr/lib/passwd\n| nobody:x:65534:65534::/:/x\n| b:x:2:2::/:/x\n" in found  # where they are found


def test_a_damaged_passwd_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="line 2"):
        run(tmp_path, passwd.apply, "usr/lib64/libnss_altfiles.so.2\netc/passwd\n| root:x:0:0::/:/x\n| junk")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("passwd: files\ngroup:files sss # why", "passwd: files new\ngroup:files new sss # why"),
        ("passwd: sss files\ngroup: sss", "passwd: sss files new\ngroup: sss new"),
        ("passwd: files new\ngroup: new files", "passwd: files new\ngroup: new files"),
        ("hosts: files dns\n", "hosts: files dns\npasswd: files new\ngroup: files new"),
        ("#passwd: files", "#passwd: files\npasswd: files new\ngroup: files new"),
        (
            "passwd:\ngroup: files [!UNAVAIL=return] x",
            "passwd:new\ngroup: files [!UNAVAIL=return] new [!UNAVAIL=return] x",
        ),
        ("", "passwd: files new\ngroup: files new"),
    ],
)
def test_nsswitch(before: str, after: str) -> None:
    assert lookup.with_service(before, "new") == after + "\n"


def test_nsswitch_behind_a_link(tmp_path: Path) -> None:
    before = "usr/lib64/libnss_altfiles.so.2\netc/passwd\n| a:x:1:1::/:/x"
    before += "\netc/nsswitch.conf -> /etc/authselect/nsswitch.conf"
    found, _ = run(tmp_path, passwd.apply, f"{before}\netc/authselect/nsswitch.conf\n| passwd: files")
    assert "etc/nsswitch.conf -> /etc/authselect/nsswitch.conf\n" in found
    assert "etc/authselect/nsswitch.conf\n| passwd: files altfiles\n" in found


@pytest.mark.needs("bwrap", "root", "getent")
def test_libc_finds_the_records(tmp_path: Path) -> None:
    """The host's own nss-systemd reads what we write: by name, by number, and as members of groups."""
    if not list(Path("/usr/lib").glob("*/libnss_systemd.so.2")):
        pytest.skip("the host has no nss-systemd")
    users = parse_passwd("strata1:x:61001:61002:Some One,,,:/var/lib/x:/usr/sbin/nologin\nstrata2:x:61003:61003:::")
    groups = parse_group("strata1:x:61002:\nstratag:x:61004:strata1,root\nstrata2:x:61003:")
    records = userdb.records(users, groups)
    text = "\n".join(f"userdb/{name} {json.dumps(content)}" for name, content in records.files.items())
    text += "".join(f"\nuserdb/{name} -> {target}" for name, target in records.links.items())
    plant(tmp_path, f"{text}\nnsswitch\n| passwd: files systemd\n| group: files systemd")
    sandbox = ["bwrap", "--ro-bind", "/", "/", "--tmpfs", "/run", "--ro-bind", str(tmp_path / "userdb"), "/run/userdb"]
    sandbox += ["--ro-bind", str(tmp_path / "nsswitch"), "/etc/nsswitch.conf"]

    def ask(*argv: str) -> str:
        return command.run([*sandbox, *argv], check=False).stdout.decode().strip()

    assert ask("getent", "passwd", "strata1") == "strata1:x:61001:61002:Some One,,,:/var/lib/x:/usr/sbin/nologin"
    assert ask("getent", "passwd", "61003") == "strata2:x:61003:61003:strata2:/:/bin/sh"
    assert ask("getent", "group", "61004") == "stratag:x:61004:root,strata1"
    assert ask("id", "strata1") == "uid=61001(strata1) gid=61002(strata1) groups=61002(strata1),61004(stratag)"
    assert ask("getent", "passwd", "strata3") == ""


def test_shadow(tmp_path: Path) -> None:
    before = """
    etc/shadow 0640 0:42
    | root:*:19000:0:99999:7:::
    | daemon:!*:19000:0:99999:7:::
    | late:$y$x:19500:0:99999:7:::
    | early:$y$x:100:0:99999:7:::
    | open::19500::::::
    | odd
    etc/gshadow 0640 0:42 "root:*::\\n"
    etc/passwd "root:x:0:0::/:/bin/sh\\n"
    usr/lib/passwd "daemon:x:1:1::/:/bin/sh\\nseeded:x:70:70::/:/bin/false\\n"
    usr/lib/group "seeded:x:70:daemon\\n"
    """
    after = """
    etc/shadow 0000
    | root:*::0:99999:7:::
    | daemon:!*::0:99999:7:::
    | late:$y$x:19000:0:99999:7:::
    | early:$y$x:100:0:99999:7:::
    | open::19000::::::
    | odd
    | seeded:!:::::::
    etc/gshadow 0000 "root:*::\\nseeded:!::daemon\\n"
    etc/passwd "root:x:0:0::/:/bin/sh\\n"
    usr/lib/passwd "daemon:x:1:1::/:/bin/sh\\nseeded:x:70:70::/:/bin/false\\n"
    usr/lib/group "seeded:x:70:daemon\\n"
    """
    check(tmp_path, shadow.apply, before, after, FinishSpec(source_date_epoch=19000 * 86400 + 5))


def test_shadow_without_an_epoch_never_asks_for_a_new_password() -> None:
    assert shadow.reproducible("a:$y$x:19500:0:\n", 0) == "a:$y$x::0:\n"


def test_useradd(tmp_path: Path) -> None:
    before = "etc/default/useradd\n| SHELL=/bin/sh\n| HOME=/home\n| # HOME=/home"
    after = "etc/default/useradd\n| SHELL=/bin/sh\n| HOME=/var/home\n| # HOME=/home"
    check(tmp_path / "a", useradd.apply, before, after)
    check(tmp_path / "b", useradd.apply, before, before, CONTAINER)
    check(tmp_path / "c", useradd.apply, "etc/", "etc/")


def test_machine_id(tmp_path: Path) -> None:
    before = 'etc/machine-id 0444 "0123\\n"'
    check(tmp_path / "a", machine_id.apply, before, "etc/machine-id 0444")
    check(tmp_path / "b", machine_id.apply, "etc/", "etc/machine-id 0444")
    check(tmp_path / "c", machine_id.apply, before, "etc/", FinishSpec(machineid_compat=False))


def test_leftovers(tmp_path: Path) -> None:
    before = "\n".join([*leftovers.PATHS, "etc/passwd", "var/cache/ldconfig/keep"])
    check(tmp_path, leftovers.apply, before, "etc/passwd\nvar/cache/ldconfig/keep\nvar/log/")


def test_var_state(tmp_path: Path) -> None:
    before = "var/lib/alternatives/ 0700\nvar/lib/alternatives/editor 0:3\nvar/lib/x/\nusr/lib/alternatives/pager"
    after = """
    usr/lib/alternatives/editor 0:3
    usr/lib/alternatives/pager
    usr/lib/tmpfiles.d/rpm-ostree-0-state.conf
    | L /var/lib/alternatives - - - - ../../usr/lib/alternatives
    var/lib/x/
    """
    check(tmp_path, var_state.apply, before, after)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("d /var/lib/x 0755 root root -", "/var/lib/x"),
        ("  d!  /var/run/x/ - - -", "/run/x"),
        ('L+ "/opt/a\\x20b" - - - - t', "/opt/a b"),
        ("f '/var/a \\'", "/var/a \\"),
        ("# d /var/x", None),
        ("z /var/x 0755", None),
        ("r! /var/x", None),
        ("", None),
        ("d", None),
    ],
)
def test_tmpfiles_path(line: str, path: str | None) -> None:
    assert tmpfiles.defined_path(line) == path


def test_autovar(tmp_path: Path) -> None:
    before = """
    usr/lib/rpm-ostree/tmpfiles.d/a.conf
    | d /var/lib/shared 0755 root root - -
    | d /var/lib/own 0700 a a - -
    | L /opt/x - - - - ../../usr/lib/opt/x
    usr/lib/rpm-ostree/tmpfiles.d/b.conf
    | d /var/lib/shared 0700 b b - -
    | d /var/cache/b 0755 root root - -
    | d /run/known 0755 root root - -
    usr/lib/tmpfiles.d/rpm-ostree-autovar.conf "d /var/lib/stale - - - - -\\n"
    usr/lib/tmpfiles.d/b.conf
    | D /var/run/known 0755 b b -
    | x /var/cache/b
    """
    after = before.replace('"d /var/lib/stale - - - - -\\n"', "") + ""
    merged = """
    | # Made from the packages of this image.
    | L /opt/x - - - - ../../usr/lib/opt/x
    | d /var/cache/b 0755 root root - -
    | d /var/lib/own 0700 a a - -
    | d /var/lib/shared 0755 root root - -
    """
    after = after.replace("rpm-ostree-autovar.conf ", f"rpm-ostree-autovar.conf{merged}")
    check(tmp_path / "a", autovar.apply, before, after)
    without_opt = after.replace("| # Made from the packages of this image.\n    | L /opt/x", "| #OPT /opt/x")
    without_opt = without_opt.replace(
        "| #OPT /opt/x - - - - ../../usr/lib/opt/x", "| # Made from the packages of this image."
    )
    check(tmp_path / "b", autovar.apply, before, without_opt, FinishSpec(opt_usrlocal=OptUsrLocal.ROOT))


def test_autovar_with_nothing_to_say(tmp_path: Path) -> None:
    check(tmp_path, autovar.apply, "usr/lib/tmpfiles.d/rpm-ostree-autovar.conf", "usr/lib/tmpfiles.d/")


@pytest.mark.parametrize("mode", list(OptUsrLocal))
def test_integration(tmp_path: Path, mode: OptUsrLocal) -> None:
    stale = "usr/lib/tmpfiles.d/rpm-ostree-0-integration-opt-usrlocal"
    found, _ = run(
        tmp_path, integration.apply, f"{stale}.conf\n{stale}-compat.conf\netc/selinux/", FinishSpec(opt_usrlocal=mode)
    )
    assert (f"{stale}.conf\n" in found) == (mode is OptUsrLocal.VAR)
    assert (f"{stale}-compat.conf\n" in found) == (mode is not OptUsrLocal.VAR)
    assert ("| d /var/usrlocal/bin 0755 root root -\n" in found) == (mode is OptUsrLocal.VAR)
    for line in (
        "d /var/roothome 0700 root root -",
        "L /var/lib/rpm - - - - ../../usr/share/rpm",
        "L /var/lib/selinux",
    ):
        assert f"| {line}" in found
    again = check(tmp_path, integration.apply, "", found, FinishSpec(opt_usrlocal=mode))
    assert again.warnings == []


def test_var(tmp_path: Path) -> None:
    before = """
    usr/lib/tmpfiles.d/a.conf
    | d /var/lib/known 0755 root root -
    usr/lib/rpm-ostree/tmpfiles.d/b.conf
    | d /var/lib/packaged 0755 root root - -
    var/ 0700
    var/tmp/
    var/lib/known/
    var/lib/packaged/
    var/lib/made/
    var/log/x.log "lost"
    var/run -> /run
    """
    after = "\n".join([*before.splitlines()[:5], "var/ 0700"])
    said = check(tmp_path, var.apply, before, after)
    assert said.warnings == ["left in /var by scripts, and not part of the image: /var/lib/made, /var/log/x.log"]
    check(tmp_path / "container", var.apply, before, before, CONTAINER)


def test_var_is_made_if_missing_or_a_link(tmp_path: Path) -> None:
    assert check(tmp_path / "a", var.apply, "usr/", "usr/\nvar/").warnings == []
    check(tmp_path / "b", var.apply, "usr/\nvar -> usr", "usr/\nvar/")


TOP = """
bin -> usr/bin
boot/
dev/
etc/passwd
home -> var/home
media -> run/media
mnt -> var/mnt
opt -> var/opt
ostree -> sysroot/ostree
proc/
root -> var/roothome
run/
srv -> var/srv
sys/
sysroot/
tmp -> sysroot/tmp
usr/bin/sh
usr/local -> ../var/usrlocal
var/
"""


def test_skeleton(tmp_path: Path) -> None:
    before = """
    bin -> usr/bin
    boot/grub/x
    dev/null "x"
    etc/passwd
    home/
    nix/store/path
    opt/vendor/tool
    root/.bashrc
    run/lock/x
    tmp/x
    usr/bin/sh
    usr/local/bin/tool
    usr/local/share/man/
    var/
    """
    said = check(tmp_path, skeleton.apply, before, TOP)
    assert len(said.warnings) == 1
    for path in ("/boot/grub/x", "/nix/store/path", "/opt/vendor/tool", "/root/.bashrc", "/usr/local/bin/tool"):
        assert path in said.warnings[0]
    for path in ("/dev", "/run", "/tmp", "/home", "man"):
        assert path not in said.warnings[0]


def test_skeleton_leaves_a_finished_tree_as_it_is(tmp_path: Path) -> None:
    assert check(tmp_path, skeleton.apply, TOP, TOP).warnings == []


def test_skeleton_with_tmp_as_a_directory(tmp_path: Path) -> None:
    after = TOP.replace("tmp -> sysroot/tmp", "tmp/ 1777")
    check(tmp_path / "a", skeleton.apply, TOP, after, FinishSpec(tmp_is_dir=True))
    check(tmp_path / "b", skeleton.apply, after, TOP)


def test_skeleton_opt_and_usr_local_in_the_image(tmp_path: Path) -> None:
    before = TOP.replace("opt -> var/opt", "opt/tool").replace("usr/local -> ../var/usrlocal", "usr/local/bin/tool")
    root_spec = FinishSpec(opt_usrlocal=OptUsrLocal.ROOT)
    check(tmp_path / "kept", skeleton.apply, before, before, root_spec)
    empty = TOP.replace("opt -> var/opt", "opt/").replace("usr/local -> ../var/usrlocal", "usr/local/")
    check(tmp_path / "empty", skeleton.apply, TOP, empty, root_spec)
    linked = empty.replace("opt/", "opt -> usr/lib/opt\nusr/lib/opt/tool")
    check(tmp_path / "moved", skeleton.apply, f"{TOP}\nusr/lib/opt/tool", linked, root_spec)
    overlay = empty.replace("opt/", "opt -> usr/lib/opt\nusr/lib/opt/")
    check(
        tmp_path / "overlay", skeleton.apply, TOP, overlay, replace(root_spec, opt_usrlocal=OptUsrLocal.STATE_OVERLAY)
    )


def test_skeleton_leaves_a_container_alone(tmp_path: Path) -> None:
    check(tmp_path, skeleton.apply, "nix/x\nusr/local/x\ntmp/", "nix/x\nusr/local/x\ntmp/", CONTAINER)


CHECKED = "etc/passwd\n| root:x:0:0::/:/x\nusr/lib/passwd\n| a:x:5:6::/:/x\nusr/lib/group\n| a:x:6:\n"


@pytest.mark.parametrize(
    ("reference", "ignored", "problems"),
    [
        ({"root": (0, 0), "a": (5, 6)}, (), []),
        ({"a": (5, None)}, (), []),
        (None, (), []),
        ({"a": (4, 7)}, (), ["a: uid was 4 and is 5", "a: gid was 7 and is 6"]),
        ({"b": (1, 1), "c": (2, 2)}, ("b",), ["c is gone"]),
        ({"b": (1, 1), "a": (4, 6)}, ("*",), ["a: uid was 4 and is 5"]),
    ],
)
def test_check_passwd(tmp_path: Path, reference, ignored, problems) -> None:
    spec = FinishSpec(check_passwd=AccountsCheck(reference, frozenset(ignored)))
    if not problems:
        check(tmp_path, check_accounts.apply, CHECKED, CHECKED, spec)
        return
    with pytest.raises(ToolError) as caught:
        run(tmp_path, check_accounts.apply, CHECKED, spec)
    assert (caught.value.detail or "").splitlines() == problems


def test_check_groups(tmp_path: Path) -> None:
    def spec(gid: int) -> FinishSpec:
        return FinishSpec(check_groups=AccountsCheck({"a": (gid,)}))

    check(tmp_path / "same", check_accounts.apply, CHECKED, CHECKED, spec(6))
    with pytest.raises(ToolError):
        run(tmp_path / "other", check_accounts.apply, CHECKED, spec(7))
    check(tmp_path / "container", check_accounts.apply, CHECKED, CHECKED, replace(spec(7), container=True))
