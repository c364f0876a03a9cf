"""RequestBuilder that differ, and what a correct response to each is."""

import dataclasses
from itertools import islice

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import http11
from bench.load.job import LoadJob
from bench.load.messages import RequestBuilder, ResponseCheck

JOB = LoadJob("127.0.0.1", 80, "a.example:80", path="/p", body_bytes=(2, 2))
NUMBER = b"7"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Bench-Id: 1-0-7\r\n\r\n !"


def parsed(request: bytes) -> tuple[str, str, dict[bytes, bytes]]:
    """Return method, target and fields as h11 reads them."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(request)
    event = server.next_event()
    assert isinstance(event, h11.Request)
    assert isinstance(server.next_event(), h11.EndOfMessage)
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
        ({"path": "/p?a=%20"}, "/p?a=%20&n=0", {}),
        ({"client_mode": "short"}, "/p?n=0", {b"connection": b"close"}),
        ({"headers": (("X-Rate", "100%d"),)}, "/p?n=0", {b"x-rate": b"100%d"}),
        ({"worker": 3, "seed": 9}, "/p?n=0", {b"x-bench-id": b"9-3-0"}),
    ],
)
def test_a_request_follows_its_job(
    changes: dict[str, object], target: str, fields: dict[bytes, bytes]
) -> None:
    job = dataclasses.replace(JOB, **changes)  # type: ignore[arg-type]
    _, request = next(iter(RequestBuilder(job)))
    method, seen_target, seen = parsed(request)
    assert (method, seen_target) == ("GET", target)
    assert {name: seen[name] for name in fields} == fields
    assert (b"connection" in seen) == (job.client_mode == "short")


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
    check = ResponseCheck(JOB)
    assert check.classify_error(reader, NUMBER) == kind
    if kind is not None:
        assert check.check_ordinary(data, NUMBER) == -1


CHECKS = {
    "exact": JOB,
    "any length": dataclasses.replace(JOB, body_bytes=(0, 300_000)),
    "long": dataclasses.replace(JOB, body_bytes=(300, 300)),
    "no pattern": dataclasses.replace(JOB, pattern=False),
    "short": dataclasses.replace(JOB, client_mode="short"),
    "no echo": dataclasses.replace(JOB, echo=False),
}


@pytest.mark.parametrize("job", CHECKS.values(), ids=CHECKS)
def test_the_fast_check_accepts_a_usual_response(job: LoadJob) -> None:
    size = job.body_bytes[0] if job.body_bytes == (300, 300) else 2
    head = b"HTTP/1.1 200 OK\r\nX-Bench-Id: 1-0-7\r\nContent-Length: %d\r\n" % size
    end = b"\r\n" + http11.pattern(size)
    for more in (b"", b"Connection: Keep-Alive\r\n", b"Server: x\r\nContent-Type: a\r\nTE: b\r\n"):
        assert ResponseCheck(job).check_ordinary(head + more + end, NUMBER) == size
    is_free_to_close = job.client_mode == "short"
    closing = ResponseCheck(job).check_ordinary(head + b"Connection: close\r\n" + end, NUMBER)
    assert closing == (size if is_free_to_close else -1)


FIELDS = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 2",
            b"content-length: 2",
            b"Content-Length: 02",
            b"Content-Length: 2, 2",
            b"Content-Length: +2",
            b"Content-Length:2",
            b"Content-Length : 2",
            b"Content-Length: 3",
            b"X: Content-Length: 2",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"Connection: keep-alive",
            b"Connection: keep-alive, close",
            b"X-Bench-Id: 1-0-7",
            b"X-Bench-Id: 1-0-8",
            b"x-bench-id:  1-0-7",
            b"Folded: a\r\n b",
            b"No colon",
            b": no name",
            b"Bare\rcarriage: return",
            b"Bare\nfeed: x",
            b"Server: x",
            b"",
        ]
    ),
    max_size=6,
)


HEAD = dataclasses.replace(JOB, method="HEAD")


@given(
    st.sampled_from([*CHECKS.values(), HEAD]),
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 x", b"HTTP/1.1 200"]
    ),
    FIELDS,
    st.sampled_from([b" !", b" ", b"", b' !"', b"xx", b" !\r\n", http11.pattern(300)]),
)
def test_what_the_fast_check_accepts_the_reader_accepts(
    job: LoadJob, status: bytes, fields: list[bytes], body: bytes
) -> None:
    data = b"".join(line + b"\r\n" for line in [status, *fields]) + b"\r\n" + body
    check = ResponseCheck(job)
    size = check.check_ordinary(data, NUMBER)
    if size >= 0:
        reader = http11.ResponseReader(job.method.encode())
        reader.feed(data)
        assert reader.done
        assert check.classify_error(reader, NUMBER) is None
        assert reader.keep_alive or job.is_short
        assert reader.body_bytes == size


@given(
    st.sampled_from([JOB, CHECKS["short"]]),
    st.permutations([b"X-Bench-Id: 1-0-7", b"Content-Length: 2", b"Server: 7", b"Date: 7"]),
    st.integers(0, 10**9),
)
def test_bytes_around_a_number_are_ordinary_around_any(
    job: LoadJob, fields: list[bytes], number: int
) -> None:
    learned = ResponseCheck(job)
    data = b"".join(line + b"\r\n" for line in [b"HTTP/1.1 200 OK", *fields]) + b"\r\n !"
    assert learned.check_ordinary(data, NUMBER) == learned.expected_bytes == 2
    before, after = learned.split_at_number(data)
    assert before + NUMBER + after == data
    other = b"%d" % number
    assert ResponseCheck(job).check_ordinary(before + other + after, other) == 2


@pytest.mark.parametrize("name", ["any length", "long", "no echo"])
def test_there_is_no_number_where_responses_differ_in_more(name: str) -> None:
    check = ResponseCheck(CHECKS[name])
    data = GOOD.replace(b": 2", b": 300")[:-2] + http11.pattern(300) if name == "long" else GOOD
    assert check.check_ordinary(data, NUMBER) >= 0
    assert check.split_at_number(data) == (b"", b"")


def test_a_response_to_head_has_no_body() -> None:
    check = ResponseCheck(HEAD)
    for data, kind in ((GOOD[:-2], None), (GOOD, "protocol")):
        assert check.check_ordinary(data, NUMBER) == -1
        reader = http11.ResponseReader(b"HEAD")
        reader.feed(data)
        assert check.classify_error(reader, NUMBER) == kind


def test_a_foreign_server_is_checked_for_status_and_length_only() -> None:
    job = dataclasses.replace(JOB, echo=False, pattern=False, body_bytes=None, statuses=(200, 399))
    check = ResponseCheck(job)
    for data in (
        b"HTTP/1.1 302 F\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 200 O\r\nContent-Length: 3\r\n\r\nxyz",
    ):
        reader = http11.ResponseReader()
        reader.feed(data)
        assert check.classify_error(reader, b"") is None
    assert check.check_ordinary(b"HTTP/1.1 200 O\r\nContent-Length: 3\r\n\r\nxyz", b"") == 3
    assert check.check_ordinary(b"HTTP/1.1 200 O\r\nContent-Length: 3\r\n\r\nxy", b"") == -1
