# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the scripts of packages in a root, each in the sandbox, and gives files their owners in between.

The order is `rpmtree.root.script_order`'s, the walls are `rpmtree.root.sandbox`'s. rpm goes on after a
failed %post; here every failure ends the work, since nobody would look at the half-made image.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rpmtree import command
from rpmtree.errors import ScriptletError
from rpmtree.files import Root, remove_tree
from rpmtree.progress import Reporter
from rpmtree.root import lua, owners, sandbox, seccomp, sysusers, var_writes
from rpmtree.root.accounts import Accounts
from rpmtree.root.rpmdb import HOME as RPMDB_HOME
from rpmtree.root.script_order import OwnersStep, ScriptRun, plan_scripts
from rpmtree.root.spec import ScriptPolicy
from rpmtree.root.var_writes import VarScratch, VarWrite
from rpmtree.rpm.package import SCRIPT_EXPAND, SCRIPT_QFORMAT, Package
from rpmtree.rpm.queryformat import format_header

log = logging.getLogger(__name__)

MAX_OUTPUT_BYTES = 10 << 20
TAIL_LINES = 20
_INSIDE = "/run/strata/scripts"
_PROBE = "/usr/bin/true"


@dataclass(frozen=True, slots=True)
class ScriptTiming:
    """How long one script took, in seconds of wall time."""

    package: str
    phase: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ScriptReport:
    """What ran, in order, and what was written below /var and dropped."""

    timings: tuple[ScriptTiming, ...] = ()
    var_writes: tuple[VarWrite, ...] = ()


def run_package_scripts(
    tree: Root,
    packages: Sequence[Package],
    policy: ScriptPolicy,
    reporter: Reporter,
    *,
    base: Sequence[Package] = (),
    replaced: frozenset[str] = frozenset(),
) -> ScriptReport:
    """Run the scripts of `packages` (in install order) in `tree`, whose files may be written without harm.

    `base` are the packages that are in the tree already, but for those that `packages` take the place of
    (`replaced`, by name): their triggers run where the new packages set them off.

    Files get their owners on the way. Raises ScriptletError for a script that fails, runs too long or
    prints too much, ToolError for an unknown owner or where the sandbox can't work.
    """
    steps = plan_scripts(
        packages, base=base, replaced=replaced, skipped=policy.skipped, kernel_install=policy.kernel_install
    )
    total = sum(isinstance(step, ScriptRun) for step in steps)
    with ExitStack() as stack:
        scratch = Path(tempfile.mkdtemp(prefix="strata-scripts-"))
        stack.callback(remove_tree, scratch)
        cgroup = stack.enter_context(sandbox.pids_limit())
        runner = _Runner(tree, packages, policy, scratch, cgroup, base)
        stack.callback(runner.var.root.close)
        had_probe = tree.exists(_PROBE)
        runner.sysusers()
        for step in steps:
            if isinstance(step, OwnersStep):
                runner.owners(step.package)
            else:
                runner.run(step)
                reporter.advanced(len(runner.timings), total)
        if had_probe and runner.timings:
            runner.probe()
        dropped = var_writes.settle(tree, runner.writes, policy.var, reporter)
    return ScriptReport(tuple(runner.timings), dropped)


@dataclass(frozen=True, slots=True)
class _Job:
    """A program to start in the sandbox, with what it needs beside the root."""

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[sandbox.Bind, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a sandboxed program ended: a sentence about the failure, empty if there was none, and its output."""

    failure: str
    output: bytes


@dataclass(slots=True)
class _Runner:
    """Runs one script after the other; what they have in common is made once."""

    tree: Root
    packages: Sequence[Package]
    policy: ScriptPolicy
    scratch: Path
    cgroup: Path | None
    base: Sequence[Package] = ()
    var: VarScratch = field(init=False)
    timings: list[ScriptTiming] = field(default_factory=list)
    writes: list[VarWrite] = field(default_factory=list)
    _scripts: Path = field(init=False)
    _lua: lua.LuaProgram | None = None

    def __post_init__(self) -> None:
        self._scripts = self.scratch / "scripts"
        self._scripts.mkdir()
        self.var = VarScratch(self.scratch / "var", [*self.base, *self.packages])
        if self.cgroup is None:
            log.debug("no pids cgroup can be made here: the number of a script's processes is not limited")

    def run(self, step: ScriptRun) -> None:
        """Run one script; raises ScriptletError."""
        name, phase = step.package.name, step.phase
        job = self._job(step)
        stdin = None
        if step.stdin is not None:
            stdin = "".join(f"{line}\n" for line in step.stdin).encode("utf-8", "surrogateescape")
        started = time.monotonic()
        ended = self._execute(job, stdin)
        self.timings.append(ScriptTiming(name, phase, time.monotonic() - started))
        for line in ended.output.decode("utf-8", "backslashreplace").splitlines():
            log.info("%s.%s: %s", name, phase, line)
        if ended.failure:
            raise ScriptletError(name, phase, ended.failure, _last_lines(ended.output))
        self._note_writes(name, phase)

    def owners(self, package: Package) -> None:
        """Give the files of `package` their owners; raises ToolError."""
        files = owners.not_roots(package)
        owners.apply_owners(self.tree, self.var.root, package, files, self.policy.choices)
        if any(file.path.startswith("/var/") for file in files):
            self.var.accept()

    def sysusers(self) -> None:
        """Make the accounts of the sysusers.d files, where that is wanted; raises ScriptletError, ToolError."""
        if not sysusers.wanted(self.tree, self.packages, self.policy):
            return
        ended = self._execute(_Job((sysusers.PROGRAM,)))
        if ended.failure:
            raise ScriptletError("systemd", "sysusers", ended.failure, _last_lines(ended.output))
        self._note_writes("systemd", "sysusers")

    def probe(self) -> None:
        """Raise ScriptletError if the scripts together left a root in which nothing runs."""
        ended = self._execute(_Job((_PROBE,)))
        if ended.failure:
            last = self.timings[-1]
            reason = f"was the last script, and now {_PROBE} can't run in the root"
            raise ScriptletError(last.package, last.phase, reason, _last_lines(ended.output))

    def _job(self, step: ScriptRun) -> _Job:
        """What is to be started for a script, which is written to a file."""
        script, package = step.script, step.package
        body = self._expanded(step) if script.flags & (SCRIPT_EXPAND | SCRIPT_QFORMAT) else script.body
        program, *options = script.interpreter
        env = _prefix_variables(package)
        if program == lua.INTERPRETER:
            text = lua.with_prelude(body, step.arguments, package.prefixes, reads_files=step.stdin is not None)
            return self._lua_job(f"{package.name}.{step.phase}", text, env)
        if not self.tree.exists(program):
            reason = f"can't run: its interpreter {program} is not in the root"
            raise ScriptletError(package.name, step.phase, reason, "")
        if not body:
            return _Job((program, *options), env)
        place = self._write(f"{package.name}.{step.phase}", body)
        return _Job((program, *options, place, *map(str, step.arguments)), env)

    def _lua_job(self, name: str, text: str, env: Mapping[str, str]) -> _Job:
        if self._lua is None:
            self._lua = lua.provide(self.tree, self.scratch)
        return _Job((*self._lua.words, self._write(name, text)), {**env, **self._lua.env}, self._lua.binds)

    def _expanded(self, step: ScriptRun) -> str:
        """The body with macros and header formats filled in, in this order, as librpm has it.

        Macros are expanded inside the sandbox: `%(…)` runs a shell command.
        """
        body = step.script.body
        if step.script.flags & SCRIPT_EXPAND:
            job = self._lua_job("expansion", lua.expansion(body, self.policy.expand_macros), {})
            ended = self._execute(job, errors_apart=True)
            if ended.failure:
                reason = f"has macros whose expansion {ended.failure}"
                raise ScriptletError(step.package.name, step.phase, reason, _last_lines(ended.output))
            body = ended.output.decode("utf-8", "surrogateescape")
        return format_header(step.package.header, body) if step.script.flags & SCRIPT_QFORMAT else body

    def _write(self, name: str, text: str) -> str:
        """Put a script where the sandbox sees it; returns its path there."""
        path = self._scripts / name
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        path.chmod(0o755)
        return f"{_INSIDE}/{name}"

    def _execute(self, job: _Job, stdin: bytes | None = None, *, errors_apart: bool = False) -> _Ended:
        sandbox.check_mount_points(self.tree.path)  # a script before this one may have put links there
        box = sandbox.ScriptSandbox(
            root=self.tree.path,
            var=self.var.root.path,
            bpf=seccomp.filter_path(),
            var_writable=True,
            rpmdb=(self.tree.path / RPMDB_HOME).is_dir(),
            env={"SOURCE_DATE_EPOCH": str(self.policy.source_date_epoch), **job.env},
            binds=(sandbox.Bind(self._scripts, _INSIDE), *job.binds),
            cgroup=self.cgroup,
        )
        with tempfile.TemporaryFile(dir=self.scratch) as lines:
            lines.write(stdin or b"")
            lines.seek(0)
            process = command.spawn(
                job.words,
                sandbox=box,
                stdin=lines.fileno() if stdin else subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if errors_apart else subprocess.STDOUT,
            )
            return _watch(process, self.policy.timeout_seconds)

    def _note_writes(self, name: str, phase: str) -> None:
        changed = self.var.changes()
        if changed:
            accounts = Accounts.of_tree(self.tree)
            self.writes += [VarWrite(name, phase, f"/var/{path}", self.var.line(path, accounts)) for path in changed]


def _prefix_variables(package: Package) -> dict[str, str]:
    if not package.prefixes:
        return {}
    numbered = {f"RPM_INSTALL_PREFIX{index}": prefix for index, prefix in enumerate(package.prefixes)}
    return {"RPM_INSTALL_PREFIX": package.prefixes[0], **numbered}


def _watch(process: subprocess.Popen[bytes], timeout: float) -> _Ended:
    """Read what the process prints until it ends; end it when it takes too long or prints too much."""
    assert process.stdout is not None
    output, failure = bytearray(), ""
    deadline = time.monotonic() + timeout
    try:
        with process.stdout as stream, selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while not failure:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    failure = f"ran longer than {timeout:g} s"
                elif not (chunk := os.read(stream.fileno(), 1 << 16)):
                    break
                elif len(output) + len(chunk) > MAX_OUTPUT_BYTES:
                    failure = f"printed more than {MAX_OUTPUT_BYTES >> 20} MiB"
                else:
                    output += chunk
    except BaseException:
        command.kill(process)
        process.wait()
        raise
    if not failure:
        failure = _wait(process, deadline, timeout)
    if process.poll() is None:
        command.kill(process)
        process.wait()
    return _Ended(failure, bytes(output))


def _wait(process: subprocess.Popen[bytes], deadline: float, timeout: float) -> str:
    """Wait for a process that has closed its output: what is wrong with how it ended."""
    try:
        status = process.wait(max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        return f"ran longer than {timeout:g} s"
    if status == 0:
        return ""
    # bubblewrap reports a signal as a shell does.
    number = status - 128 if status > 128 else -status
    names = {value.value: value.name for value in signal.Signals}
    return f"was killed by {names[number]}" if number in names else f"exited with status {status}"


def _last_lines(output: bytes) -> str:
    lines = command.tail(output).splitlines()
    return "\n".join(lines[-TAIL_LINES:])
