"""One cluster for all tests of the room: it takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import clusters
from tests.cluster.clusters import RunningCluster
from tests.driving import drive, user

__all__ = ["cluster", "drive", "user"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Return a running cluster of four hosts, each of which offers a client, a proxy and a backend.

    A test leaves it as it was: without tasks, and with all of its workers.
    """
    clusters.need()
    with clusters.started(tmp_path_factory.mktemp("cluster"), "--local", "4") as running:
        yield running
