# SPDX-License-Identifier: GPL-2.0-or-later
"""A long call into libostree that is told to end before it is known to have begun."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from unittest import mock

import pytest

from rpmtree.ostree.library import interruptible


@pytest.mark.timeout(20)
def test_a_signal_while_a_call_is_begun() -> None:
    submit = ThreadPoolExecutor.submit

    def interrupted(pool: ThreadPoolExecutor, *words: Any) -> Future[None]:
        submit(pool, *words)
        raise KeyboardInterrupt

    def work(cancellable: Any) -> None:
        while not cancellable.is_cancelled():
            time.sleep(0.01)

    with mock.patch.object(ThreadPoolExecutor, "submit", interrupted), pytest.raises(KeyboardInterrupt):
        interruptible(work)
