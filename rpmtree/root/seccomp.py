# SPDX-License-Identifier: GPL-2.0-or-later
"""The system calls that nothing in a sandbox may make, as the BPF program that bubblewrap loads.

A deny list, since package scripts are ordinary programs: what is denied is what changes the kernel, what
reaches other processes, and what makes new namespaces or mounts. Scripts run as root without a user
namespace (chown to any user has to work), so this list is one of three fences; the others are the
ten capabilities and the namespaces, which are `rpmtree.root.sandbox`'s.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from rpmtree.errors import ToolError

#: Denied whatever the arguments, each group with what it would give a script.
DENIED: Mapping[str, tuple[str, ...]] = {
    "code in the kernel": (
        "bpf", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "perf_event_open",
        "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
    ),
    "keys, which no namespace keeps apart": ("keyctl", "add_key", "request_key"),
    "other processes": ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    "namespaces and mounts": (
        "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "fsopen", "fsconfig", "fsmount", "fspick",
        "move_mount", "open_tree", "mount_setattr", "open_by_handle_at",
    ),
    "the machine": (
        "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime",
        "clock_adjtime", "adjtimex", "iopl", "ioperm", "vhangup",
    ),
}  # fmt: skip
_CLONE_NEWUSER = 0x10000000
_TIOCSTI = 0x5412  # types into the terminal of whoever runs us
_TIOCLINUX = 0x541C
_AF_VSOCK = 40  # reaches the hypervisor: network namespaces don't hold it
_LOW_32_BITS = 0xFFFFFFFF


@cache
def filter_path() -> Path:
    """The compiled filter as a path to open and read, good while this process lives; made once.

    Each reader opens it anew, so that readers share no offset. Raises ToolError without python3-seccomp.
    """
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    _export(fd)
    return Path(f"/proc/{os.getpid()}/fd/{fd}")


def filter_bytes() -> bytes:
    """The compiled filter: struct sock_filter of the running architecture, 8 bytes each."""
    return filter_path().read_bytes()


def _export(fd: int) -> None:
    try:
        import seccomp
    except ImportError as error:
        raise ToolError(
            "the Python binding of libseccomp is missing", hint="install the package python3-seccomp"
        ) from error
    program = seccomp.SyscallFilter(seccomp.ALLOW)
    if os.uname().machine == "x86_64":
        # Without these, a 32-bit program is killed at its first call, whatever that is.
        program.add_arch(seccomp.Arch.X86)
        program.add_arch(seccomp.Arch.X32)
    deny = seccomp.ERRNO(errno.EPERM)
    for group in DENIED.values():
        for name in group:
            if seccomp.resolve_syscall(seccomp.Arch(), name) != -1:  # libseccomp may be older than the call
                program.add_rule(deny, name)
    # s390 has the flags of clone(2) second; the stack that stands there elsewhere has this bit by chance.
    flags = 1 if os.uname().machine.startswith("s390") else 0
    program.add_rule(deny, "clone", seccomp.Arg(flags, seccomp.MASKED_EQ, _CLONE_NEWUSER, _CLONE_NEWUSER))
    # The flags of clone3 are behind a pointer. ENOSYS makes every libc fall back to clone.
    program.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for request in (_TIOCSTI, _TIOCLINUX):
        program.add_rule(deny, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, _LOW_32_BITS, request))
    program.add_rule(deny, "socket", seccomp.Arg(0, seccomp.MASKED_EQ, _LOW_32_BITS, _AF_VSOCK))
    with os.fdopen(os.dup(fd), "wb") as file:
        program.export_bpf(file)
