# SPDX-License-Identifier: GPL-2.0-or-later
"""The sandbox in which programs of a root run: package scripts, postprocess scripts, dracut, depmod.

A program sees the root as `/`, writable: keeping objects safe from it is the business of the overlay that
`root` is. Of the host it sees a read-only part of /sys and nothing else; no network, no process, no user
or session of the host's. It runs as root without a user namespace, since scripts change owners to any
user, and is held by namespaces, ten capabilities that no_new_privs keeps it to, and a list of denied system calls
(`rpmtree.root.seccomp`). Limits: file size here, processes by the cgroup that `pids_limit` makes, time and
output by who runs the program.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree import command
from rpmtree.errors import ToolError
from rpmtree.root import seccomp
from rpmtree.root.rpmdb import HOME as RPMDB_HOME

#: What package scripts need and no more; with CAP_SETPCAP setpriv and systemd's tools drop capabilities.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETPCAP", "CAP_SYS_CHROOT", "CAP_SETFCAP",
)  # fmt: skip
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "HOME": "/root", "SYSTEMD_OFFLINE": "1"}
#: A program that writes a bigger file gets SIGXFSZ.
MAX_FILE_BYTES = 8 << 30
#: Size of /tmp and of /var/tmp; memory is only taken as they are written.
MAX_TMPFS_BYTES = 2 << 30
#: Processes and threads at a time.
MAX_PIDS = 512
#: Where something is mounted inside: a link in its place would lead bubblewrap elsewhere.
MOUNT_POINTS = ("dev", "proc", "sys", "run", "tmp", "var", "usr", "usr/share", RPMDB_HOME)
_SYS = ("block", "bus", "class", "dev", "devices")
#: Limits are set in a shell, which then becomes the rest. $1 is the process that asks: who was killed before anybody
#: could have said so is no parent any more. $2 is the cgroup or empty, $3 the BPF program: it is opened anew for each
#: run, as descriptor 9. Callers can't hand down descriptors 8 and 9.
_LIMITS = (
    f'[ "$PPID" = "$1" ] || exit 125; umask 022; ulimit -c 0; ulimit -f {MAX_FILE_BYTES // 512}; '
    'if [ -n "$2" ]; then echo 0 >"$2/cgroup.procs" || exit 125; fi; '
    'exec 8</dev/null 9<"$3" || exit 125; shift 3; exec "$@"'
)
#: bubblewrap's child waits for a word of its parent before it thinks of that one's death, for ever if this comes first:
#: so it was after 2 % of kills in the middle of scripts. Below the first process of a namespace it dies with that one.
#: bubblewrap looks its child up in /proc, which must be that of the namespace.
_TOGETHER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--")


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host (`source`) that is seen at `target` inside."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class ScriptSandbox:
    """One way to run programs with `root` as their `/`; implements `rpmtree.command.Sandbox`.

    `var` is the directory seen at /var; with `writable` False nothing of `root` itself can be written to, and all mount
    points must be there. `bpf` is a path to the compiled system call filter, `cgroup` the
    directory of a cgroup that programs are put into.
    """

    root: Path
    var: Path
    bpf: Path
    var_writable: bool = False
    rpmdb: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    cgroup: Path | None = None
    capabilities: tuple[str, ...] = CAPABILITIES
    writable: bool = True

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """None: what the wrapper reads, it opens itself."""
        return ()

    def argv(self, inner: Sequence[str]) -> list[str]:
        """The command line by which this process runs `inner` inside, in `/`, with nothing of its environment."""
        return [
            *("sh", "-c", _LIMITS, "sh", str(os.getpid()), str(self.cgroup or ""), str(self.bpf)),
            *(*_TOGETHER, "bwrap", "--die-with-parent", "--new-session", "--hostname", "localhost"),
            *(f"--unshare-{kind}" for kind in ("pid", "net", "ipc", "uts", "cgroup")),
            *("--cap-drop", "ALL", *_repeat("--cap-add", self.capabilities), "--seccomp", "9"),
            *self._mounts(),
            "--clearenv",
            *(word for name, value in {**ENVIRONMENT, **self.env}.items() for word in ("--setenv", name, value)),
            *("--chdir", "/", "--"),
            *inner,
        ]

    def _mounts(self) -> list[str]:
        scratch = ("--perms", "1777", "--size", str(MAX_TMPFS_BYTES), "--tmpfs")
        database = ("--ro-bind", str(self.root / RPMDB_HOME), f"/{RPMDB_HOME}") if self.rpmdb else ()
        return [
            *("--bind" if self.writable else "--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc"),
            # bubblewrap judges /proc/sys by the mode of the directory: root could write the host's sysctls.
            *("--ro-bind", "/proc/sys", "/proc/sys"),
            *("--tmpfs", "/sys", *_repeat_pairs("--ro-bind-try", (f"/sys/{name}" for name in _SYS))),
            *("--remount-ro", "/sys"),
            *("--tmpfs", "/run", "--dir", "/run/lock", "--perms", "0644", "--file", "8", "/run/ostree-booted"),
            *(*scratch, "/tmp", *database),
            # The mount point must be there before /var becomes read-only.
            *(("--perms", "1777", "--dir", "/var/tmp") if self.var == self.root / "var" else ()),
            *("--bind" if self.var_writable else "--ro-bind", str(self.var), "/var", *scratch, "/var/tmp"),
            *(word for bind in self.binds for word in _bind(bind)),
        ]


def _repeat(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _repeat_pairs(option: str, paths: Iterator[str]) -> list[str]:
    return [word for path in paths for word in (option, path, path)]


def _bind(bind: Bind) -> tuple[str, str, str]:
    return ("--bind" if bind.writable else "--ro-bind", str(bind.source), bind.target)


def image_sandbox(
    root: Path,
    *,
    env: Mapping[str, str] | None = None,
    binds: Sequence[Bind] = (),
    writable_var: bool = False,
    source_date_epoch: int = 0,
    capabilities: Sequence[str] = (),
) -> ScriptSandbox:
    """The sandbox for a program of the image at `root`, which must have a directory /var.

    The tree's own /var is seen, read-only unless `writable_var`; /tmp and /var/tmp are scratch. `env` is
    added to the sandbox's own environment, `capabilities` (such as "CAP_MKNOD") to the ten of a script.
    Raises ToolError if a link is where something must be mounted, or without python3-seccomp.
    """
    check_mount_points(root)
    return ScriptSandbox(
        root=root,
        var=root / "var",
        bpf=seccomp.filter_path(),
        var_writable=writable_var,
        rpmdb=(root / RPMDB_HOME).is_dir(),
        env={"SOURCE_DATE_EPOCH": str(source_date_epoch), **(env or {})},
        binds=tuple(binds),
        capabilities=(*CAPABILITIES, *capabilities),
    )


def check_mount_points(root: Path) -> None:
    """Raise ToolError if a mount point inside `root` is there but is no directory.

    bubblewrap follows links before it has changed its root, so one planted at /tmp would have it make
    directories on the host.
    """
    for name in MOUNT_POINTS:
        try:
            mode = os.lstat(root / name).st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(mode):
            raise ToolError(
                f"/{name} of the root is not a directory", hint="a package or a script has put something else there"
            )


@contextmanager
def pids_limit(limit: int = MAX_PIDS) -> Iterator[Path | None]:
    """A cgroup for at most `limit` processes and threads, removed at the end; None where we can't make one.

    There is no other way to hold root: RLIMIT_NPROC does not count for it. Who is killed leaves its group to the next.
    """
    with ExitStack() as held:
        yield _make_cgroup(limit, held)


def _make_cgroup(limit: int, held: ExitStack) -> Path | None:
    for parent in _cgroup_parents():
        _remove_left_behind(parent)
        with ExitStack() as made:
            try:
                group = Path(tempfile.mkdtemp(prefix="strata-", dir=parent))
                made.callback(_remove_cgroup, group)
                made.enter_context(_held(group))
                # Not created if missing: on a tmpfs among version 1 hierarchies that would make a plain file.
                with open(os.open(group / "pids.max", os.O_WRONLY), "w", encoding="ascii") as file:
                    file.write(f"{limit}\n")
            except OSError:
                continue
            held.push(made.pop_all())
            return group
    return None


def _remove_left_behind(parent: Path) -> None:
    """Remove groups that nobody holds. One without a limit may be in the making: its maker locks it first."""
    for group in parent.glob("strata-*"):
        with suppress(OSError):
            if (group / "pids.max").read_text(encoding="ascii") != "max\n":
                with _held(group):
                    group.rmdir()


@contextmanager
def _held(group: Path) -> Iterator[None]:
    """The kernel's lock on a directory, which a process that dies gives back; OSError if somebody has it."""
    fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def _cgroup_parents() -> Iterator[Path]:
    """Where a cgroup with the pids controller may be made: below our own (v1), else beside it (v2)."""
    mounted = Path("/sys/fs/cgroup")
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if "pids" in controllers.split(","):
            yield mounted / "pids" / path.lstrip("/")
        elif not controllers:
            # A v2 group that holds processes can't give controllers to children; its parent can.
            own = mounted / path.lstrip("/")
            yield own if own == mounted else own.parent


def _remove_cgroup(group: Path) -> None:
    for _ in range(20):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)  # the kernel is still burying the last process
        else:
            return


def check_host() -> None:
    """Raise ToolError, in one sentence, if this machine can't run the sandbox; about 10 ms."""
    if os.geteuid() != 0:
        raise ToolError("package scripts need root", hint="run this as root")
    probe = ScriptSandbox(root=Path("/"), var=Path("/var"), bpf=seccomp.filter_path())
    done = command.run(probe.argv(["true"]), check=False)
    if done.status != 0:
        reason = command.tail(done.stderr).splitlines()[-1:] or [f"status {done.status}"]
        raise ToolError(_missing_right(reason[0]), hint=_HINT, detail=reason[0])


@contextmanager
def blaming_host() -> Iterator[None]:
    """Where the body fails, and this machine can't run the sandbox at all, say that instead (see `check_host`).

    To ask first costs as much as a script.
    """
    try:
        yield
    except ToolError:
        check_host()
        raise


_HINT = (
    "on a plain machine run it as root; in a container add --cap-add all --security-opt seccomp=unconfined; "
    "in a chroot, bind its root on itself and pivot_root into it in a mount and pid namespace of its own"
)


#: Words of bubblewrap's last line, and what they mean.
_MEANINGS = (
    (("slave", "pivot_root"), "/ is not a mount point (a plain chroot)"),
    (("loopback",), "the right to set up a network namespace (CAP_NET_ADMIN) is missing"),
    (("namespace", "clone", "unshare"), "the right to make namespaces (CAP_SYS_ADMIN) is missing"),
    (("mount proc", "/proc"), "the right to mount /proc is missing"),
    (("mount",), "the right to mount (CAP_SYS_ADMIN) is missing"),
    (("seccomp", "prctl"), "the right to filter system calls is missing"),
)


def _missing_right(reason: str) -> str:
    sentence = "the sandbox for package scripts can't work here"
    for words, meaning in _MEANINGS:
        if any(word in reason for word in words):
            return f"{sentence}: {meaning}"
    return sentence
