"""RequestBuilder that differ, and what a correct response to each is."""

import dataclasses
from itertools import islice

import h11
import pytest
import scipy.stats

from bench.load import http11
from bench.load.job import LoadJob
from bench.load.messages import RequestBuilder, ResponseCheck
from bench.load.ordinary import OrdinaryCheck

JOB = LoadJob("127.0.0.1", 80, "a.example:80", paths=(("/p", 1),), body_bytes=(2, 2))
NUMBER = b"7"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Bench-Id: 1-0-7\r\n\r\n !"


def parsed(request: bytes) -> tuple[str, str, dict[bytes, bytes]]:
    """Return method, target and fields as h11 reads them."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(request)
    event = server.next_event()
    assert isinstance(event, h11.Request)
    while not isinstance(ended := server.next_event(), h11.EndOfMessage):
        assert isinstance(ended, h11.Data)
    assert server.next_event() is h11.PAUSED or server.trailing_data == (b"", False)
    return event.method.decode(), event.target.decode(), dict(event.headers)


def test_requests_differ_in_path_field_and_identity() -> None:
    built = list(islice(RequestBuilder(JOB), 50))
    seen = [parsed(request) for _, request in built]
    assert [target for _, target, _ in seen] == [f"/p?n={number}" for number in range(50)]
    assert len({fields[b"x-bench-fill"] for _, _, fields in seen}) > 40
    assert len({len(request) for _, request in built}) > 5
    assert [fields[b"x-bench-id"] for _, _, fields in seen] == [b"1-0-" + number for number, _ in built]


@pytest.mark.parametrize(
    ("changes", "target", "fields"),
    [
        ({}, "/p?n=0", {b"host": b"a.example:80"}),
        ({"paths": (("/p?a=%20", 1),)}, "/p?a=%20&n=0", {}),
        ({"client_mode": "short"}, "/p?n=0", {b"connection": b"close"}),
        ({"headers": (("X-Rate", "100%d"),)}, "/p?n=0", {b"x-rate": b"100%d"}),
        ({"method": "PUT"}, "/p?n=0", {b"content-length": b"0"}),
        ({"method": "POST", "body": b"a=1"}, "/p?n=0", {b"content-length": b"3"}),
        ({"body": b"\r\n\x00"}, "/p?n=0", {b"content-length": b"3"}),
        ({"worker": 3, "seed": 9}, "/p?n=0", {b"x-bench-id": b"9-3-0"}),
    ],
)
def test_a_request_follows_its_job(
    changes: dict[str, object], target: str, fields: dict[bytes, bytes]
) -> None:
    job = dataclasses.replace(JOB, **changes)  # type: ignore[arg-type]
    _, request = next(iter(RequestBuilder(job)))
    method, seen_target, seen = parsed(request)
    assert (method, seen_target) == (job.method, target)
    assert request.endswith(b"\r\n\r\n" + job.body)
    assert {name: seen[name] for name in fields} == fields
    assert (b"connection" in seen) == (job.client_mode == "short")
    assert (b"content-length" in seen) == bool(job.body or job.method != "GET")


def test_paths_come_by_weight_in_an_order_that_the_seed_decides() -> None:
    job = dataclasses.replace(JOB, paths=(("/often", 7), ("/now-and-then?x=1", 2), ("/once", 1)))

    def paths(job: LoadJob) -> list[str]:
        return [parsed_path(request, number) for number, request in islice(RequestBuilder(job), 20_000)]

    drawn = paths(job)
    assert drawn == paths(job)
    assert drawn != paths(dataclasses.replace(job, seed=2))
    assert drawn != paths(dataclasses.replace(job, worker=1))
    counted = [drawn.count(path) for path, _ in job.paths]
    assert scipy.stats.chisquare(counted, [14_000, 4000, 2000]).pvalue > 0.01
    numbers = [number for number, _ in islice(RequestBuilder(job), 200)]
    assert numbers == [b"%d" % number for number in range(200)]


def parsed_path(request: bytes, number: bytes) -> str:
    """Return the path of a request before what the number of the request adds."""
    target = request.split(b" ", 2)[1].decode()
    path, added, last = target.rpartition("n=")
    assert (added, last.encode()) == ("n=", number)
    return path[:-1]


ROWS = [
    ("right", GOOD, None),
    (
        "right, chunked",
        GOOD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")[:-2] + b"2\r\n !\r\n0\r\n\r\n",
        None,
    ),
    ("right, no space", GOOD.replace(b"Content-Length: 2", b"content-length:2"), None),
    ("right, close", GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), None),
    ("right, keep-alive", GOOD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), None),
    ("fast 502", b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "status"),
    ("304", b"HTTP/1.1 304 Not Modified\r\nX-Bench-Id: 1-0-7\r\n\r\n", "status"),
    ("another's", GOOD.replace(b"1-0-7", b"1-0-8"), "mismatch"),
    ("longer identity", GOOD.replace(b"1-0-7", b"1-0-77"), "mismatch"),
    ("no identity", GOOD.replace(b"X-Bench-Id: 1-0-7\r\n", b""), "mismatch"),
    ("two identities", GOOD.replace(b"\r\n\r\n", b"\r\nX-Bench-Id: 1-0-8\r\n\r\n"), "mismatch"),
    ("identity as a value", GOOD.replace(b"X-Bench-Id:", b"X: X-Bench-Id:"), "mismatch"),
    ("wrong body", GOOD[:-1] + b"?", "body"),
    ("short body", GOOD.replace(b": 2", b": 1")[:-1], "body"),
    ("long body", GOOD.replace(b": 2", b": 3") + b'"', "body"),
    ("empty body", GOOD.replace(b": 2", b": 0")[:-2], "body"),
    ("more bytes", GOOD + b"!", "protocol"),
    ("two responses", GOOD + GOOD, "protocol"),
]


@pytest.mark.parametrize(("data", "kind"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_response_is_right_or_wrong_in_one_way(data: bytes, kind: str | None) -> None:
    reader = http11.ResponseReader()
    reader.feed(data)
    assert reader.done
    assert ResponseCheck(JOB).classify_error(reader, NUMBER) == kind
    assert OrdinaryCheck(JOB).check(data, NUMBER) == (None if kind else (2, b"close" not in data))


def test_a_foreign_server_is_checked_for_status_and_length_only() -> None:
    job = dataclasses.replace(JOB, echo=False, pattern=False, body_bytes=None, statuses=((200, 399),))
    check = ResponseCheck(job)
    for data in (
        b"HTTP/1.1 302 F\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 O\r\nContent-Length: 3\r\n\r\nxyz",
    ):
        reader = http11.ResponseReader()
        reader.feed(data)
        assert check.classify_error(reader, b"") is None
        assert OrdinaryCheck(job).check(data, b"") == (reader.body_bytes, True)
        assert OrdinaryCheck(job).check(data[:-1], b"") is None
