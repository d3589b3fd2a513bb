# SPDX-License-Identifier: GPL-2.0-or-later
"""What all tests share: what they may rely on, and what they must leave as it was.

`@pytest.mark.needs("bwrap", "root", "dnf:", …)` names programs, modules (with a colon) and the word `root`.
Where one is missing, the test is skipped on a laptop and fails where the variable CI is set.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpmtree.command import is_program

TOP = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    sys.addaudithook(_refuse_the_network)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing(*(name for name in marker.args if not _is_here(name)))


def missing(*what: str) -> None:
    """Skip the running test, or fail it under CI, if `what` is not empty."""
    if what:
        reason = f"missing: {', '.join(what)}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def _is_here(name: str) -> bool:
    if name == "root":
        return os.geteuid() == 0
    if name.endswith(":"):
        return importlib.util.find_spec(name.removesuffix(":")) is not None
    return is_program(name)


def _refuse_the_network(event: str, args: tuple[object, ...]) -> None:
    """An audit hook: this process may talk to itself alone. Programs that tests start are not held by it."""
    if event in {"socket.connect", "socket.bind", "socket.sendto"}:
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None  # a path or a number: never leaves the machine
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    if host is not None and not is_loopback(host):
        raise PermissionError(f"tests may not reach {host}: {event}")


def is_loopback(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@pytest.fixture(autouse=True)
def _leaves_the_process_as_it_was() -> Iterator[None]:
    before = _process_state()
    yield
    assert _process_state() == before


def _process_state() -> dict[str, object]:
    umask = os.umask(0o022)
    os.umask(umask)
    environ = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {"environment": environ, "directory": os.getcwd(), "umask": umask}


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference material and collections of real treefiles, which may lie beside the checkout."""
    path = TOP.parent / "shared"
    if not path.is_dir():
        pytest.skip("there is no reference material beside the checkout")
    return path


@pytest.fixture(scope="session")
def distro() -> Path:
    """The directory with the embedded distributions, which `make distro` makes."""
    path = TOP / "build" / "distro"
    if not is_program("apt-get"):
        pytest.skip("the embedded distributions are made out of Debian packages")
    if not path.is_dir():
        missing("build/distro (`make distro` makes it)")
    return path
