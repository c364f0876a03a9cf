"""What a response that arrived complete comes to, whichever server wrote it: what the reader says."""

import dataclasses
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import http11
from bench.load.job import LoadJob
from bench.load.messages import ResponseCheck
from bench.load.ordinary import OrdinaryCheck

JOB = LoadJob("127.0.0.1", 80, "a.example:80", paths=(("/p", 1),), body_bytes=(2, 2), statuses=((200, 399),))
NUMBER = b"7"
Checked = tuple[int, bool] | None


def read(job: LoadJob, data: bytes) -> Checked:
    """Return what the check should: what the reader and the complete check make of a response."""
    reader = http11.ResponseReader(job.method.encode())
    try:
        reader.feed(data)
    except http11.ProtocolError:
        return None
    if not reader.done or ResponseCheck(job).classify_error(reader, NUMBER) is not None:
        return None
    return reader.body_bytes, reader.keep_alive


SHAPES = {
    "nginx": """200 OK
Server: nginx/1.22.1
Date: Mon, 30 Nov 2026 02:54:17 GMT
Content-Type: text/plain
Content-Length: 2
Connection: keep-alive
X-Bench-Id: 1-0-7""",
    "nginx, 304": """304 Not Modified
Server: nginx/1.22.1
Date: Mon, 30 Nov 2026 02:54:17 GMT
Last-Modified: Mon, 30 Nov 2026 02:00:00 GMT
Connection: keep-alive
ETag: "656b-2"
X-Bench-Id: 1-0-7""",
    "nginx, 204": """204 No Content
Server: nginx/1.22.1
Date: Mon, 30 Nov 2026 02:54:17 GMT
Connection: keep-alive
X-Bench-Id: 1-0-7""",
    "nginx, chunked": """200 OK
Server: nginx/1.22.1
Content-Type: text/html
Transfer-Encoding: chunked
Connection: keep-alive
X-Bench-Id: 1-0-7""",
    "Node": """200 OK
X-Powered-By: Express
X-Bench-Id: 1-0-7
Content-Type: application/json; charset=utf-8
Content-Length: 2
ETag: W/"2-nOO9QiTIwXgNtWtBJezz8kv3SLc"
Date: Mon, 30 Nov 2026 02:54:17 GMT
Connection: keep-alive
Keep-Alive: timeout=5""",
    "Node, created": """201 Created
X-Bench-Id: 1-0-7
Date: Mon, 30 Nov 2026 02:54:17 GMT
Connection: keep-alive
Keep-Alive: timeout=5
Transfer-Encoding: chunked""",
    "uvicorn": """200 OK
date: Mon, 30 Nov 2026 02:54:17 GMT
server: uvicorn
content-length: 2
content-type: application/json
x-bench-id: 1-0-7""",
    "gunicorn": """200 OK
Server: gunicorn
Date: Mon, 30 Nov 2026 02:54:17 GMT
Connection: close
Transfer-Encoding: chunked
Content-Type: text/html; charset=utf-8
X-Bench-Id: 1-0-7""",
    "Go": """200 OK
X-Bench-Id: 1-0-7
Date: Mon, 30 Nov 2026 02:54:17 GMT
Content-Length: 2
Content-Type: text/plain; charset=utf-8""",
    "Tomcat": """200\x20
X-Bench-Id: 1-0-7
Content-Type: text/plain;charset=UTF-8
Content-Length: 2
Date: Mon, 30 Nov 2026 02:54:17 GMT
Keep-Alive: timeout=60
Connection: keep-alive""",
    "Django": """200 OK
Content-Type: text/html; charset=utf-8
X-Frame-Options: DENY
Content-Length: 2
Vary: Cookie
X-Content-Type-Options: nosniff
Referrer-Policy: same-origin
Cross-Origin-Opener-Policy: same-origin
Set-Cookie: csrftoken=Kx5b; expires=Mon, 29 Nov 2027 02:54:17 GMT; Path=/; SameSite=Lax
X-Bench-Id: 1-0-7
Connection: close""",
    "Apache": """200 OK
Date: Mon, 30 Nov 2026 02:54:17 GMT
Server: Apache/2.4.57 (Debian)
Upgrade: h2,h2c
Connection: Upgrade, Keep-Alive
X-Bench-Id: 1-0-7
Content-Length: 2
Keep-Alive: timeout=5, max=100
Content-Type: text/html""",
    "PHP behind Apache": """200 OK
Server: Apache
X-Powered-By: PHP/8.2
Upgrade: h2,h2c
Connection: Upgrade, close
Cache-Control: no-store
X-Bench-Id: 1-0-7
Transfer-Encoding: chunked
Content-Type: text/html; charset=UTF-8""",
    "IIS": """200 OK
Cache-Control: private
Content-Type: text/html; charset=utf-8
Server: Microsoft-IIS/10.0
X-AspNet-Version: 4.0.30319
X-Powered-By: ASP.NET
X-Bench-Id: 1-0-7
Date: Mon, 30 Nov 2026 02:54:17 GMT
Content-Length: 2""",
}
"""Heads as servers write them, without the version."""


def is_bodiless(shape: str) -> bool:
    return shape.startswith(("204", "304"))


def written(shape: str, body: bytes = b" !") -> bytes:
    """Return a whole response of this shape."""
    head = b"HTTP/1.1 " + shape.replace("\n", "\r\n").encode() + b"\r\n\r\n"
    if is_bodiless(shape):
        return head
    chunks = b"1\r\n%b\r\n01\r\n%b\r\n0\r\n\r\n" % (body[:1], body[1:])
    return head + (chunks if "chunked" in shape else body)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "changes", [{}, {"pattern": False}, {"body_bytes": (0, 9)}, {"echo": False}], ids=str
)
def test_a_response_is_ordinary_whichever_server_wrote_it(name: str, changes: dict[str, Any]) -> None:
    job, shape = dataclasses.replace(JOB, **changes), SHAPES[name]
    data, expected = written(shape), (0 if is_bodiless(shape) else 2, "close" not in shape)
    assert OrdinaryCheck(job).check(data, NUMBER) == read(job, data) == expected


@given(st.sampled_from(sorted(SHAPES)), st.randoms(use_true_random=False))
def test_order_letter_case_and_space_do_not_matter(name: str, random: Random) -> None:
    status, *fields = SHAPES[name].split("\n")
    random.shuffle(fields)
    for at, field in enumerate(fields):
        title, value = field.split(": ", 1)
        fields[at] = (
            random.choice((title, title.lower(), title.upper()))
            + ":"
            + random.choice(("", " ", "\t "))
            + value
        )
    data, check = written("\n".join([status, *fields])), OrdinaryCheck(JOB).check
    assert check(data, NUMBER) == read(JOB, data) == check(written(SHAPES[name]), NUMBER) is not None


@pytest.mark.parametrize("name", SHAPES)
def test_no_part_of_a_response_is_ordinary_nor_is_more_than_one(name: str) -> None:
    shape, check = SHAPES[name], OrdinaryCheck(JOB).check
    data = written(shape)
    assert [check(data[:at], NUMBER) for at in range(len(data))] == [None] * len(data)
    assert check(data + b"x", NUMBER) is check(data + data, NUMBER) is None
    assert check(data, b"8") is None
    assert is_bodiless(shape) or check(written(shape, b" ?"), NUMBER) is None


def test_a_response_to_head_has_no_body() -> None:
    job = dataclasses.replace(JOB, method="HEAD")
    for name, shape in SHAPES.items():
        head = written(shape).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        assert OrdinaryCheck(job).check(head, NUMBER) == read(job, head) == (0, "close" not in shape), name
        assert OrdinaryCheck(job).check(head + b" !", NUMBER) is None


CONNECTIONS = [
    ("keep-alive", True),
    ("Keep-Alive,", True),
    ("upgrade", True),
    ("closed, ,unclose", None),
    ("closed,unclose", True),
    ("close", False),
    ("CLOSE ", False),
    ("close, upgrade", False),
    ("close,c", False),
    ("close,clos , closed", False),
    ("keep-alive ,\tclose", False),
    ("close,keep-alive", False),
    ("close close", None),
    ("a close", None),
    (",close", None),
    ("clo\u00e9", None),
    ("", None),
]
"""Values of Connection, and whether it stays; None: left to the reader."""


@pytest.mark.parametrize(("value", "stays"), CONNECTIONS)
@pytest.mark.parametrize("name", ["Go", "gunicorn"])
def test_a_connection_ends_if_one_option_is_close(name: str, value: str, stays: bool | None) -> None:
    shape = SHAPES[name].replace("\nConnection: close", "") + f"\nConnection: {value}"
    data = written(shape).replace("\u00e9".encode(), b"\xe9")
    checked = OrdinaryCheck(JOB).check(data, NUMBER)
    assert checked == (None if stays is None else (2, stays))
    assert checked is None or checked == read(JOB, data)


JOBS = {
    "exact": JOB,
    "any length": dataclasses.replace(JOB, body_bytes=(0, 300_000)),
    "long": dataclasses.replace(JOB, body_bytes=(300, 300)),
    "empty": dataclasses.replace(JOB, body_bytes=(0, 0)),
    "no pattern": dataclasses.replace(JOB, pattern=False),
    "short": dataclasses.replace(JOB, client_mode="short"),
    "no echo": dataclasses.replace(JOB, echo=False),
    "HEAD": dataclasses.replace(JOB, method="HEAD"),
    "only 204": dataclasses.replace(JOB, statuses=((204, 204),)),
}
LINES = st.sampled_from(
    [
        b"Content-Length: 2",
        b"content-length: 2",
        b"Content-Length: 02",
        b"Content-Length: 20",
        b"Content-Length: 0",
        b"Content-Length: 2, 2",
        b"Content-Length: +2",
        b"Content-Length:2 ",
        b"Content-Length : 2",
        b"Content-Length: 3",
        b"Content-Length:",
        b"X: Content-Length: 2",
        b"Transfer-Encoding: chunked",
        b"transfer-encoding:CHUNKED ",
        b"Transfer-Encoding: gzip, chunked",
        b"Connection: close",
        b"connection: CLOSE",
        b"Connection: keep-alive",
        b"Connection: keep-alive, close",
        b"Connection: close,upgrade ",
        b"Connection: closed",
        b"Connection: a close",
        b"Connection: close a",
        b"Connection: close,",
        b"Connection: ,close",
        b"Connection: a@b",
        b"Connection:",
        b"X-Bench-Id: 1-0-7",
        b"X-Bench-Id: 1-0-8",
        b"X-Bench-Id: 1-0-07",
        b"x-bench-id:  1-0-7",
        b"Folded: a\r\n b",
        b"No colon",
        b": no name",
        b"Bare\rcarriage: return",
        b"Bare\nfeed: x",
        b"Server: x",
        b"",
    ]
)
BODIES = st.sampled_from(
    [
        b" !",
        b" ",
        b"",
        b' !"',
        b"xx",
        b" !\r\n",
        http11.pattern(300),
        b"2\r\n !\r\n0\r\n\r\n",
        b"02;a\r\n !\r\n0\r\n\r\n",
        b"1\r\n \r\n1\r\n!\r\n00\r\n\r\n",
        b"2\r\n !\r\n0\r\nA: b\r\n\r\n",
        b"3\r\n !\r\n0\r\n\r\n",
        b"2\r\n ?\r\n0\r\n\r\n",
        b"0\r\n\r\n",
        b"0\r\n\r\nx",
    ]
)
STATUSES = st.sampled_from(
    [
        b"1.1 200 OK",
        b"1.1 200 ",
        b"1.0 200 OK",
        b"1.1 204 x",
        b"1.1 304 x",
        b"1.1 200",
        b"1.1 502 B",
        b"1.1 100 C",
    ]
)


FRAMING = st.sampled_from(
    [b"Content-Length: 2", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"A: b"]
)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Draw what is nearly an ordinary response, or is one."""
    lines = draw(st.permutations([draw(FRAMING), b"X-Bench-Id: 1-0-7", *draw(st.lists(LINES, max_size=2))]))
    head = b"".join(line + b"\r\n" for line in [b"HTTP/" + draw(STATUSES), *lines])
    return head + b"\r\n" + draw(BODIES)


@given(st.sampled_from([*JOBS.values()]), responses())
def test_what_the_check_accepts_the_reader_accepts(job: LoadJob, data: bytes) -> None:
    checked = OrdinaryCheck(job).check(data, NUMBER)
    assert checked is None or checked == read(job, data)


WRONG = {
    "two lengths": b"200\nContent-Length: 2\nContent-Length: 2\n\n !",
    "another length": b"200\nContent-Length: 3\n\n !",
    "a longer length": b"200\nContent-Length: 20\n\n !",
    "a wrong body": b"200\nContent-Length: 1\n\n ",
    "two identities": b"200\nX-Bench-Id: 1-0-7\nContent-Length: 2\n\n !",
    "close, then not": b"200\nConnection: close\nContent-Length: 2\nConnection: keep-alive\n\n !",
    "both framings": b"200\nTransfer-Encoding: chunked\nContent-Length: 2\n\n !",
    "both framings, no body": b"204\nTransfer-Encoding: chunked\nContent-Length: 2\n\n",
    "two codings": b"200\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n2\n !\n0\n\n",
    "no end of a chunk": b"200\nTransfer-Encoding: chunked\n\n1\n xx1\n!\n0\n\n",
    "a status out of range": b"404\nContent-Length: 2\n\n !",
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_what_is_nearly_right_is_not(data: bytes) -> None:
    status, rest = data[:3], data[4:].replace(b"\n", b"\r\n")
    whole = b"HTTP/1.1 %b OK\r\nX-Bench-Id: 1-0-7\r\n%b" % (status, rest)
    assert OrdinaryCheck(JOB).check(whole, NUMBER) is None


def test_a_usual_response_with_a_status_out_of_range_is_not_right() -> None:
    assert OrdinaryCheck(JOBS["only 204"]).check(written(SHAPES["Go"]), NUMBER) is None
    assert OrdinaryCheck(JOBS["only 204"]).check(written(SHAPES["nginx, 204"]), NUMBER) == (0, True)


@given(
    st.sampled_from([*SHAPES.values()]),
    st.sampled_from([JOBS[name] for name in ("exact", "any length", "no pattern", "short")]),
    st.integers(0, 10**9),
)
def test_bytes_around_a_number_are_ordinary_around_any(shape: str, job: LoadJob, number: int) -> None:
    data, check = written(shape), OrdinaryCheck(job)
    checked = check.check(data, NUMBER)
    assert checked is not None
    before, after = check.split_at_number(data)
    if not data.startswith(b"HTTP/1.1 200 "):
        assert (before, after) == (b"", b"")  # each is to be counted by its status
        return
    assert before + NUMBER + after == data
    other = b"%d" % number
    assert OrdinaryCheck(job).check(before + other + after, other) == checked


def test_there_is_no_number_where_none_is_expected_or_the_response_is_long() -> None:
    data = written(SHAPES["Go"])
    assert OrdinaryCheck(JOBS["no echo"]).split_at_number(data) == (b"", b"")
    long = written(SHAPES["Go"].replace("Length: 2", "Length: 3000"), http11.pattern(3000))
    check = OrdinaryCheck(JOBS["any length"])
    assert check.check(long, NUMBER) == (3000, True)
    assert check.split_at_number(long) == (b"", b"")


def test_a_correct_response_of_another_status_than_200_is_counted() -> None:
    counted: list[int] = []
    job = dataclasses.replace(JOB, body_bytes=None, statuses=((200, 299),))
    check = OrdinaryCheck(job, counted.append).check
    for status in ("200 OK", "204 No Content", "201 Created", "404 Not Found"):
        check(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nX-Bench-Id: 1-0-7\r\n\r\n" % status.encode(), NUMBER)
    assert counted == [204, 201]
