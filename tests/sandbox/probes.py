# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways out of a sandbox, tried one by one; prints {name: "allowed" | reason}. Harmless where they succeed.

Arguments: a port on the host's loopback, the name of an abstract socket, a process id of the host.
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import pty
import socket
import struct
import sys
import termios

PORT, ABSTRACT, PID = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
X86 = platform.machine() == "x86_64"
# Numbers that differ: (x86_64, the generic table of newer architectures).
CALLS = {
    "bpf": (321, 280), "keyctl": (250, 219), "add_key": (248, 217), "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282), "perf_event_open": (298, 241), "clone": (56, 220), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "reboot": (169, 142), "swapon": (167, 224), "init_module": (175, 105),
    "open_tree": (428, 428), "fsopen": (430, 430), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
}  # fmt: skip


def check(result, harmless=()):
    if result < 0:
        code = ctypes.get_errno()
        if code not in harmless:
            raise OSError(code, os.strerror(code))
    return result


def call(name, *arguments, harmless=()):
    ctypes.set_errno(0)
    number = CALLS[name][0 if X86 else 1]
    return check(libc.syscall(ctypes.c_long(number), *arguments), harmless)


def in_child(action):
    """Do it in a process of its own, and pass on its failure."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, "in child")


def host_sysctl():
    with open("/proc/sys/vm/stat_interval", "r+") as file:
        value = file.read()
        file.seek(0)
        file.write(value)


def core_pattern():
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))


def user_namespace():
    in_child(lambda: check(libc.unshare(0x10000000)))


def user_namespace_by_clone():
    pid = call("clone", 0x10000000 | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def mount_namespace():
    in_child(lambda: check(libc.unshare(0x20000)))


def mount():
    def action():
        check(libc.unshare(0x20000))
        check(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))

    in_child(action)


def set_namespace():
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    in_child(lambda: check(libc.setns(fd, 0)))


def type_into_terminal():
    def action():
        os.setsid()
        _, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSCTTY, 0)
        fcntl.ioctl(follower, termios.TIOCSTI, b" ")

    in_child(action)


def bpf_map():
    call("bpf", 0, struct.pack("IIIII", 2, 4, 4, 1, 0) + bytes(100), 72)


def session_keyring():
    call("keyctl", 0, -3, 1)


def new_key():
    call("add_key", b"user", b"strata-probe", b"x", 1, -2)


def io_uring():
    call("io_uring_setup", 1, ctypes.create_string_buffer(120))


def user_fault():
    call("userfaultfd", 0)


def perf():
    attributes = struct.pack("IIQ", 1, 112, 0) + bytes(96)
    call("perf_event_open", ctypes.c_char_p(attributes), 0, -1, -1, 0)


def trace():
    in_child(lambda: call("ptrace", 0, 0, 0, 0))


def read_memory():
    buffer = ctypes.create_string_buffer(b"x", 8)
    vector = struct.pack("PN", ctypes.addressof(buffer), 1)
    call("process_vm_readv", os.getpid(), vector, 1, vector, 1, 0)


def reboot():
    # Wrong magic numbers: the right to do it is checked first.
    call("reboot", 0, 0, 0, 0, harmless=(errno.EINVAL,))


def swap():
    call("swapon", b"/nonexistent", 0, harmless=(errno.ENOENT,))


def kernel_module():
    call("init_module", b"", 0, b"", harmless=(errno.ENOEXEC, errno.EINVAL, errno.EFAULT))


def new_mount_api():
    call("fsopen", b"tmpfs", 0)


def detached_tree():
    call("open_tree", -100, b"/", 1)


def open_by_handle():
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) + bytes(128))
    mount_id = ctypes.c_int()
    call("name_to_handle_at", -100, b"/etc", handle, ctypes.byref(mount_id), 0)
    fd = os.open("/etc", os.O_RDONLY)
    call("open_by_handle_at", fd, handle, 0)


def device_node():
    os.mknod("/tmp/probe-null", 0o20666, os.makedev(1, 3))
    os.unlink("/tmp/probe-null")


def host_network():
    socket.create_connection(("127.0.0.1", PORT), timeout=2).close()


def abstract_socket():
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{ABSTRACT}")


def raw_socket():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def hypervisor_socket():
    socket.socket(40, socket.SOCK_STREAM).close()


def signal_host():
    os.kill(PID, 0)


def chown():
    open("/etc/probe", "w").close()
    os.chown("/etc/probe", 4321, 4321)


def setuid_file():
    os.chmod("/etc/probe", 0o4755)


def file_capability():
    os.setxattr("/etc/probe", "security.capability", struct.pack("<5I", 0x02000000, 1 << 13, 0, 0, 0))


def chroot():
    in_child(lambda: os.chroot("/etc"))


def main():
    ways = [
        host_sysctl, core_pattern, user_namespace, user_namespace_by_clone, mount_namespace, mount, set_namespace,
        type_into_terminal, bpf_map, session_keyring, new_key, io_uring, user_fault, perf, trace, read_memory, reboot,
        swap, kernel_module, new_mount_api, detached_tree, open_by_handle, device_node, host_network, abstract_socket,
        raw_socket, hypervisor_socket, signal_host, chown, setuid_file, file_capability, chroot,
    ]  # fmt: skip
    outcomes = {}
    for way in ways:
        try:
            way()
            outcomes[way.__name__] = "allowed"
        except OSError as error:
            outcomes[way.__name__] = errno.errorcode.get(error.errno, str(error))
    print(json.dumps(outcomes))


main()
