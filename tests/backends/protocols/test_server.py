"""The servers for a proxy of many locations: protocols by scripted bytes, then the process that counts."""

from __future__ import annotations

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from backends.protocols.behaviour import Behaviour
from backends.protocols.responder import PeerError, Response
from backends.protocols.server import KINDS, responder
from tests.protocol_server import connect, converse, count, running

BODY = b"ok"
PARAMS = b"\x0f\x04REQUEST_METHODGET"


def record(kind: int, content: bytes, request: int = 1, padding: int = 0) -> bytes:
    head = (
        bytes([1, kind]) + request.to_bytes(2, "big") + len(content).to_bytes(2, "big") + bytes([padding, 0])
    )
    return head + content + bytes(padding)


def fastcgi(flags: int) -> bytes:
    begin = record(1, b"\0\1" + bytes([flags]) + bytes(5))
    return begin + record(4, PARAMS, padding=3) + record(4, b"") + record(5, b"body") + record(5, b"")


def uwsgi(variables: dict[bytes, bytes], body: bytes = b"") -> bytes:
    pairs = b"".join(len(word).to_bytes(2, "little") + word for pair in variables.items() for word in pair)
    return b"\0" + len(pairs).to_bytes(2, "little") + b"\0" + pairs + body


def scgi(variables: dict[bytes, bytes], body: bytes = b"") -> bytes:
    pairs = b"".join(word + b"\0" for pair in variables.items() for word in pair)
    return b"%d:%b,%b" % (len(pairs), pairs, body)


FASTCGI_BODY = b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nok"
FASTCGI_ANSWER = record(6, FASTCGI_BODY) + record(6, b"") + record(3, bytes(8))
CGI_ANSWER = b"Status: 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"

# kind, what comes in, what goes out, whether the connection stays
TABLE = {
    "HTTP/1.1": ("http", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", HEAD + b"\r\nok", True),
    "HTTP/1.1 without Host": ("http", b"GET / HTTP/1.1\r\n\r\n", HEAD + b"\r\nok", True),
    "HTTP/1.1 with two": ("http", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", HEAD + b"\r\nok", True),
    "HTTP/1.1 with close": (
        "http",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, close\r\n\r\n",
        HEAD + b"Connection: close\r\n\r\nok",
        False,
    ),
    "HTTP/1.0": ("http", b"GET / HTTP/1.0\r\n\r\n", HEAD + b"Connection: close\r\n\r\nok", False),
    "HTTP/1.0 with keep-alive": (
        "http",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        HEAD + b"Connection: keep-alive\r\n\r\nok",
        True,
    ),
    "a body": (
        "http",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"\r\nok",
        True,
    ),
    "HEAD": ("http", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HEAD + b"\r\n", True),
    "FastCGI": ("fastcgi", fastcgi(0), FASTCGI_ANSWER, False),
    "FastCGI that keeps": ("fastcgi", fastcgi(1), FASTCGI_ANSWER, True),
    "uwsgi": ("uwsgi", uwsgi({b"REQUEST_METHOD": b"GET", b"CONTENT_LENGTH": b""}), CGI_ANSWER, False),
    "uwsgi with a body": ("uwsgi", uwsgi({b"CONTENT_LENGTH": b"3"}, b"abc"), CGI_ANSWER, False),
    "SCGI": ("scgi", scgi({b"CONTENT_LENGTH": b"0", b"SCGI": b"1"}), CGI_ANSWER, False),
    "SCGI with a body": ("scgi", scgi({b"CONTENT_LENGTH": b"3"}, b"abc"), CGI_ANSWER, False),
    "memcached": ("memcached", b"get /a\r\n", b"VALUE /a 0 2\r\nok\r\nEND\r\n", True),
    "memcached, two keys": (
        "memcached",
        b"get a b\r\n",
        b"VALUE a 0 2\r\nok\r\nVALUE b 0 2\r\nok\r\nEND\r\n",
        True,
    ),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_conversation(name: str, step: int) -> None:
    kind, asked, answered, stays = TABLE[name]
    assert converse(responder(kind)(Behaviour(BODY)), asked, step) == [Response(answered, 1, stays)]


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[3]])
def test_a_connection_that_stays_answers_again(name: str) -> None:
    kind, asked, answered, _ = TABLE[name]
    answers = converse(responder(kind)(Behaviour(BODY)), asked * 3, 11)
    assert [answer.data for answer in answers] == [answered] * 3


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("http", b"nonsense\r\n\r\n"),
        ("fastcgi", b"\x02" * 8),
        ("fastcgi", record(5, b"")),
        ("uwsgi", b"\0\x03\0\0abc"),
        ("uwsgi", uwsgi({b"CONTENT_LENGTH": b"x"})),
        ("scgi", b"GET / HTTP/1.1\r\n"),
        ("scgi", b"3:abc;"),
        ("memcached", b"set a 0 0 1\r\n"),
        ("memcached", b"a" * 5000),
        ("h2", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ],
)
def test_nonsense_ends_the_conversation(kind: str, data: bytes) -> None:
    with pytest.raises(PeerError):
        converse(responder(kind)(Behaviour(BODY)), data, 10_000)


@pytest.mark.parametrize(
    ("content_type", "trailers"), [("application/grpc", [("grpc-status", "0")]), ("a/b", [])]
)
def test_http2(content_type: str, trailers: list[tuple[str, str]]) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    server = responder("h2")(Behaviour(BODY))
    client.receive_data(server.greeting())
    fields = [(":method", "POST"), (":path", "/s/m"), (":scheme", "http"), (":authority", "a")]
    client.send_headers(1, [*fields, ("content-type", content_type)])
    client.send_data(1, bytes(5), end_stream=True)
    answers = converse(server, client.data_to_send(), 9)
    assert sum(answer.requests for answer in answers) == 1
    events = client.receive_data(b"".join(answer.data for answer in answers))
    assert [e.data for e in events if isinstance(e, h2.events.DataReceived)] == [
        bytes(5) if trailers else BODY
    ]
    received: list[list[Any]] = [
        [*(e.headers or [])] for e in events if isinstance(e, h2.events.TrailersReceived)
    ]
    assert received == ([trailers] if trailers else [])
    assert any(isinstance(e, h2.events.StreamEnded) for e in events)


# The process


def test_each_address_is_counted_apart() -> None:
    with running("--kind", "http", count=3) as (process, (first, second, third)):
        with connect(first) as kept, connect(second) as told:
            for _ in range(2):
                kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert kept.recv(1000).endswith(b"\r\n\r\n !")
            told.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while told.recv(1000):
                pass
            counted = count(process)
        assert (counted["accepted"], counted["requests"]) == (2, 3)
        apart = counted["by_listen"]
        keys = ("accepted", "requests", "closed_first", "open")
        assert [apart[first][key] for key in keys] == [1, 2, 0, 1]
        assert [apart[second][key] for key in keys] == [1, 1, 1, 0]
        assert third not in apart


def test_with_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(tmp_path / "key")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    flags = ("--kind", "memcached", "--tls", str(tmp_path / "certificate"), str(tmp_path / "key"))
    with (
        running(*flags) as (_, (address,)),
        connect(address) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"get a\r\n")
        assert connection.recv(1000).endswith(b"END\r\n")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--kind", "smtp"), "smtp"),
        (("--kind", "http", "--close", "soon"), "close 'soon'"),
        (("--kind", "http", "--tls", "/nowhere", "/nowhere"), "--tls /nowhere /nowhere"),
    ],
)
def test_misuse(flags: tuple[str, ...], said: str) -> None:
    argv = [sys.executable, "-m", "backends.protocols.server", "--listen", "127.0.0.1:0", *flags]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_every_kind_is_tried() -> None:
    assert {row[0] for row in TABLE.values()} | {"h2", "either"} == set(KINDS)


@pytest.mark.parametrize("step", [1, 100])
def test_either_version_of_http(step: int) -> None:
    asked = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    answers = converse(responder("either")(Behaviour(BODY)), asked, step)
    assert b"".join(answer.data for answer in answers) == HEAD + b"\r\nok"
    client = h2.connection.H2Connection()
    client.initiate_connection()
    server = responder("either")(Behaviour(BODY))
    answers = converse(server, client.data_to_send(), step)
    assert client.receive_data(b"".join(answer.data for answer in answers))
    (refusal,) = [answer for answer in converse(server, asked, step) if not answer.stays]
    (goaway,) = client.receive_data(refusal.data)
    assert isinstance(goaway, h2.events.ConnectionTerminated)
