# SPDX-License-Identifier: GPL-2.0-or-later
"""The frame of both commands: what each ending looks like to people, to scripts and to the shell."""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rpmtree import app, errors
from rpmtree.app import App, Parser, explain
from rpmtree.errors import ConfigError, NothingToDo, Place, SolveError, StoreError, ToolError, UsageError
from rpmtree.progress import step

TOP = Path(app.__file__).parents[1]
Action = Callable[[argparse.Namespace, App], None]


def invoke(action: Action, *argv: str, environ: dict[str, str] | None = None) -> int:
    """Run a command with the one verb `do`, which is `action`."""

    def build_parser() -> Parser:
        parser = Parser("strata")
        verb = parser.add_subparsers().add_parser("do")
        verb.add_argument("--option")
        verb.set_defaults(action=action)
        return parser

    return app.invoke("strata", build_parser, argv, environ or {})


def raising(error: BaseException) -> Action:
    def action(_args: argparse.Namespace, _app: App) -> None:
        raise error

    return action


def nothing(_args: argparse.Namespace, _app: App) -> None:
    pass


class TestEndings:
    def test_an_action_that_returns_is_done(self, capfd: pytest.CaptureFixture[str]) -> None:
        def action(_args: argparse.Namespace, app: App) -> None:
            app.print("result")
            app.print_json({"b": 1, "a": "ü"})

        assert invoke(action, "do") == 0
        out, err = capfd.readouterr()
        assert out == 'result\n{\n  "b": 1,\n  "a": "ü"\n}\n'
        assert err == ""

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (ToolError("x"), 1),
            (UsageError("x"), 2),
            (ConfigError("x"), 3),
            (SolveError("x", ["y"]), 4),
            (errors.FetchError("x"), 5),
            (errors.ScriptletError("a", "post", "b", "c"), 6),
            (errors.CommandFailed(["x"], 1, ""), 7),
            (StoreError("x"), 8),
            (errors.ConflictError("/x", ["a", "b"]), 9),
            (errors.BusyError("x"), 75),
            (NothingToDo("x"), 77),
            (ZeroDivisionError("x"), 70),
            (MemoryError(), 1),
        ],
    )
    def test_each_error_has_its_status(self, error: Exception, status: int, capfd: pytest.CaptureFixture[str]) -> None:
        assert invoke(raising(error), "do") == status
        out, err = capfd.readouterr()
        assert out == ""
        assert ("Traceback" in err) == (status == 70)

    def test_an_error_is_place_message_detail_hint(self, capfd: pytest.CaptureFixture[str]) -> None:
        error = ConfigError("no such key", place=Place("a.yaml", 3, 9), detail="one\ntwo", hint="drop it")
        assert invoke(raising(error), "do") == 3
        assert capfd.readouterr().err == "error: a.yaml:3:9: no such key\none\ntwo\nhint: drop it\n"

    @pytest.mark.parametrize("argv", [("do", "--json"), ("--json", "do")])
    def test_an_error_is_json_too_where_asked(self, argv: Sequence[str], capfd: pytest.CaptureFixture[str]) -> None:
        error = ConfigError("no such key", place=Place("a.yaml", 3, 9), hint="drop it")
        assert invoke(raising(error), *argv) == 3
        out, err = capfd.readouterr()
        assert json.loads(out) == {
            "error": {
                "class": "ConfigError",
                "status": 3,
                "message": "no such key",
                "place": {"file": "a.yaml", "line": 3, "column": 9},
                "detail": None,
                "hint": "drop it",
            }
        }
        assert err.startswith("error: a.yaml:3:9: ")

    def test_having_nothing_to_do_is_no_error(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert invoke(raising(NothingToDo("No change.")), "do") == 77
        assert capfd.readouterr().err == "No change.\n"

    def test_a_bug_says_what_to_report(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert invoke(raising(KeyError("x")), "do") == 70
        err = capfd.readouterr().err
        assert err.startswith("Traceback")
        assert "error: this is a bug in strata: KeyError: 'x'" in err.splitlines()
        assert "Python 3." in err.splitlines()[-1]

    def test_control_characters_do_not_reach_the_terminal(self, capfd: pytest.CaptureFixture[str]) -> None:
        invoke(raising(ToolError("x", detail="\x1b]0;title\x07\tü\x9b\r")), "do")
        assert capfd.readouterr().err == "error: x\n\\x1b]0;title\\x07\tü\\x9b\\x0d\n"


class TestCommandLine:
    @pytest.mark.parametrize(
        "argv", [(), ("undo",), ("do", "--bogus"), ("do", "--opt=1"), ("--progress-fd", "x", "do")]
    )
    def test_a_wrong_one_is_a_usage_error(self, argv: Sequence[str], capfd: pytest.CaptureFixture[str]) -> None:
        assert invoke(nothing, *argv) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert "hint: " in err

    @pytest.mark.parametrize(("argv", "start"), [(("--version",), "strata 0"), (("do", "--help"), "usage: strata do")])
    def test_answers_of_the_parser(self, argv: Sequence[str], start: str, capfd: pytest.CaptureFixture[str]) -> None:
        assert invoke(raising(AssertionError()), *argv) == 0
        out, err = capfd.readouterr()
        assert out.startswith(start)
        assert err == ""

    @pytest.mark.parametrize(
        ("argv", "options"),
        [
            (("do",), (False, False, False, False, None)),
            (("-v", "--debug", "do", "-q", "--json"), (True, True, True, True, None)),
            (("do", "-v"), (True, False, False, False, None)),
            (("-v", "do"), (True, False, False, False, None)),
            (("--progress-fd=2", "do"), (False, False, False, False, 2)),
        ],
    )
    def test_common_options_stand_anywhere(self, argv: Sequence[str], options: tuple[object, ...]) -> None:
        seen = []

        def action(args: argparse.Namespace, _app: App) -> None:
            seen.append((args.verbose, args.debug, args.quiet, args.json, args.progress_fd))

        assert invoke(action, *argv) == 0
        assert seen == [options]


class TestMachine:
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
    def test_a_full_or_broken_disk_is_no_bug(self, code: int) -> None:
        found = explain(OSError(code, os.strerror(code), "/repo/objects"))
        assert isinstance(found, StoreError)
        assert found.message.startswith("/repo/objects: ")
        assert type(explain(OSError(code, os.strerror(code)))) is StoreError

    @pytest.mark.parametrize(
        "error", [OSError(errno.ENOENT, "x", "/y"), ValueError("x"), ModuleNotFoundError(name="rpmtree.x")]
    )
    def test_other_errors_are_bugs(self, error: Exception) -> None:
        assert explain(error) is None

    @pytest.mark.parametrize(
        ("error", "packages"),
        [
            (ModuleNotFoundError(name="rpm"), {"python3-rpm"}),
            (ModuleNotFoundError(name="dnf.base"), {"python3-dnf"}),
            (ModuleNotFoundError(name="gi"), {"python3-gi", "python3-gobject-base"}),
            (
                ImportError("cannot import name OSTree, introspection typelib not found"),
                {"gir1.2-ostree-1.0", "ostree-libs"},
            ),
            (ValueError("Namespace OSTree not available"), {"gir1.2-ostree-1.0", "ostree-libs"}),
        ],
    )
    def test_a_missing_binding_names_its_packages(self, error: Exception, packages: set[str]) -> None:
        found = explain(error)
        assert type(found) is ToolError
        assert packages <= set((found.hint or "").replace(";", " ").split())

    def test_gi_speaks_of_a_missing_typelib_as_expected(self) -> None:
        """So that the errors above, which are made up, are those of the real thing."""
        import gi

        with pytest.raises(ImportError, match=r"^cannot import name NoSuchLibrary, introspection"):
            from gi.repository import NoSuchLibrary  # noqa: F401
        with pytest.raises(ValueError, match=r"^Namespace NoSuchLibrary not available"):
            gi.require_version("NoSuchLibrary", "1.0")


class TestSignals:
    @pytest.fixture(autouse=True)
    def as_from_a_terminal(self) -> Iterator[None]:
        """nohup, and a shell for what it runs in the background, have some ignored."""
        before = {number: signal.signal(number, signal.SIG_DFL) for number in app.SIGNALS}
        yield
        for number, handler in before.items():
            signal.signal(number, handler)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_context_managers_undo_undisturbed(self, number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
        undone = []

        def action(_args: argparse.Namespace, _app: App) -> None:
            try:
                os.kill(os.getpid(), number)
                signal.pause()
            finally:
                for again in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    os.kill(os.getpid(), again)
                undone.append(True)

        before = {number: signal.getsignal(number) for number in app.SIGNALS}
        assert invoke(action, "do") == 128 + number
        assert undone == [True]
        assert {number: signal.getsignal(number) for number in app.SIGNALS} == before
        assert capfd.readouterr().err == f"error: stopped by {number.name}\n"

    def test_a_signal_ignored_on_entry_stays_ignored(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            assert invoke(lambda _args, _app: os.kill(os.getpid(), signal.SIGHUP), "do") == 0
        finally:
            signal.signal(signal.SIGHUP, before)


def report(_args: argparse.Namespace, app: App) -> None:
    with step(app.reporter, "Counting") as running:
        app.reporter.advanced(1, 2)
        app.reporter.note("by the way")
        app.reporter.warning("look out")
        logging.getLogger("rpmtree.test").debug("a command")
        logging.getLogger("rpmtree.test").info("a detail")
        logging.getLogger("foreign").info("not ours")
        logging.getLogger("foreign").warning("foreign warning")
        running.summary = "2 things"


class TestProgress:
    def test_plain_lines_in_a_pipe(self, capfd: pytest.CaptureFixture[str]) -> None:
        assert invoke(report, "do") == 0
        out, err = capfd.readouterr()
        assert out == ""
        *lines, last = err.splitlines()
        assert lines == ["Counting... ", "by the way", "warning: look out", "foreign warning"]
        assert last.startswith("  2 things, ")

    @pytest.mark.parametrize(
        ("option", "present", "absent"),
        [
            ("-q", ["warning: look out"], ["Counting... ", "by the way"]),
            ("-v", ["a detail"], ["a command", "not ours"]),
            ("--debug", ["DEBUG rpmtree.test: a command", "INFO foreign: not ours"], []),
        ],
    )
    def test_how_much_is_said(
        self, option: str, present: list[str], absent: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert invoke(report, "do", option) == 0
        lines = capfd.readouterr().err.splitlines()
        assert [line for line in present if line not in lines] == []
        assert [line for line in absent if line in lines] == []

    def test_json_lines_on_a_descriptor(self, capfd: pytest.CaptureFixture[str]) -> None:
        reader, writer = os.pipe()
        try:
            assert invoke(report, "do", f"--progress-fd={writer}") == 0
        finally:
            os.close(writer)
        with os.fdopen(reader) as lines:
            assert [json.loads(line) for line in lines] == [
                {"event": "step_started", "name": "Counting"},
                {"event": "advanced", "done": 1, "total": 2},
                {"event": "note", "text": "by the way"},
                {"event": "warning", "text": "look out"},
                {"event": "step_done", "name": "Counting", "summary": "2 things"},
            ]
        assert "Counting... " in capfd.readouterr().err

    def test_a_descriptor_that_is_not_open(self) -> None:
        assert invoke(report, "do", "--progress-fd=999") == 2


LAYER = "from layering.cli import main; main()"


class TestProcess:
    """What only a real process shows."""

    @pytest.mark.parametrize("option", ["--version", "--help"])
    def test_a_reader_that_left_is_no_error(self, option: str) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            done = layer(option, stdout=writer)
        finally:
            os.close(writer)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")

    def test_a_full_disk_for_the_result(self) -> None:
        with open("/dev/full", "w") as full:
            done = layer("--version", stdout=full.fileno())
        assert done.returncode == 1
        assert done.stderr.startswith(b"error: ")
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-"])
    def test_closed_streams_are_no_crash(self, closing: str) -> None:
        argv = ["sh", "-c", f'"$@" {closing}', "sh", sys.executable, "-c", LAYER, "install"]
        assert subprocess.run(argv, cwd=TOP, stderr=subprocess.DEVNULL, check=False).returncode == 2

    def test_the_users_umask_does_not_count(self) -> None:
        code = "import os; from layering.cli import main\ntry: main()\nexcept SystemExit: print(oct(os.umask(0)))"
        done = subprocess.run(
            ["sh", "-c", 'umask 077; "$@"', "sh", sys.executable, "-c", code], cwd=TOP, stdout=-1, stderr=-1, check=True
        )
        assert done.stdout == b"0o22\n"

    def test_a_start_loads_nothing_heavy(self) -> None:
        code = "import sys; from layering.cli import main\ntry: main()\nexcept SystemExit: print(*sorted(sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, check=True)
        loaded = set(done.stdout.decode().split())
        assert "rpmtree.app" in loaded
        assert loaded & {"rich", "pydantic", "dnf", "gi", "rpm", "yaml", "zstandard", "asyncio"} == set()


def layer(*argv: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", LAYER, *argv]
    return subprocess.run(command, cwd=TOP, stdout=stdout, stderr=subprocess.PIPE, check=False)
