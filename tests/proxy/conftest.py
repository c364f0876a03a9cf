"""The scripted upstream that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.proxy_upstream import Upstream, echo


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[Upstream]:
    """Run one upstream for all tests of a module."""
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Upstream:
    """Return the upstream as it begins: it echoes, and has seen no request."""
    shared_upstream.script = echo
    shared_upstream.requests.clear()
    return shared_upstream
