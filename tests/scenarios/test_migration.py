"""migration: which connections go on under a new address, how long it is silent, and what that counts as."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.experiment.definition import Figures
from bench.scenarios.migration.clients import TokenReceiver
from bench.scenarios.migration.figures import Outage, compute_figures, summarize_arrivals
from bench.scenarios.migration.settings import MigrationSettings
from tests import bench_process, needs

SMALL = ("--set", "tokens=50", "--set", "move_at_s=0.5", "--set", "outage_s=0.2", "--set", "timeout_s=0.4",
         "--set", "watch_s=2.2", "--set", "round_trip_s=0.01")  # fmt: skip


def found(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {trial["variant"]: trial["figures"] for trial in answer["trials"]}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("migration")
    variants = (
        "--variant",
        "quic",
        "--variant",
        "quic-probe",
        "--variant",
        "sse",
        "--variant",
        "sse-timeout",
    )
    direct = ("--subject", "direct", "--lab", "loopback")
    return found(bench_process.scenario("migration", *SMALL, *variants, *direct, root=root))


@pytest.mark.long
def test_the_address_really_vanishes_where_the_lab_has_hosts_of_its_own(tmp_path: Any) -> None:
    variants = ("--variant", "quic-rebind", "--variant", "keep-alive-timeout")
    got = found(bench_process.scenario("migration", *SMALL, *variants, "--subject", "direct", root=tmp_path))
    assert (got["quic-rebind"]["lost"], got["quic-rebind"]["connections"]) == (0, 1)
    assert (got["keep-alive-timeout"]["lost"], got["keep-alive-timeout"]["connections"]) == (0, 2)


@pytest.mark.parametrize(("variant", "library"), [("sse", "aiohttp"), ("quic", "aioquic")])
def test_a_client_that_is_ready_has_imported_its_library(variant: str, library: str) -> None:
    argv = [sys.executable, "-X", "importtime", "-m", "bench.scenarios.migration.clients"]
    job = json.dumps({"command": "job", "variant": variant})
    ended = subprocess.run(argv, input=f"{job}\n", capture_output=True, text=True, check=False, timeout=60)
    assert json.loads(ended.stdout.splitlines()[0])["event"] == "ready"
    # Its commands end there. What it imports after `ready` delays the answer, perhaps beyond the outage.
    assert library in {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}


def test_quic_goes_on_where_it_says_where_it_is_now(figures: Any) -> None:
    probe = figures["quic-probe"]
    assert (probe["lost"], probe["connections"], probe["quic"], probe["paths"]) == (0, 1, 1, 2)


def test_quic_that_says_nothing_hears_nothing_more(figures: Any) -> None:
    assert figures["quic"]["lost"] > 0
    assert (figures["quic"]["first_after_ms"], figures["quic"]["paths"]) == (None, 1)


def test_what_waits_on_tcp_waits_for_ever_without_a_timeout(figures: Any) -> None:
    assert figures["sse"]["lost"] > 0
    assert figures["sse"]["connections"] == 1


def test_a_timeout_costs_its_time_and_a_connection_but_no_token(figures: Any) -> None:
    timed = figures["sse-timeout"]
    assert (timed["lost"], timed["connections"]) == (0, 2)
    assert timed["silence_ms"] >= 400


@pytest.mark.long
@pytest.mark.parametrize("name", ["envoy", "caddy"])
def test_quic_goes_on_through_a_proxy(name: str, tmp_path: Any) -> None:
    needs.need(name)
    variants = ("--variant", "quic-probe", "--variant", "websocket-timeout")
    answer = bench_process.scenario("migration", *SMALL, *variants, "--subject", name, root=tmp_path)
    got = found(answer)
    assert (got["quic-probe"]["lost"], got["quic-probe"]["connections"]) == (0, 1)
    assert (got["websocket-timeout"]["lost"], got["websocket-timeout"]["connections"]) == (0, 2)
    assert "witnesses-disagree" not in {
        code for trial in answer["trials"] for code in bench_process.codes(trial)
    }


def test_nginx_is_refused_for_http3(tmp_path: Any) -> None:
    done = bench_process.run(
        "scenario", "run", "migration", "--variant", "quic", "--subject", "nginx", "-o", tmp_path
    )
    assert done.returncode == 2
    assert "no HTTP/3" in done.stderr
    assert "Traceback" not in done.stderr


def of(arrivals: list[tuple[float, int]], quic: int | None = 1) -> Figures:
    """Return what a client amounts to that got these of five tokens; the address was away from 1 to 1.5 s."""
    done = {"arrivals": arrivals, "connections": 1}
    settings = MigrationSettings(tokens=5, watch_s=4.0)
    return compute_figures(done, settings, Outage(1.0, 0.5), {"quic": quic, "paths": None})


def test_what_comes_after_the_outage_shows_that_a_connection_survived() -> None:
    survived = of([(0.4, 1), (0.8, 2), (1.2, 3), (1.75, 4), (2.0, 5)]).figures
    assert (survived["lost"], survived["survived"], survived["first_after_ms"]) == (0, 1, 250.0)
    stuck = of([(0.4, 1), (0.8, 2), (1.2, 3)]).figures  # the third was under way when the address went
    assert (stuck["lost"], stuck["survived"], stuck["first_after_ms"]) == (2, 0, None)


@pytest.mark.parametrize(("quic", "codes"), [(1, []), (2, ["witnesses-disagree"]), (0, []), (None, [])])
def test_a_connection_that_the_other_side_counts_twice_is_a_warning(
    quic: int | None, codes: list[str]
) -> None:
    assert [warning.code for warning in of([(0.4, 1)], quic).warnings] == codes


def test_a_token_that_comes_twice_voids_the_trial() -> None:
    assert [(warning.code, warning.voids) for warning in of([(0.4, 1), (0.5, 1)]).warnings] == [
        ("doubled", True)
    ]


def test_what_a_stream_left_unfinished_comes_again_in_the_next() -> None:
    receiver = TokenReceiver(tokens=3, start_ns=0)
    receiver.feed(b"id: 1\ndata: a\n\nid: 2")
    assert receiver.last == 1
    receiver.restart()
    receiver.feed(b"id: 2\ndata: b\n\nid: 3\n")
    assert (receiver.last, receiver.whole.is_set()) == (2, False)
    receiver.feed(b"data: c\n\n")
    assert ([number for _, number in receiver.arrivals], receiver.whole.is_set()) == ([1, 2, 3], True)


@pytest.mark.parametrize(
    ("arrivals", "silence_s", "received", "doubled"),
    [
        ([], 5.0, 0, 0),
        ([(0.5, 1), (1.0, 2), (1.2, 3)], 0.5, 3, 0),
        ([(0.5, 1), (1.0, 2)], 4.0, 2, 0),
        ([(0.5, 1), (0.9, 1), (1.0, 2), (2.5, 3)], 1.5, 3, 1),
    ],
)
def test_silence_is_the_longest_time_without_a_new_token(
    arrivals: list[tuple[float, int]], silence_s: float, received: int, doubled: int
) -> None:
    answer = summarize_arrivals(arrivals, tokens=3, watched_s=5.0)
    assert (answer.silence_s, answer.received, answer.doubled) == (silence_s, received, doubled)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20))))
def test_nothing_is_counted_twice_or_forgotten(arrivals: list[tuple[float, int]]) -> None:
    answer = summarize_arrivals(sorted(arrivals), tokens=20, watched_s=5.0)
    assert answer.received == len({number for _, number in arrivals})
    assert answer.received + answer.doubled == len(arrivals)
    assert 0 <= answer.silence_s <= 5
    assert [y for _, y in answer.curve] == sorted(y for _, y in answer.curve)
