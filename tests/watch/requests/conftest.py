"""What holds for the tests of request sources."""

from __future__ import annotations

import pytest

from bench.watch.requests import http_get


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers as long as a busy machine needs: where the limit itself is tested, it is set anew."""
    monkeypatch.setattr(http_get, "TIME_LIMIT_S", 60.0)
