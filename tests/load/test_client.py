"""Clients against servers with every kind of response, over real sockets."""

import socket
import threading
from collections.abc import Callable
from itertools import pairwise
from time import monotonic_ns
from typing import Any

import pytest

from bench.load import http11
from bench.load.client_group import ClientGroup
from bench.load.counters import LoadCounters
from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.schedule import Phases
from bench.load.worker import LoadWorker
from tests.load.scripted import BODY, Conversation, Request, Script, answer, answering, serving

Event = dict[str, Any]


def job(port: int, **changes: Any) -> LoadJob:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "host_field": f"127.0.0.1:{port}",
        "connections": 3,
        "warmup_s": 0.0,
        "duration_s": 30.0,
        "requests": 30,
        "body_bytes": (5, 5),
    }
    return LoadJob(**values | changes)


def run(port: int, **changes: Any) -> tuple[Event, list[Event]]:
    """Do a job; return its `done` and its seconds."""
    seconds: list[Event] = []
    done = LoadWorker(job(port, **changes), Poller(), seconds.append).run(monotonic_ns())
    return done, seconds


def errors(done: Event) -> dict[str, int]:
    """Return the errors of the window by kind, without those that did not occur."""
    return {kind: number for kind, number in done["errors"].items() if number}


def closing(reply: Callable[[Request], bytes]) -> Script:
    """Return the script of a server that answers once and closes."""

    def script(conversation: Conversation) -> None:
        for request in conversation.requests():
            conversation.send(reply(request))
            return

    return script


def resetting(conversation: Conversation) -> None:
    for _ in conversation.requests():
        conversation.reset()
        return


def in_bytes(conversation: Conversation) -> None:
    for request in conversation.requests():
        for byte in answer(request):
            conversation.send(bytes([byte]))


def chunked(request: Request) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Bench-Id: " + request.identity
    return head + b"\r\n\r\n2\r\n" + BODY[:2] + b"\r\n3;x=y\r\n" + BODY[2:] + b"\r\n0\r\nT: 1\r\n\r\n"


def until_close(request: Request) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Bench-Id: " + request.identity + b"\r\n\r\n" + BODY


def http_1_0(request: Request) -> bytes:
    return answer(request).replace(b"HTTP/1.1", b"HTTP/1.0")


def close_answer(request: Request, body: bytes = BODY) -> bytes:
    return answer(request, body, more=b"Connection: close\r\n")


CORRECT: dict[str, Script] = {
    "ordinary": answering(answer),
    "byte by byte": in_bytes,
    "chunked": answering(chunked),
    "after 100 and 103": answering(
        lambda r: b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + answer(r)
    ),
    "until close": closing(until_close),
    "close": closing(close_answer),
    "HTTP/1.0": closing(http_1_0),
    "HTTP/1.0 keep-alive": answering(
        lambda r: http_1_0(r).replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")
    ),
}
REUSES = ("ordinary", "byte by byte", "chunked", "after 100 and 103", "HTTP/1.0 keep-alive")


@pytest.mark.parametrize("name", CORRECT)
def test_right_answers_count_in_whatever_framing(name: str) -> None:
    with serving(CORRECT[name]) as server:
        done, _ = run(server.port)
    assert done["requests"] >= 30
    assert done["errors_total"] == dict.fromkeys(done["errors_total"], 0)
    assert done["bytes_total"] == 5 * done["requests_total"]
    assert done["requests_total"] == len(server.seen)
    assert done["opened_total"] == server.accepted == (3 if name in REUSES else done["requests_total"])
    assert len({request.head for request in server.seen}) == len(server.seen)


WRONG: dict[str, tuple[str, Script]] = {
    "fast 502": ("status", answering(lambda _: b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")),
    "204": ("mismatch", answering(lambda _: b"HTTP/1.1 204 No Content\r\n\r\n")),
    "another's": ("mismatch", answering(lambda r: answer(r).replace(r.identity, r.identity + b"0"))),
    "wrong byte": ("body", answering(lambda r: answer(r, BODY[:-1] + b"~"))),
    "too short": ("body", answering(lambda r: answer(r, BODY[:-1]))),
    "cut in the body": ("body", closing(lambda r: answer(r)[:-1])),
    "cut in a chunk": ("body", closing(lambda r: chunked(r)[:-5])),
    "cut in the head": ("reset", closing(lambda _: b"HTTP/1.1 200 OK\r\nCont")),
    "closed": ("reset", closing(lambda _: b"")),
    "reset": ("reset", resetting),
    "garbage": ("protocol", closing(lambda _: b"\x16\x03\x01\x00garbage")),
    "folded": ("protocol", closing(lambda r: answer(r, more=b"A: b\r\n c\r\n"))),
    "two answers": ("protocol", closing(lambda r: answer(r) + answer(r))),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_an_error_of_its_kind_and_the_client_goes_on(name: str) -> None:
    kind, wrong = WRONG[name]
    with serving(wrong) as server:
        done, _ = run(server.port)
    assert done["requests_total"] == 0
    assert errors(done).keys() == {kind}
    assert done["errors"][kind] >= 30
    assert done["errors_total"][kind] == len(server.seen)
    # Only after a wrong status or body is it certain where the next response begins.
    is_kept = name in ("fast 502", "wrong byte", "too short")
    assert server.accepted == done["opened_total"] == (3 if is_kept else len(server.seen))


def test_each_answer_is_judged_by_itself() -> None:
    def reply(request: Request) -> bytes:
        return answer(request, b"wrong" if request.number % 3 == 0 else BODY)

    with serving(answering(reply)) as server:
        done, _ = run(server.port, connections=1)
    assert done["errors_total"]["body"] == len([r for r in server.seen if r.number % 3 == 0])
    assert done["requests_total"] == len([r for r in server.seen if r.number % 3])
    assert server.accepted == 1


def test_connects_to_an_absent_server_are_retried_slowly() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done, seconds = run(port, connections=200, duration_s=0.35, requests=None)
    ticks = sum(len(second["ticks"]) for second in seconds)
    assert 64 <= done["errors_total"]["connect"] <= 64 * (ticks + 1)
    assert done["opened_total"] == done["requests_total"] == 0


def silent(conversation: Conversation) -> None:
    for _ in conversation.requests():
        pass


@pytest.mark.parametrize("limit", ["request_timeout_s", "total_timeout_s"])
def test_an_answer_that_does_not_come_is_a_timeout(limit: str) -> None:
    with serving(silent) as server:
        done, _ = run(server.port, requests=3, **{limit: 0.05})
    assert errors(done).keys() == {"timeout"}
    assert server.closed_by_client == server.accepted >= 3


def test_an_answer_that_does_not_come_in_the_drain_ends_with_it() -> None:
    def stop_at_third(conversation: Conversation) -> None:
        for request in conversation.requests():
            if request.number == 2:
                worker.stop()

    seconds: list[Event] = []
    with serving(stop_at_third) as server:
        worker = LoadWorker(job(server.port, requests=None, drain_timeout_s=0.05), Poller(), seconds.append)
        done = worker.run(monotonic_ns())
    assert done["errors"]["timeout"] == 0
    assert done["errors_total"]["timeout"] == 3
    assert not seconds[-1]["in_window"]


@pytest.mark.parametrize(
    ("size", "reply"),
    [
        (100_000, close_answer),
        (3_000_000, close_answer),
        (3_000_000, lambda r, body: until_close(r).replace(BODY, body)),
    ],
)
def test_long_bodies_are_checked_to_the_last_byte(
    size: int, reply: Callable[[Request, bytes], bytes]
) -> None:
    body = http11.pattern(size)
    wrong = body[:-1] + b"\n"
    with serving(closing(lambda r: reply(r, body if r.number % 2 else wrong))) as server:
        done, _ = run(server.port, connections=1, requests=4, body_bytes=(size, size))
    assert done["requests_total"] == sum(request.number % 2 for request in server.seen) >= 4
    assert done["errors_total"]["body"] == len(server.seen) - done["requests_total"]


def test_a_request_that_the_socket_does_not_take_at_once_is_sent_whole() -> None:
    fields = tuple((f"X-Long-{at}", "x" * 60_000) for at in range(150))
    with serving(answering(answer)) as server:
        done, _ = run(server.port, connections=1, requests=2, headers=fields)
    assert done["requests_total"] == len(server.seen) >= 2
    assert all(len(request.head) > 9_000_000 for request in server.seen)


def test_a_short_client_has_a_connection_for_each_request_and_closes_first() -> None:
    with serving(answering(close_answer)) as server:
        done, _ = run(server.port, client_mode="short")
    assert done["requests"] >= 30
    assert done["opened_total"] == done["requests_total"] == server.accepted == server.closed_by_client
    assert all(b"\r\nConnection: close\r\n" in request.head for request in server.seen)


def test_a_client_leaves_a_connection_at_its_limit() -> None:
    with serving(answering(answer)) as server:
        done, _ = run(server.port, connections=1, requests=30, requests_per_connection=4)
    assert done["opened_total"] == server.accepted == -(-done["requests_total"] // 4)


def test_latency_includes_the_connect_which_is_also_measured_apart() -> None:
    with serving(answering(answer)) as server:
        _, seconds = run(server.port, client_mode="short", connections=1)
    latencies = [value for second in seconds for value, count in second["latency_us"] for _ in range(count)]
    connects = [value for second in seconds for value, count in second["connect_us"] for _ in range(count)]
    assert len(latencies) == len(connects)
    assert min(latencies) >= min(connects)
    assert sum(latencies) > sum(connects)


def test_more_clients_than_connect_at_once_all_come_to_connect() -> None:
    with serving(answering(answer)) as server:
        done, _ = run(server.port, connections=200, requests=2000)
    assert done["opened_total"] == server.accepted == 200


# Open loop.


def test_an_open_loop_sends_what_is_due_whatever_the_server_does() -> None:
    with serving(answering(answer)) as server:
        done, seconds = run(server.port, rate=400.0, requests=None, duration_s=0.25)
    # On a machine that stands still for a moment, what was due at the very end is not begun any more.
    assert done["requests_total"] + done["never_started_total"] == 100
    assert sum(count for second in seconds for _, count in second["service_us"]) == done["requests_total"] > 0


def test_latency_counts_from_the_due_time_and_service_time_does_not() -> None:
    gate = threading.Event()

    def reply(request: Request) -> bytes:
        if request.number == 0:
            gate.wait(0.3)
        return answer(request)

    with serving(answering(reply)) as server:
        done, seconds = run(server.port, rate=100.0, requests=60, connections=1)

    def slow(name: str) -> int:
        return sum(count for second in seconds for value, count in second[name] if value >= 100_000)

    # The stall of 300 ms made those wait that fell due in its first 200 ms, 10 ms apart.
    assert slow("latency_us") >= slow("service_us") + 15
    assert done["late_total"] >= 15
    assert server.accepted == 1


def test_what_never_got_a_connection_is_counted() -> None:
    gate = threading.Event()

    def both_asked(conversation: Conversation) -> None:
        for request in conversation.requests():
            if request.number == 1:
                gate.wait(0.3)
                worker.stop()

    changes = {"rate": 100.0, "requests": None, "connections": 2, "drain_timeout_s": 0.01}
    with serving(both_asked) as server:
        worker = LoadWorker(job(server.port, **changes), Poller(), lambda _: None)
        done = worker.run(monotonic_ns())
    window_s = (done["window_end_ns"] - done["window_start_ns"]) / 1e9
    assert abs(done["never_started_total"] + 2 - 100 * window_s) <= 1
    assert done["errors_total"]["timeout"] == len(server.seen) == 2


def test_what_waits_too_long_for_a_connection_is_a_timeout() -> None:
    with serving(silent) as server:
        done, _ = run(
            server.port, rate=100.0, requests=None, duration_s=0.5, connections=1, total_timeout_s=0.1
        )
    in_all = done["errors_total"]["timeout"] + done["never_started_total"]
    assert in_all == 50
    assert done["errors_total"]["timeout"] > len(server.seen)


def test_an_open_loop_goes_on_when_the_server_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done, _ = run(port, rate=200.0, requests=None, duration_s=0.2)
    assert done["errors_total"]["connect"] + done["never_started_total"] == 40


def test_idle_connections_that_the_server_ends_are_no_errors() -> None:
    poller, counters, start_ns = Poller(), LoadCounters(), monotonic_ns() + 10**12
    with serving(closing(answer)) as server:
        group = ClientGroup(job(server.port, rate=20.0, requests=None, connections=1), poller, counters)
        group.start(Phases(start_ns, 0.0, 1.0))
        for turn in range(8):
            group.assign_due(start_ns + turn * 50_000_000)
            while poller.handlers:  # until it has been exchanges and its connection is gone
                poller.run_ready(10**7)
        group.drain(start_ns)
    assert counters.errors == dict.fromkeys(counters.errors, 0)
    assert counters.opened == server.accepted == len(counters.latency.raw) == 8


# Stopping.


def test_stop_ends_the_window_and_drains() -> None:
    seconds: list[Event] = []
    stopped = threading.Event()

    def reply(request: Request) -> bytes:
        if request.number == 20:
            worker.stop()
            stopped.set()
        return answer(request)

    with serving(answering(reply)) as server:
        worker = LoadWorker(job(server.port, requests=None), Poller(), seconds.append)
        done = worker.run(monotonic_ns())
    assert stopped.is_set()
    assert done["interrupted"]
    assert done["requests_total"] == len(server.seen)
    assert done["window_end_ns"] <= done["drained_ns"]
    assert server.closed_by_client == server.accepted == 3


def test_a_worker_that_is_stopped_before_it_goes_opens_nothing() -> None:
    worker = LoadWorker(job(9), Poller(), lambda _: None)
    worker.stop()
    done = worker.run(monotonic_ns() + 10**12)
    assert done["interrupted"]
    assert done["requests_total"] == done["errors_total"]["connect"] == 0


def test_requests_due_after_the_stop_are_not_errors() -> None:
    def reply(request: Request) -> bytes:
        if request.number == 5:
            worker.stop()
            gate.wait(0.3)
        return answer(request)

    gate = threading.Event()
    with serving(answering(reply)) as server:
        changes = {"rate": 1000.0, "requests": None, "connections": 1, "total_timeout_s": 0.05}
        seconds: list[Event] = []
        worker = LoadWorker(job(server.port, **changes), Poller(), seconds.append)
        done = worker.run(monotonic_ns())
    window_s = (done["window_end_ns"] - done["window_start_ns"]) / 1e9
    assert done["errors_total"]["timeout"] <= 1000 * window_s + 1
    all_due = done["requests_total"] + done["errors_total"]["timeout"] + done["never_started_total"]
    assert abs(all_due - 1000 * window_s) <= 2


# SecondReporter.


def test_the_seconds_add_up_to_the_whole_and_none_lies_in_both_phases() -> None:
    with serving(answering(answer)) as server:
        done, seconds = run(server.port, requests=None, warmup_s=0.25, duration_s=0.5)
    assert done["requests_total"] == sum(second["requests"] for second in seconds)
    inside = [second for second in seconds if second["in_window"]]
    assert done["requests"] == sum(second["requests"] for second in inside)
    assert inside[0]["start_ns"] == done["window_start_ns"]
    assert inside[-1]["end_ns"] == done["window_end_ns"]
    for second in seconds:
        assert sum(second["ticks"]) == second["requests"] == sum(n for _, n in second["latency_us"])
    for first, following in pairwise(seconds):
        assert first["end_ns"] == following["start_ns"]


def test_memory_does_not_grow_with_requests() -> None:
    def held(requests: int) -> list[int]:
        with serving(answering(answer)) as server:
            worker = LoadWorker(job(server.port, requests=requests), Poller(), lambda _: None)
            worker.run(monotonic_ns())
        counters, group = worker._counters, worker._group
        kept = (counters.latency.raw, counters.latency._counts, counters.connect.raw, counters.ticks)
        return [len(things) for things in (*kept, group._clients, group._idle, group._waiting)]

    assert held(50) == held(3000) == [0, 0, 0, 0, 3, 0, 0]
