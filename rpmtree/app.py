# SPDX-License-Identifier: GPL-2.0-or-later
"""The frame around both commands: options they share, logging, console, signals, error → exit status.

A front end gives `run` a function that builds its parser. Each verb's parser names its action:

    def main() -> NoReturn:
        run("compose", build_parser)

    def build_parser() -> Parser:
        parser = Parser("compose", description="…")
        verbs = parser.add_subparsers(metavar="VERB")
        tree = verbs.add_parser("tree", help="…")
        tree.set_defaults(action=compose_tree)
        return parser

    def compose_tree(args: argparse.Namespace, app: App) -> None: ...

An action that returns has done its work: status 0. Every other status is that of the error it raised
(the table is in `rpmtree.errors`), 128+n after signal n, or 70 for a bug, with a traceback.
This is the only module that ends the process, and the only one here that reads the environment.
"""

from __future__ import annotations

import argparse
import errno
import faulthandler
import gc
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import rpmtree
from rpmtree.console import RED, Console, JsonLines, Several, Terminal
from rpmtree.errors import STORAGE_ERRORS, NothingToDo, StoreError, ToolError, UsageError
from rpmtree.progress import Reporter

BUG = 70
OUR_LOGGERS = ("rpmtree", "compose", "layering", "kickstart")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What gives a module that pip can't: (Debian's package, Fedora's package).
BINDINGS = {
    "rpm": ("python3-rpm", "python3-rpm"),
    "dnf": ("python3-dnf", "python3-dnf"),
    "hawkey": ("python3-hawkey", "python3-hawkey"),
    "libdnf": ("python3-libdnf", "python3-libdnf"),
    "libcomps": ("python3-libcomps", "python3-libcomps"),
    "gi": ("python3-gi", "python3-gobject-base"),
    "OSTree": ("gir1.2-ostree-1.0", "ostree-libs"),
    "zstandard": ("python3-zstandard", "python3-zstandard"),
    "seccomp": ("python3-seccomp", "python3-libseccomp"),
    "nacl": ("python3-nacl", "python3-pynacl"),
    "yaml": ("python3-yaml", "python3-pyyaml"),
    "rich": ("python3-rich", "python3-rich"),
    "pydantic": ("python3-pydantic", "python3-pydantic"),
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are ours, with the common options on every verb.

    Options can't be shortened, as with rpm-ostree. `-v --debug -q --json --progress-fd` may stand before
    or behind the verb. Parsers made by `add_subparsers` are of this class too.
    """

    def __init__(self, prog: str, **kwargs: Any) -> None:
        super().__init__(prog, allow_abbrev=False, **kwargs)
        self.is_complete = False

    def complete(self) -> None:
        """Add the options that all verbs share: of a parser that is used, since a command has dozens that are not."""
        if not self.is_complete:
            self.is_complete = True
            add_common_options(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse `args`."""
        self.complete()
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        """The text of --help."""
        self.complete()
        return super().format_help()

    def format_usage(self) -> str:
        """The usage line."""
        self.complete()
        return super().format_usage()

    def error(self, message: str) -> NoReturn:
        """Raise UsageError where argparse would end the process."""
        raise UsageError(message, hint=f"{self.prog} --help lists what it takes")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End quietly: only --help and --version come here, with their text already written."""
        raise _Answered


class _Answered(Exception):
    """The parser itself has given the answer that was asked for."""


class Interrupted(BaseException):
    """A signal asks us to stop. Not an Exception, so that only context managers and `run` see it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class _OutputClosed(Exception):
    """Whoever read our stdout has left, as `head` does."""


@dataclass(frozen=True, slots=True)
class App:
    """What an action gets from the frame."""

    program: str
    reporter: Reporter
    #: Whether the user asked for JSON (`--json`).
    json: bool
    environ: Mapping[str, str]

    def print(self, text: str) -> None:
        """Write a line of the result to stdout, at once."""
        _write_stdout(text + "\n")

    def print_json(self, value: object) -> None:
        """Write a result as JSON; keys keep their order."""
        self.print(json.dumps(value, indent=2, ensure_ascii=False))


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add what every verb takes. Nothing is stored for an option that is absent: see `_fill`."""
    group = parser.add_argument_group("common options")
    absent = argparse.SUPPRESS
    group.add_argument("--version", action="version", version=f"{parser.prog.split()[0]} {rpmtree.__version__}")
    group.add_argument("-v", "--verbose", action="store_true", default=absent, help="say more")
    group.add_argument("--debug", action="store_true", default=absent, help="say all, each started program too")
    group.add_argument("-q", "--quiet", action="store_true", default=absent, help="no progress, only warnings")
    group.add_argument("--json", action="store_true", default=absent, help="answers and errors as JSON on stdout")
    group.add_argument(
        "--progress-fd", type=int, metavar="N", default=absent, help="also write progress as JSON lines to descriptor N"
    )


def run(program: str, build_parser: Callable[[], Parser], argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command `program` with `argv` (the process's own by default) and end the process.

    Sets the umask: a user's must not shape an image.
    """
    os.umask(0o022)
    gc.set_threshold(100_000, 50, 50)  # hundreds of modules are loaded, and to look for cycles in them takes time
    if sys.stderr is not None:
        faulthandler.enable()  # a crash in a binding shows where
    status = invoke(program, build_parser, sys.argv[1:] if argv is None else argv, os.environ)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # all is done; Python's end is no time for a KeyboardInterrupt
    gc.freeze()  # Python's end takes a tenth of the time of `layer status`, most of it for one more such look
    sys.exit(status)


def invoke(program: str, build_parser: Callable[[], Parser], argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what `run` does, but return the exit status. Main thread only, for the signals."""
    # Until the options are read, errors go to plain lines; whether as JSON too is seen from the bare word.
    console = Console(sys.stderr)
    as_json = "--json" in argv
    try:
        with signals_raised():
            try:
                with _stdout():  # for --help and --version
                    args = _fill(build_parser().parse_args(argv))
                console = _console(args, environ)
                with logging_to(console, args):
                    args.action(args, App(program, _reporter(args, console), args.json, environ))
            except _Answered:
                pass
            finally:
                console.close()
            _write_stdout("")
    except Interrupted as error:
        console.line(f"stopped by {error}", "error", RED)
        return 128 + error.signum
    except _OutputClosed:
        return 128 + signal.SIGPIPE
    except ToolError as error:
        return _show(console, error, as_json)
    except Exception as error:  # the one place: what nobody foresaw becomes a status and a report
        known = explain(error)
        return _show(console, known, as_json) if known else _show_bug(console, program, error)
    return 0


def explain(error: Exception) -> ToolError | None:
    """The ToolError that says what to do about a failure of the machine or of its set-up; None for a bug."""
    if isinstance(error, MemoryError):
        return ToolError("out of memory", hint="free some, or give the machine or control group more")
    if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return StoreError(f"{where}{error.strerror}", hint="free some space, then run this again" if full else None)
    if isinstance(error, ImportError | ValueError):
        return _missing_binding(error)
    return None


def _missing_binding(error: ImportError | ValueError) -> ToolError | None:
    """Name the packages that hold a module we stand on; None for modules of our own."""
    name = ((isinstance(error, ImportError) and error.name) or "").partition(".")[0]
    # How gi.repository and gi.require_version put it that gi is there and the description of libostree is not.
    if str(error).startswith(("cannot import name OSTree, introspection", "Namespace OSTree not available")):
        name = "OSTree"
    if name not in BINDINGS:
        return None
    debian, fedora = BINDINGS[name]
    hint = f"install {debian} (Debian) or {fedora} (Fedora)"
    if sys.base_prefix != "/usr":
        hint += "; they are for /usr/bin/python3: `make setup` makes a virtual environment from it"
    return ToolError(f"{sys.executable} can't import {name}", hint=hint)


def _fill(args: argparse.Namespace) -> argparse.Namespace:
    """Give absent common options their values; raises UsageError where no verb was named."""
    for name in ("verbose", "debug", "quiet", "json"):
        setattr(args, name, getattr(args, name, False))
    args.progress_fd = getattr(args, "progress_fd", None)
    if not hasattr(args, "action"):
        raise UsageError("what is to be done? A verb is missing", hint="--help lists the verbs")
    return args


def _console(args: argparse.Namespace, environ: Mapping[str, str]) -> Console:
    stream = sys.stderr
    if stream is None or args.quiet or environ.get("TERM") == "dumb" or not stream.isatty():
        return Console(stream, quiet=args.quiet)
    return Terminal(stream, color=not environ.get("NO_COLOR"))


def _reporter(args: argparse.Namespace, console: Console) -> Reporter:
    if args.progress_fd is None:
        return console
    try:
        stream = open(args.progress_fd, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  it lives as long as we do
    except OSError as error:
        raise UsageError(f"--progress-fd {args.progress_fd}: {error.strerror}") from error
    return Several((console, JsonLines(stream)))


@contextmanager
def logging_to(console: Console, args: argparse.Namespace) -> Iterator[None]:
    """Send log records to the console: warnings always, ours with -v, everything with --debug."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.line(self.format(record))

    handler = Handler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s" if args.debug else "%(message)s"))
    root = logging.getLogger()
    level = logging.DEBUG if args.debug else logging.INFO if args.verbose else logging.WARNING
    levels = {"": logging.DEBUG if args.debug else logging.WARNING, **dict.fromkeys(OUR_LOGGERS, level)}
    before = {name: logging.getLogger(name).level for name in levels}
    for name, value in levels.items():
        logging.getLogger(name).setLevel(value)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for name, value in before.items():
            logging.getLogger(name).setLevel(value)


@contextmanager
def signals_raised() -> Iterator[None]:
    """Turn the first of SIGNALS into Interrupted in the main thread, and ignore what follows.

    So context managers undo their mounts and files undisturbed. A signal that is ignored on entry
    (`nohup`, a shell's background job) stays ignored.
    """
    taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(signum: int, _frame: object) -> None:
        for number in taken:
            signal.signal(number, signal.SIG_IGN)
        raise Interrupted(signum)

    before = {number: signal.signal(number, stop) for number in taken}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _stdout() -> Iterator[None]:
    """Tell a reader that has left from a full disk; both leave nothing to flush when Python ends."""
    try:
        yield
    except BrokenPipeError as error:
        _drop_stdout()
        raise _OutputClosed from error
    except OSError as error:
        _drop_stdout()
        raise ToolError(f"can't write to standard output: {error.strerror}") from error


def _write_stdout(text: str) -> None:
    if sys.stdout is not None:
        with _stdout():
            sys.stdout.write(text)
            sys.stdout.flush()
    elif text:
        raise ToolError("standard output is closed")


def _drop_stdout() -> None:
    with open(os.devnull, "wb") as devnull:
        os.dup2(devnull.fileno(), sys.stdout.fileno())


def _show(console: Console, error: ToolError, as_json: bool) -> int:
    """Show an error for people on stderr, and as JSON on stdout where that was asked for."""
    place = f"{error.place}: " if error.place else ""
    if isinstance(error, NothingToDo):
        console.line(error.message)
    else:
        console.line(place + error.message, "error", RED)
    if error.detail:
        console.line(error.detail)
    if error.hint:
        console.line(error.hint, "hint")
    if as_json and not error.answered:
        with suppress(_OutputClosed, ToolError):
            _write_stdout(json.dumps({"error": _as_value(error)}, ensure_ascii=False) + "\n")
    return error.exit_code


def _as_value(error: ToolError) -> dict[str, object]:
    place = error.place
    return {
        "class": type(error).__name__,
        "status": error.exit_code,
        "message": error.message,
        "place": {"file": place.file, "line": place.line, "column": place.column} if place else None,
        "detail": error.detail,
        "hint": error.hint,
    }


def _show_bug(console: Console, program: str, error: Exception) -> int:
    import platform

    console.line("".join(traceback.format_exception(error)).rstrip())
    console.line(f"this is a bug in {program}: {type(error).__name__}: {error}", "error", RED)
    versions = f"{program} {rpmtree.__version__}, Python {platform.python_version()}, {platform.platform()}"
    console.line(f"please report it, with all lines from Traceback on and what you ran: {versions}", "hint")
    return BUG
