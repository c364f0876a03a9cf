"""Workers run in the process of the tests, which continues after them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Undo the worker's gc.freeze, which would keep its sockets open."""
    yield
    gc.unfreeze()
