"""Workers run here in the process of the tests, which goes on when they are done."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """A worker freezes what lives as it begins, for good: its sockets would stay open, too."""
    yield
    gc.unfreeze()
