"""What holds for every test: the same examples in each run, and nothing left open behind a test.

To search for new examples: `pytest --hypothesis-profile=search`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeat", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeat")


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Collect garbage behind each test: a coroutine or a socket that it left open is its own error."""
    yield
    gc.collect()
