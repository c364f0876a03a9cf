"""http2, played small: how many connections each way takes on each hop, and what waits behind what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backends.scenarios.http2 import slow_s
from bench.scenarios.client.process import Go
from bench.scenarios.http2.clients import RequestLoops, next_due
from tests import bench_process, needs

SMALL = ("--set", "concurrent=4", "--set", "warmup_s=0.3", "--set", "duration_s=0.7",
         "--set", "slow_every_s=0.3", "--set", "slow_ms=100")  # fmt: skip


def found(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trial["variant"]: trial for trial in answer["trials"]}


@pytest.fixture(scope="module")
def direct(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    root = tmp_path_factory.mktemp("http2")
    return found(bench_process.scenario("http2", *SMALL, "--subject", "direct", root=root))


@pytest.mark.long
@pytest.mark.parametrize("variant", ["short", "keep-alive", "one", "h2"])
def test_every_request_is_answered_and_all_witnesses_agree(direct: Any, variant: str) -> None:
    assert direct[variant]["figures"]["failed"] == 0
    assert direct[variant]["units"] > 0
    assert "witnesses-disagree" not in bench_process.codes(direct[variant])


@pytest.mark.long
def test_each_way_takes_its_number_of_connections(direct: Any) -> None:
    opened = {variant: trial["figures"]["server_connections"] for variant, trial in direct.items()}
    assert opened["short"] >= direct["short"]["units"]
    assert 4 <= opened["keep-alive"] <= 5
    assert (opened["one"], opened["h2"]) == (1, 1)
    assert direct["h2"]["figures"]["server_http2_connections"] == 1


@pytest.mark.long
def test_http2_sends_what_repeats_once(direct: Any) -> None:
    assert direct["h2"]["figures"]["sent_bytes"] < direct["keep-alive"]["figures"]["sent_bytes"] / 2


@pytest.mark.long
def test_only_on_one_http1_connection_others_wait_for_the_slow_response(direct: Any) -> None:
    assert direct["one"]["times_ms"]["during_slow"]["max"] >= 90
    assert direct["h2"]["times_ms"]["during_slow"]["p50"] is not None


@pytest.mark.parametrize(
    ("name", "multiplexes"),
    [
        ("nginx", False),
        ("nghttpx", True),
        pytest.param("haproxy", True, marks=pytest.mark.long),
        pytest.param("envoy", True, marks=pytest.mark.long),
    ],
)
def test_what_a_proxy_opens_upstream(name: str, multiplexes: bool, tmp_path: Path) -> None:
    needs.need(name)
    variants = ("--variant", "h2", "--variant", "h2-to-h1")
    got = found(bench_process.scenario("http2", *SMALL, *variants, "--subject", name, root=tmp_path))
    assert [trial["figures"]["failed"] for trial in got.values()] == [0, 0]
    opened = got["h2"]["figures"]["server_http2_connections"]
    assert 1 <= opened <= 2 if multiplexes else opened >= 4
    assert got["h2-to-h1"]["figures"]["server_http2_connections"] == 0
    assert got["h2"]["figures"]["connections"] == 1


def test_the_built_in_proxy_speaks_http2_with_clients(tmp_path: Path) -> None:
    asked = ("--variant", "h2-to-h1", "--subject", "asyncio")
    (trial,) = found(bench_process.scenario("http2", *SMALL, *asked, root=tmp_path)).values()
    assert trial["figures"]["failed"] == 0
    assert trial["figures"]["connections"] == 1
    assert trial["figures"]["server_connections"] >= 4
    assert trial["figures"]["server_http2_connections"] == 0


def test_the_built_in_proxy_is_refused_for_http2_upstream(tmp_path: Path) -> None:
    asked = ("--variant", "h2", "--subject", "asyncio")
    done = bench_process.run("scenario", "run", "http2", *asked, "-o", tmp_path)
    assert (done.returncode, "speaks no HTTP/2" in done.stderr) == (2, True)


@pytest.mark.long
def test_h2load_gives_a_second_opinion(tmp_path: Path) -> None:
    needs.need("h2load")
    asked = ("--variant", "h2", "--variant", "keep-alive", "--subject", "direct", "--set", "generator=h2load")
    got = found(bench_process.scenario("http2", *SMALL, *asked, root=tmp_path))
    assert [trial["figures"]["failed"] for trial in got.values()] == [0, 0]
    assert got["h2"]["units"] > 0
    assert got["h2"]["figures"]["server_http2_connections"] == 1
    assert got["keep-alive"]["figures"]["server_connections"] == 4


class Scripted:
    """Lends itself as the connection, and answers with one status after the other; then it is silent."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = [*statuses]

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Scripted]:
        yield self

    async def get(self, path: str) -> int:
        if not self._statuses:
            await asyncio.Event().wait()
        return self._statuses.pop(0)


async def test_an_answer_that_is_not_200_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    loops = RequestLoops({"client": "keep-alive", "every_s": 0.0}, Go(0, 0))
    monkeypatch.setattr(loops, "_pool", Scripted(200, 500, 200))
    asking = asyncio.ensure_future(loops.run())
    while loops.requests < 2:
        await asyncio.sleep(0)
    asking.cancel()
    assert (loops.requests, loops.failed, loops.latency.total()) == (2, 1, 2)


@pytest.mark.parametrize(
    ("due_ns", "now_ns", "every_ns", "next_ns"),
    [
        (100, 130, 0, 130),  # as soon as the last response is there
        (100, 130, 50, 150),
        (100, 170, 50, 170),  # late, and not made up for
    ],
)
def test_a_request_is_due_in_time_and_not_before_the_last_response(
    due_ns: int, now_ns: int, every_ns: int, next_ns: int
) -> None:
    assert next_due(due_ns, now_ns, every_ns) == next_ns


@pytest.mark.parametrize(
    ("path", "seconds"),
    [(b"/", 0.0), (b"/slow/200", 0.2), (b"/slow/50?n=1", 0.05), (b"/slow/soon", 0.0), (b"/slower", 0.0)],
)
def test_a_path_says_how_slow_it_is(path: bytes, seconds: float) -> None:
    assert slow_s(path) == seconds
