# SPDX-License-Identifier: GPL-2.0-or-later
"""Scripts of packages run for real: what they get, what they leave, how they fail."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rpmtree.errors import ScriptletError, ToolError
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.scriptlets import ScriptReport, run_package_scripts
from rpmtree.root.spec import ScriptPolicy, VarPolicy
from rpmtree.rpm.database import write_database
from rpmtree.rpm.package import SCRIPT_EXPAND, Package, Scriptlet
from tests.support import rpms
from tests.support.scriptvalues import LUA, SH, file, package, trigger


class Listener(Reporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def run(
    root: Root, *packages: Package, policy: ScriptPolicy | None = None, listener: Reporter | None = None
) -> ScriptReport:
    return run_package_scripts(root, packages, policy or ScriptPolicy(), listener or Reporter())


def test_order_arguments_and_input(small_root: Root) -> None:
    say = 'echo {} "$@" "$(cat)" >>/etc/log'
    first = package(
        "first",
        files=[file("/usr/lib/a.so")],
        triggers=[
            trigger("triggerin", "second", body=say.format("first-triggerin")),
            trigger("transfiletriggerin", "/usr/lib/", body=say.format("first-trans")),
        ],
        pre=say.format("first-pre"),
        post=say.format("first-post"),
        posttrans=say.format("first-posttrans"),
        preun="echo never >>/etc/log",
    )
    second = package(
        "second", files=[file("/usr/lib/b.so")], pretrans=say.format("second-pretrans"), post=say.format("second-post")
    )
    report = run(small_root, first, second)
    assert small_root.read_text("etc/log").splitlines() == [
        "second-pretrans 1 ",
        "first-pre 1 ",
        "first-post 1 ",
        "second-post 1 ",
        "first-triggerin 1 1 ",
        "first-posttrans 1 ",
        "first-trans 0 /usr/lib/a.so",
        "/usr/lib/b.so",
    ]
    assert [timing.phase for timing in report.timings] == [
        "pretrans", "pre", "post", "post", "triggerin", "posttrans", "transfiletriggerin",
    ]  # fmt: skip


def test_environment_is_clean_and_prefixes_are_given(small_root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "x")
    body = "export -p >/etc/env; pwd >/etc/cwd; umask >/etc/umask; echo $0 >/etc/name; test -f /run/ostree-booted"
    run(small_root, package("p", post=body, prefixes=("/opt/p",)), policy=ScriptPolicy(source_date_epoch=7))
    names = {line.split()[1].split("=")[0] for line in small_root.read_text("etc/env").splitlines()}
    assert names == {
        "HOME", "LANG", "PATH", "PWD", "SOURCE_DATE_EPOCH", "SYSTEMD_OFFLINE",
        "RPM_INSTALL_PREFIX", "RPM_INSTALL_PREFIX0",
    }  # fmt: skip
    assert "SOURCE_DATE_EPOCH='7'" in small_root.read_text("etc/env")
    assert small_root.read_text("etc/cwd") == "/\n"
    assert small_root.read_text("etc/umask") == "0022\n"
    assert small_root.read_text("etc/name") == "/run/strata/scripts/p.post\n"


def test_interpreter_with_options_and_without_a_body(small_root: Root) -> None:
    scripts = [
        Scriptlet("pre", ("/bin/sh", "-e"), "touch /etc/one; false; touch /etc/two"),
    ]
    with pytest.raises(ScriptletError):
        run(small_root, package("options", scripts=scripts))
    assert small_root.exists("etc/one")
    assert not small_root.exists("etc/two")
    run(small_root, package("alone", scripts=[Scriptlet("post", ("/usr/bin/touch", "/etc/three"), "")]))
    assert small_root.exists("etc/three")


@pytest.mark.parametrize("phase", ["pretrans", "pre", "post", "posttrans"])
def test_a_failing_script_names_package_phase_and_last_lines(small_root: Root, phase: str) -> None:
    run(small_root, package("good", **{phase: "echo fine"}))
    with pytest.raises(ScriptletError) as caught:
        run(small_root, package("bad", **{phase: "echo first; echo last words >&2; exit 3"}))
    assert (caught.value.package, caught.value.phase) == ("bad", phase)
    assert caught.value.detail == "first\nlast words"
    assert "status 3" in caught.value.message


@pytest.mark.parametrize("kind", ["triggerin", "filetriggerin", "transfiletriggerin"])
def test_a_failing_trigger_names_its_owner(small_root: Root, kind: str) -> None:
    name = "other" if kind == "triggerin" else "/usr/share/other"
    owner = package("owner", triggers=[trigger(kind, name, body="exit 1")])
    with pytest.raises(ScriptletError) as caught:
        run(small_root, owner, package("other", files=[file("/usr/share/other")]))
    assert (caught.value.package, caught.value.phase) == ("owner", kind)


def test_missing_interpreter_and_signal(small_root: Root) -> None:
    with pytest.raises(ScriptletError, match="/usr/bin/perl"):
        run(small_root, package("p", scripts=[Scriptlet("post", ("/usr/bin/perl",), "x")]))
    with pytest.raises(ScriptletError, match="SIGKILL"):
        run(small_root, package("p", post="kill -9 $$"))


def test_a_hang_ends_in_time(small_root: Root) -> None:
    started = time.monotonic()
    with pytest.raises(ScriptletError, match="longer than"):
        run(
            small_root, package("p", post="trap '' TERM; while :; do :; done"), policy=ScriptPolicy(timeout_seconds=0.3)
        )
    assert time.monotonic() - started < 3


def test_closing_the_output_is_no_way_out_of_the_time_limit(small_root: Root) -> None:
    with pytest.raises(ScriptletError, match="longer than"):
        run(small_root, package("p", post="exec >&- 2>&-; sleep 60"), policy=ScriptPolicy(timeout_seconds=0.3))


def test_endless_output_ends(small_root: Root) -> None:
    with pytest.raises(ScriptletError, match="printed more than 10 MiB"):
        run(small_root, package("p", post="exec cat /dev/zero"))


def test_lua_gets_what_librpm_gives(small_root: Root) -> None:
    lua_trigger = trigger("transfiletriggerin", "/usr/lib/")
    body = "local f = io.open('/etc/lua-files', 'w'); for p in rpm.next_file do f:write(p, ' ') end f:close()"
    lua_trigger = type(lua_trigger)(Scriptlet("transfiletriggerin", LUA, body), lua_trigger.conditions)
    post = """local f = io.open("/etc/lua", "w")
f:write(#arg, arg[1], math.type(arg[2]), arg[2], RPM_INSTALL_PREFIX[1], type(posix.stat), rpm.vercmp("1.0", "1.1"))
f:close()"""
    p = package(
        "p",
        files=[file("/usr/lib/a.so"), file("/usr/lib/b.so")],
        scripts=[Scriptlet("post", LUA, post)],
        triggers=[lua_trigger],
        prefixes=('/pre fix"',),
    )
    run(small_root, p)
    assert small_root.read_text("etc/lua") == '2<lua>integer1/pre fix"table-1'.replace("table", "function")
    assert small_root.read_text("etc/lua-files") == "/usr/lib/a.so /usr/lib/b.so "


def test_lua_failure_and_skip_mark(small_root: Root) -> None:
    with pytest.raises(ScriptletError) as caught:
        run(small_root, package("p", scripts=[Scriptlet("pretrans", LUA, "\nerror('no luck')")]))
    assert "]:2: no luck" in str(caught.value.detail)
    run(small_root, package("p", scripts=[Scriptlet("pretrans", LUA, "-- rpm-ostree-skip\nerror('no luck')")]))


def test_macros_are_expanded_inside_the_sandbox(small_root: Root, tmp_path: Path) -> None:
    outside = f"{tmp_path}/escaped"
    body = f'echo "%{{_install_langs}} %(touch {outside}; echo ran)" >/etc/expanded'
    policy = ScriptPolicy(expand_macros={"_install_langs": "de:en"})
    run(small_root, package("p", scripts=[Scriptlet("post", SH, body, SCRIPT_EXPAND)]), policy=policy)
    assert small_root.read_text("etc/expanded").startswith("de:en ")
    assert not os.path.exists(outside)


def test_writes_below_var_are_named(small_root: Root) -> None:
    noisy = package(
        "noisy", files=[file("/var/lib/own", 0o040750)], post="echo 1 >/var/lib/own/data; mkdir -p /var/cache/x"
    )
    quiet = package("quiet", post="echo 1 >/var/lib/quiet; echo 1 >/var/lib/rpm-state/x; echo 1 >/var/tmp/x")
    state = package("state", posttrans="test -f /var/lib/rpm-state/x && test ! -e /var/tmp/x")
    kept = package(
        "kept", pre="mkdir -m 0710 /var/lib/kept; chown daemon:daemon /var/lib/kept; ln -s /usr /var/l; touch /var/f"
    )
    listener = Listener()
    policy = ScriptPolicy(var={"quiet": VarPolicy.IGNORE, "kept": VarPolicy.TMPFILES})
    report = run(small_root, noisy, quiet, state, kept, policy=policy, listener=listener)
    assert sorted(text.split(" wrote")[0] for text in listener.warnings) == ["%post of noisy", "%pre of kept"]
    assert [(write.package, write.path) for write in report.var_writes] == [
        ("kept", "/var/f"), ("noisy", "/var/cache/x"), ("noisy", "/var/lib/own/data"), ("quiet", "/var/lib/quiet"),
    ]  # fmt: skip
    assert small_root.read_text("usr/lib/rpm-ostree/tmpfiles.d/kept.conf").splitlines() == [
        "L /var/l - - - - /usr",
        "d /var/lib/kept 0710 daemon daemon - -",
    ]
    assert small_root.listdir("var") == []


def test_owners_are_those_of_the_header(small_root: Root) -> None:
    small_root.write("usr/bin/tool", "x", 0o4755)
    p = package(
        "p",
        files=[
            file("/usr/bin/tool", 0o104755, "newuser", "daemon", "cap_net_raw=ep"),
            file("/usr/bin/missing", 0o100755, "newuser", "daemon"),
        ],
        pre="echo newuser:x:77:1::/:/bin/sh >>/etc/passwd",
        post="stat -c %u:%g:%a /usr/bin/tool >/etc/seen",
    )
    run(small_root, p)
    assert small_root.read_text("etc/seen") == "77:1:4755\n"
    assert os.getxattr(small_root.path / "usr/bin/tool", "security.capability")[4:8] == (1 << 13).to_bytes(4, "little")
    with pytest.raises(ToolError, match="Could not find group 'nobodys'"):
        run(small_root, package("q", files=[file("/usr/bin/tool", 0o100755, "root", "nobodys")]))


def test_remove_everything_hurts_only_the_root(small_root: Root) -> None:
    with pytest.raises(ScriptletError):
        run(small_root, package("p", post="rm -rf --no-preserve-root / || :"), package("q", post="true"))
    assert not small_root.exists("usr/bin/sh")
    assert os.path.exists("/bin/sh")
    assert os.path.exists("/proc/self")


def test_a_root_in_which_nothing_runs_is_refused(small_root: Root) -> None:
    with pytest.raises(ScriptletError) as caught:
        run(small_root, package("p", post=": >/usr/bin/true; rm -rf /usr/lib/*/libc.so*"))
    assert caught.value.package == "p"


def test_a_link_where_something_is_mounted_is_refused(small_root: Root, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="/usr/share"):
        run(
            small_root,
            package("p", post="rm -rf /usr/share/doc; ln -s x /usr/y"),
            package("q", post="mv /usr/share /usr/s && ln -s s /usr/share"),
            package("r", post="true"),
        )


def _header(path: Path) -> bytes:
    import rpm

    transaction = rpm.TransactionSet()
    transaction.setVSFlags(-1)
    with open(path, "rb") as archive:
        return bytes(transaction.hdrFromFdno(archive.fileno()).unload())


@pytest.mark.needs("useradd", "groupadd", "systemctl", "rpm")
def test_programs_that_scripts_call_work(full_root: Root, tmp_path: Path) -> None:
    header = _header(rpms.write_rpm(tmp_path, rpms.rpm("installed", version="3")))
    full_root.remove("usr/share/rpm")
    write_database([header], full_root.path / "usr/share/rpm", source_date_epoch=0)
    body = """set -e
groupadd -r grp
useradd -r -g grp -d /var/lib/svc -s /usr/sbin/nologin -c 'A service' svc
usermod -a -G daemon svc
systemctl daemon-reload
systemctl preset nothing.service || :
systemctl try-restart nothing.service
chown svc:grp /etc/shadow
rpm --dbpath /usr/share/rpm -qa >/etc/packages
if rpm --dbpath /usr/share/rpm -e installed; then exit 1; fi"""
    run(full_root, package("p", pre=body), policy=ScriptPolicy(timeout_seconds=20))
    assert "svc:x:" in full_root.read_text("etc/passwd")
    assert "daemon:x:1:svc" in full_root.read_text("etc/group")
    assert full_root.read_text("etc/packages").startswith("installed-3-")


@pytest.mark.needs("systemd-sysusers")
def test_accounts_of_sysusers_are_made_first_where_rpm_would(full_root: Root) -> None:
    full_root.write("usr/lib/sysusers.d/zz-probe.conf", 'u probesvc - "Probe" /var/lib/probe\n')
    p = package(
        "p",
        files=[file("/usr/lib/sysusers.d/zz-probe.conf", user="probesvc", group="probesvc")],
        pre="grep -q ^probesvc: /etc/passwd",
    )
    full_root.write("usr/lib/rpm/macros", "#%__systemd_sysusers /usr/bin/systemd-sysusers\n")
    with pytest.raises(ScriptletError):
        run(full_root, p)
    full_root.write("usr/lib/rpm/macros.d/macros.accounts", "%__systemd_sysusers\t%{_rpmconfigdir}/sysusers.sh\n")
    run(full_root, p)


@pytest.mark.needs("rpmlua")
def test_lua_of_the_image_is_preferred(full_root: Root) -> None:
    body = "local f = io.open('/etc/who', 'w'); f:write(posix.readlink('/proc/self/exe')); f:close()"
    run(full_root, package("p", scripts=[Scriptlet("post", LUA, body)]))
    assert full_root.read_text("etc/who") == "/usr/bin/rpmlua"
