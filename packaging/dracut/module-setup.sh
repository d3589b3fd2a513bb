# SPDX-License-Identifier: GPL-2.0-or-later
# dracut's module strata: what has to be seen to before a system that is tried gets its own init.

check() {
    return 0
}

depends() {
    echo systemd
}

install() {
    inst_multiple chroot systemctl
    inst_hook pre-pivot 95 "$moddir/init-starts.sh"
}
