# SPDX-License-Identifier: GPL-2.0-or-later
"""The treefile's own scripts, run in the sandbox with the finished packages as their /."""

from __future__ import annotations

from rpmtree import command
from rpmtree.errors import CommandFailed, ConfigError
from rpmtree.files import Root
from rpmtree.progress import Reporter
from rpmtree.root.sandbox import image_sandbox
from rpmtree.root.spec import FinishSpec

_INLINE = "rpmostree-postprocess-inline-{}"
_FROM_FILE = "rpmostree-treefile-postprocess-script"


def apply(root: Root, spec: FinishSpec, reporter: Reporter) -> None:
    """Run spec.postprocess in order, then spec.postprocess_script; what they print becomes notes.

    Raises CommandFailed with the end of its output if one fails, ConfigError if the file can't be read.
    """
    for number, text in enumerate(spec.postprocess):
        _run(root, spec, reporter, _INLINE.format(number), text.encode())
    if spec.postprocess_script is not None:
        try:
            content = spec.postprocess_script.read_bytes()
        except OSError as error:
            raise ConfigError(f"postprocess-script: {spec.postprocess_script}: {error.strerror}") from error
        _run(root, spec, reporter, _FROM_FILE, content)


def _run(root: Root, spec: FinishSpec, reporter: Reporter, name: str, content: bytes) -> None:
    path = f"usr/bin/{name}"
    root.makedirs("usr/bin")
    root.write(path, content, 0o755)
    try:
        sandbox = image_sandbox(root.path, writable_var=True, source_date_epoch=spec.source_date_epoch)
        done = command.run([f"/{path}"], sandbox=sandbox, check=False)
    finally:
        root.remove(path)
    output = done.stdout + done.stderr
    if done.status != 0:
        raise CommandFailed((name,), done.status, command.tail(output))
    for line in command.tail(output).splitlines():
        reporter.note(f"{name}: {line}")
