"""The idle time of scripted servers: each ends its connections in its own way, and notes when it did.

What the probe says is compared with what the server noted, so that a slow machine changes both.
"""

from __future__ import annotations

import threading
from itertools import count
from pathlib import Path

import pytest

from bench.probe.limits import DEFAULT_REQUESTS, MOST_CONNECTIONS, ProbeSettings
from bench.probe.model import Ending
from bench.probe.probing import probe
from bench.probe.progress import ProbeProgress
from bench.probe.target import parse_target
from tests.load.scripted import Conversation, serving
from tests.probe.behaviours import Behaviour, Kept, at, behaving, converse, probed

pytestmark = pytest.mark.long

IDLE_S = 0.3
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def noted(kept: Kept) -> tuple[float, float]:
    """Return the least and the greatest idle time after which the server ended a connection."""
    return min(kept.idle_s), max(kept.idle_s)


@pytest.mark.parametrize(
    ("behaviour", "ending"),
    [
        (Behaviour(idle_s=IDLE_S), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, ending="RST"), Ending.RST),
        (Behaviour(idle_s=IDLE_S, framing="chunked"), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, before=b"HTTP/1.1 100 Continue\r\n\r\n"), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, crumbs=True), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, version="HTTP/1.0"), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, delay_s=0.05), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, most=3), Ending.FIN),
        (Behaviour(idle_s=IDLE_S, most=3, announces=False), Ending.FIN),
    ],
    ids=["fin", "rst", "chunked", "100", "crumbs", "1.0", "slow", "three", "three-silently"],
)
def test_the_end_of_idle_connections_is_seen(behaviour: Behaviour, ending: Ending) -> None:
    result, kept = at(behaviour)
    assert result.idle is not None
    assert result.idle.high_s is not None
    least_s, greatest_s = noted(kept)
    assert result.idle.low_s <= greatest_s
    assert result.idle.high_s >= least_s
    assert result.idle.ending is ending
    assert len(result.idle.seen_s) >= 4


def test_a_server_that_sweeps_shows_as_a_spread() -> None:
    result, kept = at(Behaviour(idle_s=0.2, every_s=0.4))
    assert result.idle is not None
    assert result.idle.high_s is not None
    least_s, greatest_s = noted(kept)
    assert greatest_s - least_s > 0.1, "the connections were begun at different moments of its period"
    assert result.idle.low_s <= least_s
    assert result.idle.high_s >= greatest_s


@pytest.mark.parametrize("ending", ["forgets", "ignores"])
def test_silence_is_found_by_asking(ending: str) -> None:
    result, _ = at(Behaviour(idle_s=IDLE_S, ending=ending), patience_s=0.3)
    assert result.idle is not None
    assert result.idle.high_s is not None
    assert result.idle.ending is Ending.SILENCE
    # Bounds are waits as the probe measured them, and the server's thread may have been late, or the probe.
    assert result.idle.low_s < IDLE_S + 0.1
    assert result.idle.high_s > IDLE_S - 0.1


def test_silence_is_found_also_where_a_connection_takes_few_requests() -> None:
    result, _ = at(Behaviour(idle_s=IDLE_S, ending="forgets", most=3), max_s=1.0)
    assert result.idle is not None
    assert result.idle.high_s is not None
    assert (result.idle.ending, result.idle.low_s) == (Ending.SILENCE, 0.0)
    assert result.idle.high_s >= 1.0


def test_connections_that_the_server_leaves_open_are_part_of_the_spread() -> None:
    numbers = count()

    def script(conversation: Conversation) -> None:
        converse(Behaviour(idle_s=IDLE_S if next(numbers) % 2 else None), conversation)

    with serving(script) as server:
        result = probed(server.port, max_s=1.5)
    assert result.idle is not None
    assert result.idle.high_s is not None
    assert result.idle.low_s < 1.0
    assert result.idle.high_s >= 1.5


def test_what_does_not_end_is_said_to_have_lasted_so_long() -> None:
    result, kept = at(Behaviour(), max_s=1.0)
    assert result.idle is not None
    assert (result.idle.high_s, result.idle.ending, kept.idle_s) == (None, None, [])
    assert result.idle.low_s >= 1.0


def test_a_connection_without_a_request_has_an_idle_time_of_its_own() -> None:
    result, _ = at(Behaviour(idle_s=0.4, blank_s=0.2), max_s=1.2)
    assert result.idle is not None
    assert result.idle_before_request is not None
    assert result.idle_before_request.is_known
    assert result.idle_before_request.seen_s < result.idle.seen_s
    result, _ = at(Behaviour(idle_s=0.3, blank_s=None), max_s=1.0)
    assert result.idle_before_request is not None
    assert not result.idle_before_request.is_known


def test_last_words_are_told() -> None:
    words = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
    result, _ = at(Behaviour(idle_s=IDLE_S, last_words=words))
    said = "on an idle connection after a response it sends 'HTTP/1.1 408 Request Timeout' before it ends it"
    assert said in result.notes


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(idle_s=IDLE_S),
        Behaviour(idle_s=IDLE_S, ending="forgets"),
        Behaviour(idle_s=IDLE_S, ends_after=("HEAD", "304", "404", "400")),
        Behaviour(idle_s=IDLE_S, most=2, announces=False),
        Behaviour(is_short=True),
        Behaviour(),
    ],
    ids=["idle", "silent", "ends", "two", "short", "for-ever"],
)
def test_no_more_is_taken_of_the_server_than_promised(behaviour: Behaviour) -> None:
    result, kept = at(behaviour, max_s=1.5)
    assert kept.server.accepted == result.connections_used <= MOST_CONNECTIONS
    # A connection that the server has dropped carries its last request to nobody.
    assert len(kept.server.seen) <= result.requests_used <= DEFAULT_REQUESTS
    methods = {request.head.split()[0] for request in kept.server.seen}
    assert methods <= {b"GET", b"HEAD", b"PRI"}


def test_a_server_that_waits_for_one_request_at_a_time_is_not_held_up() -> None:
    lock = threading.Lock()

    def script(conversation: Conversation) -> None:
        with lock:
            head = conversation.sock.recv(65_536)
            if head:
                conversation.count(head)
                conversation.send(OK)
        while head:
            conversation.sock.settimeout(IDLE_S)
            try:
                head = conversation.sock.recv(65_536)
            except OSError:
                return
            with lock:
                if head:
                    conversation.count(head)
                    conversation.send(OK)

    with serving(script) as server:
        result = probed(server.port, patience_s=0.5)
    assert result.idle is not None
    assert result.idle.ending is Ending.FIN
    assert "a connection without a request keeps this server from answering others" in result.notes


def test_what_it_waits_for_is_reported_in_a_line() -> None:
    told: list[ProbeProgress] = []
    with behaving(Behaviour(idle_s=IDLE_S, blank_s=IDLE_S)) as kept:
        target = parse_target(f"127.0.0.1:{kept.server.port}")
        probe(target, ProbeSettings(max_s=3.0), None, told.append)
    lines = [progress.format() for progress in told]
    assert {line.partition(":")[2].partition(":")[0].strip() for line in lines} == {
        "the first connection",
        "requests on one connection",
        "kinds of requests",
        "idle connections",
    }
    assert max(map(len, lines)) <= 79
    assert told[-1].ended >= 1


def test_a_probe_leaves_no_connection_behind() -> None:
    with behaving(Behaviour()) as kept:
        probed(kept.server.port, max_s=1.0)
        table = Path("/proc/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
        established = f":{kept.server.port:04X} 01 "
        assert established not in table
