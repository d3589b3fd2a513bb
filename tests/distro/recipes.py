# SPDX-License-Identifier: GPL-2.0-or-later
"""What Debian's maintainer scripts do, said again the RPM way: users, scriptlets, links, modes, dropped files.

Debian's own scripts are left out entirely: they need dpkg, debconf and update-alternatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.rpms import file, lua, symlink, trigger
from tests.support.rpmvalues import GHOST, File, Script, Trigger

#: Left out of every package: what belongs to dpkg, to other init systems, or to quality checks.
DROPPED = (
    "/usr/share/lintian/", "/usr/share/bug/", "/usr/share/doc-base/", "/usr/share/menu/", "/usr/share/reportbug/",
    "/usr/share/initramfs-tools/", "/etc/init.d/", "/etc/kernel/", "/etc/apt/", "/etc/dpkg/", "/usr/share/runit/",
    "/usr/lib/init/", "/etc/X11/", "/usr/share/debconf/", "/etc/init/", "/etc/rc",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """Changes to one package.

    `files` are added or replace; `links` (path → name beside it) are what update-alternatives would make, where
    the one is missing and the other there; `modes` set (mode bits, group) of a path, `caps` capabilities.
    """

    files: Mapping[str, File] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    caps: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, Script] = field(default_factory=dict)
    triggers: tuple[Trigger, ...] = ()
    relations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires_pre: tuple[str, ...] = ()
    requires_post: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


def _user(name: str, number: int, *, home: str = "/", group: str = "", comment: str = "") -> str:
    """Shell that makes a system user once, with its group, under a fixed number."""
    group = group or name
    return (
        f"getent group {group} >/dev/null || groupadd -r -g {number} {group}\n"
        f"getent passwd {name} >/dev/null || "
        f"useradd -r -M -u {number} -g {group} -d {home} -s /usr/sbin/nologin -c '{comment or name}' {name}\n"
    )


def _group(name: str, number: int) -> str:
    return f"getent group {name} >/dev/null || groupadd -r -g {number} {name}\n"


_ACCOUNTS = ("passwd", "login", "libc-bin")
_PAM = {
    "auth": "auth [success=1 default=ignore] pam_unix.so nullok\n"
    "auth requisite pam_deny.so\nauth required pam_permit.so\n",
    "account": "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n"
    "account requisite pam_deny.so\naccount required pam_permit.so\n",
    "password": "password [success=1 default=ignore] pam_unix.so obscure yescrypt\n"
    "password requisite pam_deny.so\npassword required pam_permit.so\n",
    "session": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\n"
    "session required pam_unix.so\nsession optional pam_systemd.so\n",
    "session-noninteractive": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\n"
    "session required pam_permit.so\nsession required pam_unix.so\n",
}
_SSHD = """\
Include /etc/ssh/sshd_config.d/*.conf
KbdInteractiveAuthentication no
UsePAM yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
"""
#: Kept in step with what the dynamic linker reads: everything below these directories may hold a library.
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.conf.d")
_CA_BUNDLE = """\
find /usr/share/ca-certificates -name '*.crt' | LC_ALL=C sort | xargs cat > /etc/ssl/certs/ca-certificates.crt
chmod 0644 /etc/ssl/certs/ca-certificates.crt
"""
_SYSUSERS = "systemd-sysusers >/dev/null 2>&1 || :\n"
_SSH_PREUN = 'if [ "$1" -eq 0 ]; then systemctl --no-reload disable --now ssh.service >/dev/null 2>&1 || :; fi\n'
_SSHD_PAM = """\
@include common-auth
account required pam_nologin.so
@include common-account
session required pam_loginuid.so
@include common-session
@include common-password
"""
#: Debian 12 makes these groups in a script; fixed numbers in both, since devices are given to them by udev.
_UDEV_GROUPS = "g input 104\ng kvm 36\ng render 106\ng sgx 107\ng clock 108\n"
_BASH_POST = """\
local found = {}
local shells = io.open("/etc/shells", "r")
if shells then
  for line in shells:lines() do found[line] = true end
  shells:close()
end
local out = io.open("/etc/shells", "a")
for _, shell in ipairs({"/bin/bash", "/usr/bin/bash", "/bin/rbash"}) do
  if not found[shell] then out:write(shell .. "\\n") end
end
out:close()
"""


def _presets(unit: str) -> Script:
    return Script(f'if [ "$1" -eq 1 ]; then systemctl --no-reload preset {unit} >/dev/null 2>&1 || :; fi\n')


RECIPES: Mapping[str, Recipe] = {
    "bash": Recipe(
        files={"/usr/bin/rbash": symlink("bash")},
        relations={"provides": ("/bin/bash",)},
        scripts={"post": lua(_BASH_POST)},
    ),
    "ca-certificates": Recipe(
        files={
            "/etc/ssl/certs/ca-certificates.crt": File(0o100644, flags=GHOST),
            "/etc/ca-certificates.conf": file("", config="noreplace"),
        },
        scripts={"posttrans": Script(_CA_BUNDLE)},
        relations={"requires": ("findutils", "coreutils")},
    ),
    "cron": Recipe(
        scripts={"pre": Script(_group("crontab", 105)), "post": _presets("cron.service")},
        modes={"/usr/bin/crontab": (0o2755, "crontab"), "/var/spool/cron/crontabs": (0o1730, "crontab")},
        requires_pre=_ACCOUNTS,
    ),
    "dash": Recipe(links={"/usr/bin/sh": "dash"}, relations={"provides": ("/bin/sh", "/bin/dash")}),
    "dbus": Recipe(
        scripts={"pre": Script(_user("messagebus", 81, home="/nonexistent", comment="System message bus"))},
        modes={"/usr/lib/dbus-1.0/dbus-daemon-launch-helper": (0o4754, "messagebus")},
        requires_pre=_ACCOUNTS,
    ),
    "debianutils": Recipe(links={"/usr/bin/which": "which.debianutils"}),
    "inetutils-telnet": Recipe(links={"/usr/bin/telnet": "inetutils-telnet"}),
    "iotop-c": Recipe(links={"/usr/sbin/iotop": "iotop-c"}),
    "iptables": Recipe(
        links={
            f"/usr/sbin/{name}{suffix}": f"{name}-nft{suffix}"
            for name in ("iptables", "ip6tables")
            for suffix in ("", "-save", "-restore")
        }
    ),
    "iputils-ping": Recipe(caps={"/usr/bin/ping": "cap_net_raw=ep"}),
    "kmod": Recipe(files={"/etc/modules": file("", config="noreplace")}),
    "less": Recipe(links={"/usr/bin/pager": "less"}),
    "libc-bin": Recipe(
        files={
            "/etc/ld.so.cache": File(0o100644, flags=GHOST),
            "/var/cache/ldconfig/aux-cache": File(0o100600, flags=GHOST),
        },
        # A body for /bin/sh: with `-p /sbin/ldconfig` rpm gives it an argument, and it fails.
        triggers=tuple(
            trigger(kind, _LIBRARIES, "/sbin/ldconfig || :\n", priority=2_000_100)
            for kind in ("transfiletriggerin", "transfiletriggerpostun")
        ),
        relations={"provides": ("/sbin/ldconfig",)},
    ),
    "libpam-runtime": Recipe(
        files={f"/etc/pam.d/common-{name}": file(text, config="noreplace") for name, text in _PAM.items()}
    ),
    "locales": Recipe(files={"/etc/locale.gen": file("# Locales to make; C.UTF-8 needs none.\n", config="noreplace")}),
    "mawk": Recipe(links={"/usr/bin/awk": "mawk", "/usr/bin/nawk": "mawk"}),
    "nano": Recipe(links={"/usr/bin/editor": "nano"}),
    "openssh-client": Recipe(
        scripts={"pre": Script(_group("_ssh", 101))},
        modes={"/usr/bin/ssh-agent": (0o2755, "_ssh")},
        requires_pre=_ACCOUNTS,
    ),
    "openssh-server": Recipe(
        files={
            "/etc/ssh/sshd_config": file(_SSHD, mode=0o600, config="noreplace"),
            "/usr/lib/systemd/system/ssh.service.d/10-host-keys.conf": file(
                "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n"
            ),
            "/etc/pam.d/sshd": file(_SSHD_PAM, config="noreplace"),
        },
        scripts={
            "pre": Script(_user("sshd", 74, home="/run/sshd", comment="Privilege-separated SSH")),
            "post": _presets("ssh.service"),
            "preun": Script(_SSH_PREUN),
            "postun": Script("systemctl try-restart ssh.service >/dev/null 2>&1 || :\n"),
        },
        requires_pre=_ACCOUNTS,
        requires_post=("systemd",),
    ),
    "perl-base": Recipe(relations={"provides": ("/usr/bin/perl",)}),
    "polkitd": Recipe(
        scripts={"pre": Script(_user("polkitd", 114, home="/nonexistent", comment="User for polkitd"))},
        modes={
            "/etc/polkit-1/rules.d": (0o750, "polkitd"),
            "/usr/bin/pkexec": (0o4755, "root"),
            "/usr/lib/polkit-1/polkit-agent-helper-1": (0o4755, "root"),
        },
        requires_pre=_ACCOUNTS,
    ),
    "procps": Recipe(links={f"/usr/bin/{name}": f"{name}.procps" for name in ("kill", "ps", "w")}),
    "rpm": Recipe(files={"/usr/lib/rpm/macros.d/macros.dbpath": file("%_dbpath /usr/lib/sysimage/rpm\n")}),
    "sudo": Recipe(modes={"/etc/sudoers": (0o440, "root")}),
    "systemd": Recipe(
        files={
            "/etc/machine-id": File(0o100444, flags=GHOST),
            "/var/log/journal": File(0o42755, group="systemd-journal"),
        },
        scripts={
            "pre": Script(
                _group("systemd-journal", 190) + _user("systemd-network", 192, comment="systemd Network Management")
            ),
            "posttrans": Script('if [ "$1" -eq 1 ]; then systemctl preset-all >/dev/null 2>&1 || :; fi\n'),
        },
        triggers=(trigger("transfiletriggerin", "/usr/lib/sysusers.d", _SYSUSERS, priority=1_000_700),),
        requires_pre=_ACCOUNTS,
        requires_post=("system-release",),
    ),
    "systemd-resolved": Recipe(
        files={"/etc/resolv.conf": symlink("../run/systemd/resolve/stub-resolv.conf")},
        scripts={
            "pre": Script(_user("systemd-resolve", 193, comment="systemd Resolver")),
            "post": _presets("systemd-resolved.service"),
        },
        requires_pre=_ACCOUNTS,
        requires_post=("systemd",),
    ),
    "systemd-timesyncd": Recipe(
        scripts={
            "pre": Script(_user("systemd-timesync", 194, comment="systemd Time Synchronization")),
            "post": _presets("systemd-timesyncd.service"),
        },
        requires_pre=_ACCOUNTS,
        requires_post=("systemd",),
    ),
    "tmux": Recipe(
        scripts={"postun": Script('if [ "$1" -eq 0 ]; then sed -i "\\,^/usr/bin/tmux$,d" /etc/shells; fi\n')}
    ),
    "udev": Recipe(files={"/usr/lib/sysusers.d/10-udev.conf": file(_UDEV_GROUPS)}),
    "uuid-runtime": Recipe(scripts={"pre": Script(_user("uuidd", 96, home="/run/uuidd"))}, requires_pre=_ACCOUNTS),
    "vim-tiny": Recipe(links={"/usr/bin/vi": "vim.tiny"}),
    "zsh": Recipe(
        scripts={
            "post": Script("grep -qx /usr/bin/zsh /etc/shells || echo /usr/bin/zsh >> /etc/shells\n"),
            "postun": Script('if [ "$1" -eq 0 ]; then sed -i "\\,^/usr/bin/zsh$,d" /etc/shells; fi\n'),
        },
        requires_post=("grep",),
    ),
}
