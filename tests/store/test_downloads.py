# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads in threads that are told to end, at the moments that are hard to meet from outside."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import pytest

from rpmtree.errors import FetchError
from rpmtree.progress import Reporter
from rpmtree.rpm.downloads import package_files


class Silent:
    """A fetcher whose server says nothing."""

    def __init__(self) -> None:
        self.waits = threading.Event()
        self.gave_up = False

    def download(self, *_: object, **__: object) -> None:
        here, there = socket.socketpair()
        with here, there:
            self.waits.set()
            here.recv(1)
        raise FetchError("the connection ended")

    def give_up(self) -> None:
        self.gave_up = True


@pytest.mark.timeout(20)
@pytest.mark.parametrize("known", [True, False], ids=["between two", "before anybody knows of it"])
def test_a_signal_while_downloads_are_begun(tmp_path: Path, *, known: bool) -> None:
    fetcher, submit, count = Silent(), ThreadPoolExecutor.submit, 0

    def interrupted(pool: ThreadPoolExecutor, *words: Any) -> Future[None]:
        nonlocal count
        count += 1
        future = submit(pool, *words) if not known or count == 1 else None
        if count == 2:
            assert fetcher.waits.wait(10)
            raise KeyboardInterrupt
        assert future is not None
        return future

    packages = [
        SimpleNamespace(
            repo_id="r", nevra=SimpleNamespace(name=name), location=name, checksum="sha256:0", download_size=1
        )
        for name in "abc"
    ]
    metadata = SimpleNamespace(repo=SimpleNamespace(local=None), urls=["http://localhost/"])
    with mock.patch.object(ThreadPoolExecutor, "submit", interrupted), pytest.raises(KeyboardInterrupt):
        package_files(
            cast("Any", packages), cast("Any", {"r": metadata}), cast("Any", {"r": fetcher}), tmp_path, Reporter()
        )
    assert fetcher.gave_up
    assert count == 2
