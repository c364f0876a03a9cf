"""The stage of the tests here, and the raw backend on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.lab import open_lab
from tests.perf.stage import RawBackend, Stage


@pytest.fixture(scope="module")
def play() -> Iterator[Stage]:
    with open_lab("loopback") as lab:
        yield Stage(lab)


@pytest.fixture(scope="module")
def backend(play: Stage, tmp_path_factory: pytest.TempPathFactory) -> RawBackend:
    return play.raw_backend(tmp_path_factory.mktemp("backend"), play.near)
