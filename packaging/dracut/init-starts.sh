# SPDX-License-Identifier: GPL-2.0-or-later
# systemd starts a shell where a system's init can't be started, and that waits for somebody for ever. A system that is
# tried gives way instead. 126 and 127 are a shell's words for what can't be run; whatever else it says, it has run.
if getargbool 0 strata.trial; then
    chroot "$NEWROOT" /sbin/init --version >/dev/null 2>&1 || case $? in
        126 | 127)
            warn "strata: /sbin/init can't be started; back to the system before"
            sync
            systemctl --force --force reboot
            ;;
    esac
fi
