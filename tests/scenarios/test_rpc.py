"""rpc, played small: every call has its own answer, over the connections of the way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from bench.errors import PlanError
from bench.experiment.environments import DUBBO
from bench.scenarios.rpc.connections import DubboConnection, PoolChannel
from bench.scenarios.rpc.definition import SCENARIO
from tests import bench_process, needs

SMALL = ("--set", "callers=6", "--set", "pool=3", "--set", "rate=60", "--set", "outlier_every=3",
         "--set", "slow_ms=30", "--set", "warmup_s=0.2", "--set", "duration_s=0.6")  # fmt: skip


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    variants = (variant.name for variant in SCENARIO.variants if variant.name != "sdk")
    flags = [flag for variant in variants for flag in ("--variant", variant)]
    answer = bench_process.scenario("rpc", *SMALL, *flags, root=tmp_path_factory.mktemp("rpc"))
    return {trial["variant"]: trial for trial in answer["trials"]}


@pytest.mark.long
def test_no_call_fails_and_each_way_has_its_connections(trials: dict[str, dict[str, Any]]) -> None:
    assert len(trials) == 8
    for variant, trial in trials.items():
        assert (trial["figures"]["failed"], trial["units"] > 0) == (0, True), variant
        assert not bench_process.codes(trial) & {"witnesses-disagree", "failed"}, variant
    accepted = {variant: trial["hops"]["front"]["accepted"] for variant, trial in trials.items()}
    assert accepted["short"] >= trials["short"]["units"]
    assert {accepted[variant] for variant in ("pool", "pool-slow", "pool-large")} == {3}
    assert {
        accepted[variant]
        for variant in ("multiplexed", "multiplexed-slow", "ordered-slow", "multiplexed-large")
    } == {1}


@pytest.mark.long
@pytest.mark.parametrize("subject", ["haproxy", "envoy"])
def test_a_proxy_opens_a_connection_for_each_of_a_client(subject: str, tmp_path: Path) -> None:
    needs.need(subject)
    variants = ("--variant", "short", "--variant", "pool", "--variant", "multiplexed")
    answer = bench_process.scenario("rpc", *SMALL, *variants, "--subject", subject, root=tmp_path)
    for trial in answer["trials"]:
        assert trial["figures"]["failed"] == 0
        assert trial["hops"]["front"]["accepted"] == trial["hops"]["back"]["accepted"]
        assert "witnesses-disagree" not in bench_process.codes(trial)
    assert [trial["hops"]["back"]["accepted"] for trial in answer["trials"][1:]] == [3, 1]


@pytest.mark.long
def test_slow_calls_take_as_long_as_they_are_to(trials: dict[str, dict[str, Any]]) -> None:
    for variant in ("pool-slow", "multiplexed-slow", "ordered-slow"):
        # 30 ms from when the provider's loop last looked at its clock, which may be a moment ago.
        assert trials[variant]["times_ms"]["outlier"]["p50"] > 20


class Silent(DubboConnection):
    """A connection whose answers the test gives."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[asyncio.Future[None]] = []

    def send(self, takes_ms: int, answer_bytes: int) -> asyncio.Future[None]:
        self.calls.append(asyncio.get_running_loop().create_future())
        return self.calls[-1]


async def test_a_pool_serves_who_waits_first_come_first_served() -> None:
    connection = Silent()
    pool, served = PoolChannel([connection]), list[int]()

    async def call(number: int) -> None:
        await pool.call(0, 0)
        served.append(number)

    calls = [asyncio.ensure_future(call(number)) for number in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    for turn in range(2):
        while len(connection.calls) == turn:
            await asyncio.sleep(0)
        connection.calls[turn].set_result(None)
    await asyncio.gather(*calls, return_exceptions=True)
    assert served == [0, 2]


class Written:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


async def test_answers_find_their_calls_in_whatever_order_and_pieces() -> None:
    connection, transport = DubboConnection(), Written()
    connection.connection_made(cast(asyncio.Transport, transport))
    first, second = connection.send(0, 2), connection.send(0, 0)
    answers = bytes.fromhex("dabb0014 0000000000000002 00000000 dabb0014 0000000000000001 00000002 6162")
    for byte in answers[:16]:
        connection.data_received(bytes([byte]))
    assert (first.done(), second.done()) == (False, True)
    connection.data_received(answers[16:])
    assert first.done()


@pytest.mark.parametrize(
    "answer",
    [
        "dabb0014 0000000000000009 00000000",  # to nobody's call
        "dabb0014 0000000000000001 00000001 61",  # of another length
        "dabb0028 0000000000000001 00000002 6162",  # a failure
    ],
)
async def test_an_answer_that_is_not_the_one_awaited_ends_the_connection(answer: str) -> None:
    connection, transport = DubboConnection(), Written()
    connection.connection_made(cast(asyncio.Transport, transport))
    call = connection.send(0, 2)
    connection.data_received(bytes.fromhex(answer))
    assert transport.closed
    connection.connection_lost(None)
    if not call.cancelled():
        with pytest.raises(ConnectionError):
            await call


async def test_a_call_on_a_connection_that_has_ended_fails_at_once() -> None:
    connection, transport = DubboConnection(), Written()
    connection.connection_made(cast(asyncio.Transport, transport))
    transport.close()
    with pytest.raises(ConnectionError):
        connection.send(0, 0)


def test_answers_beyond_dubbo_s_limit_are_refused_before_anything_starts() -> None:
    with pytest.raises(PlanError, match="large_bytes = 8388609 must be 8388608 or less"):
        SCENARIO.plan({"settings": {"large_bytes": 8 * 1024 * 1024 + 1}})


@pytest.mark.long
@needs.unless(DUBBO.is_met, DUBBO.name, DUBBO.remedy)
def test_dubbo_own_callers_share_one_connection(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("rpc")
    (trial,) = bench_process.scenario("rpc", *SMALL, "--variant", "sdk", root=root)["trials"]
    assert (trial["figures"]["failed"], trial["units"] > 0) == (0, True)
    assert trial["hops"]["front"]["accepted"] == 1
