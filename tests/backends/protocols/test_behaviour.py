"""Servers that behave as kinds of servers do: by scripted bytes, then by connections to a process."""

from __future__ import annotations

import json
import socket
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from backends.protocols.behaviour import Behaviour
from backends.protocols.server import responder
from tests.protocol_server import connect, converse, count, running

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\n\r\n"
PLAIN = b"Content-Type: text/plain\r\nContent-Length: "

# how it behaves, what comes in, what goes out, whether the connection stays
ANSWERS: dict[str, tuple[dict[str, Any], bytes, bytes, bool]] = {
    "empty": ({"answer": "empty"}, GET, b"HTTP/1.1 200 OK\r\n" + PLAIN + b"0\r\n\r\n", True),
    "none": ({"answer": "none"}, GET, b"HTTP/1.1 204 No Content\r\n\r\n", True),
    "closing": (
        {"dialect": "closing"},
        GET,
        b"HTTP/1.1 200 OK\r\n" + PLAIN + b"2\r\nConnection: close\r\n\r\nok",
        False,
    ),
    "1.0": (
        {"dialect": "1.0"},
        GET,
        b"HTTP/1.0 200 OK\r\n" + PLAIN + b"2\r\nConnection: close\r\n\r\nok",
        False,
    ),
    "1.0-only, asked in 1.1": (
        {"dialect": "1.0-only"},
        GET,
        b"HTTP/1.0 505 HTTP Version Not Supported\r\n" + PLAIN + b"0\r\nConnection: close\r\n\r\n",
        False,
    ),
    "1.0-only, asked in 1.0": (
        {"dialect": "1.0-only"},
        OLD_GET,
        b"HTTP/1.0 200 OK\r\n" + PLAIN + b"2\r\nConnection: close\r\n\r\nok",
        False,
    ),
    "both lengths": (
        {"dialect": "both-lengths"},
        GET,
        b"HTTP/1.1 200 OK\r\n" + PLAIN + b"2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        True,
    ),
    "both lengths, asked in 1.0": (
        {"dialect": "both-lengths"},
        OLD_GET,
        b"HTTP/1.1 200 OK\r\n" + PLAIN + b"2\r\nConnection: close\r\n\r\nok",
        False,
    ),
    "the last request": (
        {"requests": 1},
        GET,
        b"HTTP/1.1 200 OK\r\n" + PLAIN + b"2\r\nConnection: close\r\n\r\nok",
        False,
    ),
    "a request before the last": (
        {"requests": 2},
        GET,
        b"HTTP/1.1 200 OK\r\n" + PLAIN + b"2\r\n\r\nok",
        True,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(name: str) -> None:
    behaviour, asked, answered, stays = ANSWERS[name]
    (answer,) = converse(responder("http")(Behaviour(b"ok", **behaviour)), asked, 1000)
    assert (answer.data, answer.stays) == (answered, stays)


@pytest.mark.parametrize(
    ("method", "answer", "status", "body"),
    [
        ("GET", "body", "200", b"ok"),
        ("HEAD", "body", "200", b""),
        ("GET", "empty", "200", b""),
        ("GET", "none", "204", b""),
    ],
)
def test_http2_answers_without_a_body_end_with_their_head(
    method: str, answer: str, status: str, body: bytes
) -> None:
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    server = responder("h2")(Behaviour(b"ok", answer=answer))
    client.receive_data(server.greeting())
    request = [(":method", method), (":path", "/"), (":scheme", "http"), (":authority", "a")]
    client.send_headers(1, request, end_stream=True)
    events = client.receive_data(b"".join(each.data for each in converse(server, client.data_to_send(), 9)))
    (head,) = [event for event in events if isinstance(event, h2.events.ResponseReceived)]
    fields = {str(name): str(value) for name, value in head.headers or []}
    assert fields[":status"] == status
    assert (head.stream_ended is not None) is (not body)
    assert b"".join(each.data or b"" for each in events if isinstance(each, h2.events.DataReceived)) == body
    client.receive_data(server.ping())


# The process


def command(process: Any, name: str, *listen: str, **values: str) -> None:
    """Send a command, and wait until it is obeyed."""
    process.stdin.write(json.dumps({"command": name, "listen": listen, **values}) + "\n")
    process.stdin.flush()
    count(process)


def exchange(connection: socket.socket) -> bytes:
    connection.sendall(GET)
    return connection.recv(1000)


def test_a_process_serves_one_connection_until_it_ends() -> None:
    with running("--kind", "http", "--processes", "1") as (process, (address,)):
        first, second = connect(address), connect(address)
        with first, second:
            assert exchange(first)
            second.sendall(GET)
            assert exchange(first)
            assert count(process)["by_listen"][address]["requests"] == 2
            first.close()
            assert second.recv(1000).endswith(b" !")
        assert count(process)["by_listen"][address]["accepted"] == 2


def test_one_that_gives_up_waiting_takes_no_process() -> None:
    with running("--kind", "http", "--processes", "1") as (_, (address,)), connect(address) as first:
        assert exchange(first)
        with connect(address) as second:
            second.sendall(GET)
        with connect(address) as third:
            third.sendall(GET)
            first.close()
            assert third.recv(1000).endswith(b" !")


def test_responses_are_held_until_they_are_released() -> None:
    with (
        running("--kind", "http", count=2) as (process, (one, other)),
        connect(one) as first,
        connect(other) as second,
    ):
        command(process, "hold", one)
        first.sendall(GET)
        assert exchange(second), "the other address is not held"
        while count(process)["by_listen"][one]["held"] == 0:
            pass
        assert count(process)["by_listen"][one]["requests"] == 0
        command(process, "release", one)
        assert first.recv(1000).endswith(b" !")
        assert exchange(first)


def test_a_close_crosses_the_next_request_once_the_idle_time_is_over() -> None:
    with running("--kind", "http", "--idle-s", "1000") as (process, (address,)):
        with connect(address) as connection:
            assert exchange(connection)
            command(process, "expire", address)
            connection.sendall(GET)
            with pytest.raises(ConnectionResetError):
                connection.recv(1000)
        assert count(process)["closed_first"] == 1


def test_the_close_of_one_server_crosses_a_request_not_those_of_all() -> None:
    with running("--kind", "http", "--idle-s", "1000", count=2) as (process, (one, other)):
        with connect(one) as first, connect(other) as second:
            assert exchange(first)
            assert exchange(second)
            command(process, "expire", one, other)
            second.sendall(GET)
            with pytest.raises(ConnectionResetError):
                second.recv(1000)
            assert exchange(first)
        assert count(process)["closed_first"] == 1


def test_an_idle_connection_is_closed() -> None:
    with running("--kind", "http", "--idle-s", "0.05") as (_, (address,)), connect(address) as connection:
        assert exchange(connection)
        assert connection.recv(1000) == b""


def test_what_is_answered_changes_while_it_runs() -> None:
    with running("--kind", "http") as (process, (address,)), connect(address) as connection:
        assert exchange(connection).startswith(b"HTTP/1.1 200")
        command(process, "answer", address, answer="none")
        assert exchange(connection).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize(
    "flags", [("--processes", "0"), ("--idle-s", "0"), ("--requests", "-1"), ("--pings",), ("--answer", "x")]
)
def test_misuse_of_a_behaviour(flags: tuple[str, ...]) -> None:
    with pytest.raises(json.JSONDecodeError), running("--kind", "http", *flags):
        pass
