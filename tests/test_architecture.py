# SPDX-License-Identifier: GPL-2.0-or-later
"""The import directions and the doors of ARCHITECTURE.md, read from the source; then each rule is seen to bite."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
OURS = ("compose", "layering", "rpmtree", "kickstart")
BASE = (
    "rpmtree.errors",
    *(f"rpmtree.{name}" for name in ("app", "command", "connections", "console", "files", "mounts", "problems")),
    *("rpmtree.progress", "rpmtree.texts"),
)
#: Who may import whom of ours: the first entry that a module lies in holds. Itself is always allowed.
MAY_IMPORT = {
    "rpmtree.errors": (),
    **dict.fromkeys(BASE[1:], (*BASE, "=rpmtree")),
    "rpmtree.rpm": (*BASE, "rpmtree.rpm"),
    "rpmtree.ostree": (*BASE, "rpmtree.ostree"),
    "rpmtree.pkgcache": (*BASE, "rpmtree.rpm", "rpmtree.ostree", "rpmtree.pkgcache"),
    "rpmtree.root": (*BASE, "rpmtree.rpm", "rpmtree.ostree", "rpmtree.pkgcache", "rpmtree.root"),
    # Finishing steps read the spec, and run dracut and the treefile's scripts in the sandbox.
    "rpmtree.finish": (
        *(*BASE, "rpmtree.rpm", "rpmtree.ostree", "rpmtree.pkgcache"),
        *(f"rpmtree.root.{name}" for name in ("spec", "accounts", "rpmdb", "sandbox")),
        "rpmtree.finish",
    ),
    "rpmtree": (),
    "kickstart": ("rpmtree", "kickstart"),
    "compose": ("rpmtree", "kickstart", "compose"),
    "layering": ("rpmtree", "layering"),
}
#: Foreign modules, and the only places of ours that may import them.
DOORS = {
    ("gi",): ("rpmtree.ostree",),
    ("rpm", "dnf", "hawkey", "libdnf"): ("rpmtree.rpm",),
    ("pydantic", "isal", "pykickstart", "jinja2"): ("compose", "kickstart"),
    ("multiprocessing", "pty"): (),
}
#: Dotted names, and the only modules that may use them.
NAMES = {
    ("sys.exit", "os._exit", "os.abort", "SystemExit", "exit", "quit"): ("rpmtree.app",),
    ("os.environ", "os.environb", "os.getenv", "os.putenv"): ("rpmtree.app", "compose.cli", "layering.cli"),
    ("__import__", "importlib.import_module"): (),
}
STARTS_A_PROCESS = (
    *(f"subprocess.{name}" for name in ("run", "Popen", "call", "check_call", "check_output", "getoutput")),
    *("subprocess.getstatusoutput", "os.system", "os.popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *(f"os.exec{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *("concurrent.futures.ProcessPoolExecutor", "ProcessPoolExecutor"),
)


def violations(top: Path) -> list[str]:
    """`FILE:LINE: rule` for everything below `top` that breaks a rule."""
    trees = {
        ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__"): (path, path.read_text())
        for name in OURS
        for path in sorted((top / name).rglob("*.py"))
    }
    found, graph = [], {}
    for module, (path, text) in trees.items():
        tree = ast.parse(text)
        imports = list(_imports(tree))
        graph[module] = {name if name in trees else name.rpartition(".")[0] for _, name in imports} & set(trees)
        broken = [*_import_rules(module, imports), *_name_rules(module, tree), *_length_rules(tree, text)]
        found += [f"{path.relative_to(top)}:{line}: {rule}" for line, rule in broken]
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found.append(f"import cycle: {' < '.join(error.args[1])}")
    return found


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}") for alias in node.names)


def _within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place.lstrip("=") or (place[0] != "=" and name.startswith(f"{place}.")) for place in places)


def _import_rules(module: str, imports: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    allowed = next(allowed for room, allowed in MAY_IMPORT.items() if _within(module, (room,)))
    for line, name in imports:
        top = name.partition(".")[0]
        if name.startswith("."):
            yield line, "relative import"
        if top in (*OURS, "tests", "benchmarks") and not _within(name, allowed) and name != "rpmtree.__version__":
            yield line, f"{module} may not import {name}"
        if any(top in names and not _within(module, places) for names, places in DOORS.items()):
            yield line, f"{top} is imported elsewhere only"
        if _uses(name, module):
            yield line, f"{name} is used elsewhere only"


def _uses(name: str, module: str) -> bool:
    if name in STARTS_A_PROCESS:
        return module != "rpmtree.command"
    return any(name in names and module not in places for names, places in NAMES.items())


def _name_rules(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    calls = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = ast.unparse(node)
            # `subprocess.Popen[bytes]` as a type starts nothing.
            if _uses(name, module) and (name not in STARTS_A_PROCESS or id(node) in calls):
                yield node.lineno, f"{name} is used elsewhere only"
        if isinstance(node, ast.ExceptHandler) and module != "rpmtree.app" and _catches_everything(node):
            yield node.lineno, "catches everything"


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether bugs would be hidden; cleaning up after anything and raising it again is fine."""
    caught = (
        {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else {"Exception"}
    )
    last = handler.body[-1]
    again = isinstance(last, ast.Raise) and last.exc is None
    return "Exception" in caught or ("BaseException" in caught and not again)


def _length_rules(tree: ast.AST, text: str) -> Iterator[tuple[int, str]]:
    if (lines := text.count("\n")) > 400:
        yield lines, f"module of {lines} lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > 60:
                yield node.lineno, f"function of {lines} lines"


def test_the_house_is_in_order() -> None:
    assert violations(TOP) == []


CONTROLS = [
    ("rpmtree/errors.py", "import rpmtree.files", "may not import"),
    ("rpmtree/files.py", "from rpmtree.rpm import nevra", "may not import"),
    ("rpmtree/rpm/repos.py", "from rpmtree.ostree.repo import x", "may not import"),
    ("rpmtree/ostree/repo.py", "from rpmtree import rpm", "may not import"),
    ("rpmtree/root/assemble.py", "def f():\n    from rpmtree.finish import steps", "may not import"),
    ("rpmtree/finish/etc.py", "from rpmtree.root.assemble import x", "may not import"),
    ("rpmtree/finish/etc.py", "from rpmtree.root import spec, assemble", "may not import"),
    ("rpmtree/root/spec.py", "import compose.treefile", "may not import"),
    ("compose/tree.py", "from layering import plan", "may not import"),
    ("layering/plan.py", "from compose.plan import x", "may not import"),
    ("layering/plan.py", "import kickstart", "may not import"),
    ("compose/tree.py", "from tests.support import rpms", "may not import"),
    ("compose/tree.py", "import benchmarks.compose", "may not import"),
    ("compose/tree.py", "from . import plan", "relative import"),
    ("compose/tree.py", "from gi.repository import OSTree", "gi is imported"),
    ("rpmtree/root/commit.py", "import rpm", "rpm is imported"),
    ("compose/tree.py", "def f():\n    import dnf.base", "dnf is imported"),
    ("rpmtree/root/spec.py", "import pydantic", "pydantic is imported"),
    ("layering/origin.py", "from jinja2 import x", "jinja2 is imported"),
    ("rpmtree/pkgcache/cache.py", "import multiprocessing", "multiprocessing is imported"),
    ("rpmtree/mounts.py", "import subprocess\nsubprocess.run(['x'])", "subprocess.run is used"),
    ("rpmtree/mounts.py", "from subprocess import Popen", "subprocess.Popen is used"),
    ("rpmtree/mounts.py", "import os\nos.execv('x', [])", "os.execv is used"),
    ("compose/cli.py", "import sys\nsys.exit(1)", "sys.exit is used"),
    ("compose/cli.py", "raise SystemExit", "SystemExit is used"),
    ("compose/cli.py", "from sys import exit", "sys.exit is used"),
    ("compose/tree.py", "import os\nos.environ['X']", "os.environ is used"),
    ("compose/tree.py", "from os import getenv", "os.getenv is used"),
    ("compose/tree.py", "import importlib\nimportlib.import_module('gi')", "importlib.import_module is used"),
    ("compose/tree.py", "try:\n    x\nexcept Exception:\n    raise", "catches everything"),
    ("compose/tree.py", "try:\n    x\nexcept (OSError, Exception):\n    raise", "catches everything"),
    ("compose/tree.py", "try:\n    x\nexcept:\n    raise", "catches everything"),
    ("compose/tree.py", "try:\n    x\nexcept BaseException:\n    pass", "catches everything"),
    ("compose/tree.py", "\n" * 401, "module of 401 lines"),
    ("compose/tree.py", "def f():\n" + "    x\n" * 60, "function of 61 lines"),
    ("compose/tree.py", "class C:\n    async def f():\n" + "        x\n" * 60, "function of 61 lines"),
]


@pytest.mark.parametrize(("path", "source", "rule"), CONTROLS)
def test_a_planted_violation_is_found(tmp_path: Path, path: str, source: str, rule: str) -> None:
    _plant(tmp_path, path, source)
    assert [rule in found for found in violations(tmp_path)] == [True]


def test_a_planted_cycle_is_found(tmp_path: Path) -> None:
    _plant(tmp_path, "compose/plan.py", "import compose.tree")
    _plant(tmp_path, "compose/tree.py", "def f():\n    from compose.plan import g")
    assert [found.partition(":")[0] for found in violations(tmp_path)] == ["import cycle"]


ALLOWED = [
    ("rpmtree/rpm/solver.py", "import dnf\nfrom rpmtree.errors import SolveError\nfrom rpmtree import command"),
    ("rpmtree/ostree/repo.py", "import gi\nfrom gi.repository import OSTree"),
    ("rpmtree/finish/steps.py", "from rpmtree.root.spec import FinishSpec\nfrom rpmtree.finish import etc"),
    ("rpmtree/command.py", "import subprocess\nsubprocess.Popen(['x'])"),
    ("rpmtree/root/sandbox.py", "import subprocess\ndef f() -> subprocess.Popen[bytes]: ..."),
    (
        "rpmtree/app.py",
        "import os, sys\nimport rpmtree\nsys.exit(os.environ)\ntry:\n    x\nexcept Exception:\n    pass",
    ),
    ("compose/cli.py", "import os\nfrom rpmtree.app import run\nos.environ"),
    ("compose/treefile.py", "import pydantic\nimport kickstart\ntry:\n    x\nexcept BaseException:\n    raise"),
    ("layering/plan.py", "import rpmtree.root.spec\nfrom rpmtree import __version__\nself.environ\nexited()"),
    ("layering/plan.py", "\n" * 400),
    ("layering/plan.py", "def f():\n" + "    x\n" * 59),
]


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_is_allowed_is_let_through(tmp_path: Path, path: str, source: str) -> None:
    _plant(tmp_path, path, source)
    assert violations(tmp_path) == []


def _plant(top: Path, path: str, source: str) -> None:
    (top / path).parent.mkdir(parents=True, exist_ok=True)
    (top / path).write_text(source)
