# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages that a Debian archive has no counterpart of: setup, filesystem, the release package."""

from __future__ import annotations

from collections.abc import Mapping

from tests.distro.lock import Release
from tests.support.rpms import directory, file, lua, rpm, symlink, trigger
from tests.support.rpmvalues import GHOST, File, Package

_MULTIARCH = "x86_64-linux-gnu"
_LINKS = {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib": "usr/lib", "/lib64": "usr/lib64"}
_DIRECTORIES = """
    /boot /dev /etc /etc/default /etc/opt /etc/pam.d /etc/profile.d /etc/skel /etc/ssl /etc/sysctl.d
    /etc/systemd /home /media /mnt /opt /proc /run /srv /sys /usr /usr/bin /usr/games /usr/include /usr/lib
    /usr/lib/sysimage /usr/lib/debug /usr/lib/locale /usr/lib/modules /usr/lib/sysusers.d /usr/lib/tmpfiles.d
    /usr/lib64 /usr/libexec /usr/local /usr/local/bin /usr/local/etc /usr/local/games /usr/local/include
    /usr/local/lib /usr/local/sbin /usr/local/share /usr/local/src /usr/sbin /usr/share /usr/share/applications
    /usr/share/dict /usr/share/doc /usr/share/icons /usr/share/info /usr/share/locale /usr/share/man
    /usr/share/misc /usr/share/pixmaps /usr/share/zsh /usr/src /var /var/backups /var/cache /var/lib
    /var/lib/misc /var/log /var/opt /var/spool
""".split()  # noqa: SIM905 - reads better in columns
_PRETRANS = """\
-- The links of a merged /usr must be there before any package writes through them.
for _, name in ipairs({"/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"}) do posix.mkdir(name) end
for _, name in ipairs({"bin", "sbin", "lib", "lib64"}) do
  if not posix.stat("/" .. name) then posix.symlink("usr/" .. name, "/" .. name) end
end
"""
#: Before Debian's own presets; what neither names is disabled.
_PRESETS = {
    "enable": "getty@.service ssh.service cron.service fstrim.timer logrotate.timer systemd-tmpfiles-clean.timer "
    "ostree-remount.service ostree-finalize-staged.path",
    "disable": "remote-cryptsetup.target systemd-pstore.service systemd-sysext.service systemd-homed.service",
}
#: Without modules for networks and disk stacks: 2 s and 12 MB in place of 37 s and 19 MB.
_DRACUT = """\
hostonly=no
dracutmodules=" systemd systemd-initrd dracut-systemd base fs-lib rootfs-block udev-rules ostree shutdown "
drivers=" virtio_blk virtio_pci virtio_rng virtio_net virtio_scsi sd_mod ext4 "
compress="zstd -3"
"""
_LIST_SHELL = "grep -qx /usr/bin/{0} /etc/shells || echo /usr/bin/{0} >> /etc/shells\n"
_NSSWITCH = """\
passwd:         files systemd
group:          files systemd
shadow:         files systemd
gshadow:        files systemd
hosts:          files resolve [!UNAVAIL=return] dns myhostname
networks:       files
protocols:      files
services:       files
ethers:         files
rpc:            files
"""


def filesystem(build_time: int) -> Package:
    """The directories that every package lays its files in; all packages require it before anything else."""
    files = {path: directory() for path in _DIRECTORIES} | {path: symlink(to) for path, to in _LINKS.items()}
    files |= {"/root": directory(mode=0o700), "/tmp": directory(mode=0o1777), "/var/tmp": directory(mode=0o1777)}
    files |= {"/var/mail": directory(mode=0o2775, group="mail"), "/var/local": directory(mode=0o2775, group="staff")}
    files |= {"/var/run": symlink("../run"), "/var/lock": symlink("../run/lock")}
    files |= {f"/usr/lib/{_MULTIARCH}": directory(), "/var/spool/mail": symlink("../mail")}
    return rpm(
        "filesystem", version="3.18", release="1", arch="x86_64", build_time=build_time, files=files,
        summary="The directories of the system", requires_pre=["setup"], pretrans=lua(_PRETRANS),
        provides=["filesystem(unmerged-sbin-symlinks)", "usr-is-merged", "usrmerge"],
    )  # fmt: skip


def setup(passwd: str, group: str, profile: str, build_time: int) -> Package:
    """Accounts and other files that must be there first. `passwd` and `group` have `*` where a password goes."""

    def locked(text: str) -> str:
        return text.replace(":*:", ":x:", 1) if ":*:" in text else text

    users = [line.split(":") for line in passwd.splitlines() if line]
    groups = [line.split(":") for line in group.splitlines() if line]
    files = {
        "/etc/passwd": "".join(locked(line) + "\n" for line in passwd.splitlines() if line),
        "/etc/group": "".join(locked(line) + "\n" for line in group.splitlines() if line),
        "/etc/shadow": "".join(f"{user[0]}:*:19500:0:99999:7:::\n" for user in users),
        "/etc/gshadow": "".join(f"{name[0]}:*::\n" for name in groups),
        "/etc/subuid": "", "/etc/subgid": "", "/etc/shells": "/bin/sh\n/usr/bin/sh\n", "/etc/profile": profile,
        "/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        "/etc/host.conf": "multi on\n", "/etc/nsswitch.conf": _NSSWITCH, "/etc/motd": "", "/etc/environment": "",
        "/etc/fstab": "", "/etc/securetty": "",
    }  # fmt: skip
    secret = ("/etc/shadow", "/etc/gshadow")
    owned = {
        path: file(text, mode=0o600 if path in secret else 0o644, config="noreplace") for path, text in files.items()
    }
    logs = {"/var/log/lastlog": 0o664, "/var/log/wtmp": 0o664, "/var/log/btmp": 0o660}
    owned |= {path: File(0o100000 | mode, flags=GHOST) for path, mode in logs.items()}
    return rpm(
        "setup", version="2.14", build_time=build_time, files=owned, summary="Files that every system has first",
        # The shells themselves know nothing of /etc/shells; what lists them does.
        triggers=[trigger("triggerin", name, _LIST_SHELL.format(name)) for name in ("tmux", "screen")],
    )  # fmt: skip


def release_package(release: Release, state: str, build_time: int) -> Package:
    """os-release, presets, issue, and the names by which dnf knows a distribution."""
    title = release.id.capitalize()
    fields = {
        "NAME": f'"{title} Linux"', "VERSION": f'"{state}"', "ID": release.id, "VERSION_ID": f'"{release.version}"',
        "PRETTY_NAME": f'"{title} Linux {state}"', "PLATFORM_ID": f'"platform:{release.id}{release.version}"',
    }  # fmt: skip
    presets = "".join(f"{verb} {unit}\n" for verb, units in _PRESETS.items() for unit in units.split())
    files: Mapping[str, File] = {
        "/usr/lib/os-release": file("".join(f"{key}={value}\n" for key, value in fields.items())),
        "/etc/os-release": symlink("../usr/lib/os-release"),
        f"/etc/{release.id}-release": file(f"{title} Linux release {state}\n"),
        "/etc/system-release": symlink(f"{release.id}-release"),
        "/etc/issue": file(f"{title} Linux {state} \\n \\l\n\n", config="noreplace"),
        "/etc/issue.net": file(f"{title} Linux {state}\n", config="noreplace"),
        f"/usr/lib/systemd/system-preset/80-{release.id}.preset": file(presets),
        "/usr/lib/systemd/system-preset/99-default-disable.preset": file("disable *\n"),
        f"/usr/lib/dracut/dracut.conf.d/10-{release.id}.conf": file(_DRACUT),
        "/usr/lib/systemd/network/80-wired.network": file("[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n"),
    }
    return rpm(
        f"{release.id}-release", version=state, release="1", build_time=build_time, files=files,
        summary=f"{title} Linux release files", requires_pre=["filesystem"],
        provides=["system-release", f"system-release({release.version})", f"system-release = {state}",
                  f"base-files = {state}", "lsb-base"],
    )  # fmt: skip
