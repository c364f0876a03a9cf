"""The end of processes that are no children of ours."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

POLL_S = 0.01


def still_running(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait for the end of `processes`, and return those that run all the same.

    A zombie has ended: whoever adopted it reaps it when they like, some after seconds.
    """
    deadline = time.monotonic() + timeout_s
    while (alive := [each for each in processes if _runs(each)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
