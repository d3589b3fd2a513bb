# SPDX-License-Identifier: GPL-2.0-or-later
"""Which packages the distributions hold, by purpose. Their dependencies come along; versions are the lock's."""

from __future__ import annotations

#: What boots, and what makes a system that people log in to.
BASE = """
    base-passwd bash bsdutils bzip2 ca-certificates coreutils cpio cron dash dbus dbus-user-session debianutils
    diffutils dracut dracut-core e2fsprogs findutils gawk gnupg gpgv grep gzip hostname init-system-helpers
    extlinux iproute2 iputils-ping kbd kmod less libacl1 libc-bin libc6 libnss-systemd libpam-modules libpam-runtime
    libpam-systemd linux-image-cloud-amd64 login logrotate logsave mawk mount ncurses-base ncurses-bin netbase
    openssh-client openssh-server openssh-sftp-server openssl ostree ostree-boot passwd perl-base procps psmisc
    sed sudo systemd systemd-resolved systemd-sysv systemd-timesyncd tar tzdata udev util-linux
    util-linux-locales xz-utils zstd locales acl attr bash-completion dmidecode dosfstools ethtool fdisk file
    gdisk groff-base inetutils-telnet iptables libcap2-bin lsof man-db manpages nftables parted pciutils polkitd
    rsync shared-mime-info uuid-runtime wget xfsprogs btrfs-progs cryptsetup-bin lvm2 mdadm
""".split()  # noqa: SIM905 - reads better in columns
#: The client of this project, inside the guest.
CLIENT = """
    bubblewrap createrepo-c gir1.2-ostree-1.0 python3 python3-dnf python3-gi python3-rich python3-rpm
    python3-yaml python3-zstandard python3-seccomp rpm dnf
""".split()  # noqa: SIM905 - reads better in columns
#: Small things that an admin layers.
LAYERED = """
    powerline python3-powerline htop tmux jq tree vim-tiny nano strace git curl bc dc time ed zsh screen mc
    socat libjemalloc2 unzip zip whois pv moreutils ncdu iotop-c
""".split()  # noqa: SIM905 - reads better in columns
#: Left out of the closure: dpkg's own world, and what `tests.distro.own` makes instead.
VANISHED = frozenset(
    """
    apt base-files base-passwd cdebconf debconf debconf-2.0 debian-archive-keyring dpkg gpgv-static
    init-system-helpers libapt-pkg6.0 libapt-pkg7.0 libdebconfclient0 linux-base linux-image-cloud-amd64
    lsb-base sysvinit-utils ucf usrmerge usr-is-merged sensible-utils cron-daemon-common initramfs-tools
    linux-initramfs-tool install-info libpam0g-cryptsetup python3-distupgrade default-mta mail-transport-agent
    """.split()  # noqa: SIM905 - reads better in columns
)
#: Present in the base set but removed in a later state, and the other way round: name → (first, last) state index.
LIFETIMES = {"bc": (0, 0), "dc": (1, 2), "time": (0, 1), "ed": (2, 2)}
#: Vanished as packages, but data of theirs goes into packages that `tests.distro.own` makes.
TAKEN_APART = frozenset({"base-files", "base-passwd"})
