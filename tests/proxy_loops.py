"""The event loops that the proxy may run on: what depends on the loop is tested on each of them."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import itertools
from collections.abc import Callable, Iterator

import pytest

from proxy.server import loop_module
from tests import needs

HAS_UVLOOP = importlib.util.find_spec("uvloop") is not None
LOOPS = (
    "asyncio",
    pytest.param("uvloop", marks=needs.unless(HAS_UVLOOP, "uvloop", "make .venv/.dev")),
)
"""Values of `--loop`."""


@contextlib.contextmanager
def new_loop(name: str) -> Iterator[asyncio.AbstractEventLoop]:
    """Make a loop of this name, and close it in the end."""
    loop = loop_module(name).new_event_loop()
    try:
        yield loop
    finally:
        loop.close()


def turn_until(loop: asyncio.AbstractEventLoop, happened: Callable[[], object]) -> None:
    """Run turns of the loop until something has happened."""

    async def wait() -> None:
        while not happened():
            await asyncio.sleep(0)

    loop.run_until_complete(wait())


def take_turns(loop: asyncio.AbstractEventLoop, number: int = 3) -> None:
    """Run some turns, so that what waits for the end of one is done."""
    counted = itertools.count()
    turn_until(loop, lambda: next(counted) == number)
