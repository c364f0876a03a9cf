"""The drivers of the shapes send the requests of the table, byte for byte, and wait for their responses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests import needs
from tests.perf.cases import LOADS, Case, cases
from tests.perf.drivers import Driver
from tests.perf.shapes import SHAPES
from tests.perf.stage import RawBackend, Stage

TIMEOUT_S = 60.0
ENOUGH = 50
"""Responses that are more than there are connections."""


def need(driver: Driver) -> None:
    if driver.is_wrk:
        needs.need("wrk")


def first_bytes(listener: socket.socket, size: int) -> bytes:
    """Return what the first client sends that sends anything: wrk begins with a probe."""
    while True:
        client, _ = listener.accept()
        client.settimeout(TIMEOUT_S)
        with client, client.makefile("rb") as reader:
            if data := reader.read(size):
                return data


@pytest.mark.parametrize("name", ["browser", "form", "post-go", "head"])
def test_what_is_sent_is_a_request_of_the_table(name: str, play: Stage, tmp_path: Path) -> None:
    driver = Driver(SHAPES[name], play.near, tmp_path)
    need(driver)
    known = {b"".join(pieces) for pieces in driver.shape.requests()}
    size = len(next(iter(known)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT_S)
        with driver.drive(f"127.0.0.1:{listener.getsockname()[1]}", 1):
            assert first_bytes(listener, size) in known


@pytest.mark.parametrize("name", ["304", "chunked", "post-late", "head"])
def test_a_driver_goes_on_after_each_response(
    name: str, play: Stage, backend: RawBackend, tmp_path: Path
) -> None:
    driver = Driver(SHAPES[name], play.near, tmp_path)
    need(driver)
    backend.shape(name)
    before = backend.count()
    with driver.drive(backend.address, 4) as driven:
        while backend.count().since(before).requests < ENOUGH:
            assert backend.process.returncode is None
    assert driven.errors == 0
    assert driven.answered >= ENOUGH - 4


def test_a_wrong_response_is_an_error(play: Stage, backend: RawBackend, tmp_path: Path) -> None:
    driver = Driver(SHAPES["head"], play.near, tmp_path)
    backend.shape("304")
    before = backend.count()
    with driver.drive(backend.address, 4) as driven:
        while backend.count().since(before).requests < ENOUGH:
            assert backend.process.returncode is None
    assert driven.errors == driven.answered > 0


def test_every_shape_is_measured_under_some_load() -> None:
    assert {case.shape.name for case in cases(LOADS["keepalive"], ())} == set(SHAPES)
    for load in LOADS.values():
        assert set(load.shapes) <= set(SHAPES)
        assert [case.shape.name for case in cases(load, ("plain",))] == ["plain"]


def test_a_server_that_closes_is_not_asked_to_wait_for_the_proxy() -> None:
    closing = {name for name, shape in SHAPES.items() if shape.closes}
    assert closing >= {"gunicorn", "until-close", "http-server"}
    assert not closing & {case.shape.name for case in cases(LOADS["short"], tuple(SHAPES))}
    assert closing < {case.shape.name for case in cases(LOADS["closing"], tuple(SHAPES))}


@pytest.mark.parametrize(
    ("name", "load", "limit"),
    [
        ("plain", "keepalive", 1.25),
        ("browser", "keepalive", 1.4),
        ("browser", "short", 1.25),
        ("browser", "closing", 1.6),
        ("plain", "2000", 1.0),
        ("browser", "2000", None),
        ("plain", "2000-short", None),
        ("plain", "asyncio", None),
    ],
)
def test_the_targets_are_those_that_were_set(name: str, load: str, limit: float | None) -> None:
    target = Case(SHAPES[name], LOADS[load]).of_nginx
    assert (None if target is None else target.limit) == limit
