"""Workers run in the process of the tests, which continues after them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def thawed(nothing_left_open: None) -> Iterator[None]:
    """Undo the worker's gc.freeze, which would keep its sockets open.

    Only where there was one: it thaws all that the tests before have left, and a collection then looks at it.
    """
    frozen = gc.get_freeze_count()
    yield
    if gc.get_freeze_count() > frozen:
        gc.unfreeze()
