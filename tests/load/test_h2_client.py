"""Clients in HTTP/2 against a server that the library h2 makes, over real sockets."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic_ns
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import pytest

from bench.load import http11, tls
from bench.load.h2_probe import probe_http2
from bench.load.job import LoadJob
from bench.load.poller import Poller
from bench.load.probe import Cause, ProbeError
from bench.load.tls_client import TlsLayer
from bench.load.worker import LoadWorker
from tests import tls_files

BODY = http11.pattern(5)
Event = dict[str, Any]
Fields = dict[bytes, bytes]


@dataclass
class Request:
    """A request of one stream: `number` counts those of the server from 0."""

    number: int
    stream: int
    fields: Fields
    body: bytes = b""


Reply = Callable[[h2.connection.H2Connection, Request], None]


@dataclass
class Server:
    port: int = 0
    accepted: int = 0
    most_at_a_time: int = 0
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, stream: int, fields: Fields) -> Request:
        with self._lock:
            request = Request(len(self.requests), stream, fields)
            self.requests.append(request)
        return request


def answer(connection: h2.connection.H2Connection, request: Request, body: bytes = BODY) -> None:
    fields = [(b":status", b"200"), (b"x-bench-id", request.fields[b"x-bench-id"])]
    connection.send_headers(request.stream, fields)
    connection.send_data(request.stream, body, end_stream=True)


def nothing(connection: h2.connection.H2Connection, request: Request) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Habits:
    """How a server behaves: `at_head` is what it does before the content of a request has come."""

    reply: Reply
    streams: int = 100
    at_head: Reply = nothing


def converse(server: Server, sock: socket.socket, habits: Habits) -> None:
    """Answer the requests of a connection, all that one read has brought after that read."""
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding=None)
    )
    connection.local_settings = h2.settings.Settings(
        client=False,
        initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: habits.streams,
        },
    )
    connection.initiate_connection()
    sock.sendall(connection.data_to_send())
    open_requests: dict[int, Request] = {}
    while data := sock.recv(65_536):
        whole: list[Request] = []
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                request = server.count(event.stream_id, dict(event.headers))
                open_requests[event.stream_id] = request
                habits.at_head(connection, request)
            elif isinstance(event, h2.events.DataReceived):
                open_requests[event.stream_id].body += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                whole.append(open_requests.pop(event.stream_id))
        server.most_at_a_time = max(server.most_at_a_time, len(whole))
        for request in whole:
            habits.reply(connection, request)
        sock.sendall(connection.data_to_send())


@contextmanager
def serving(reply: Reply, context: ssl.SSLContext | None = None, **habits: Any) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        with sock:
            try:
                if context is None:
                    converse(server, sock, Habits(reply, **habits))
                else:
                    with context.wrap_socket(sock, server_side=True) as wrapped:
                        converse(server, wrapped, Habits(reply, **habits))
            except (OSError, h2.exceptions.ProtocolError):
                return

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            server.accepted += 1
            threads.append(threading.Thread(target=serve, args=(sock,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()


def run(port: int, **changes: Any) -> Event:
    """Do a job in HTTP/2; return its `done`."""
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "host_field": f"127.0.0.1:{port}",
        "connections": 2,
        "streams": 3,
        "http2": True,
        "warmup_s": 0.0,
        "duration_s": 30.0,
        "requests": 30,
        "body_bytes": (5, 5),
    }
    return LoadWorker(LoadJob(**values | changes), Poller(), lambda _: None).run(monotonic_ns())


def errors(done: Event) -> set[str]:
    return {kind for kind, count in done["errors_total"].items() if count}


def test_streams_share_the_connections_and_their_requests_differ() -> None:
    with serving(answer) as server:
        done = run(server.port)
    assert done["requests"] >= 30
    assert not errors(done)
    assert server.accepted == done["opened_total"] == 2
    # The first goes alone, until the server has said how many it allows.
    assert server.most_at_a_time >= 2
    assert (
        done["requests_total"] == len(server.requests) == len({r.fields[b":path"] for r in server.requests})
    )
    assert server.requests[0].fields[b":authority"] == f"127.0.0.1:{server.port}".encode()
    assert b"host" not in server.requests[0].fields


def test_a_server_that_allows_fewer_streams_gets_no_more() -> None:
    with serving(answer, streams=1) as server:
        done = run(server.port)
    assert done["requests"] >= 30
    assert not errors(done)

    assert server.accepted == 2


def test_tls_chooses_http2_by_alpn(tmp_path: Path) -> None:
    context = tls_files.server_context(tmp_path)
    context.set_alpn_protocols(["h2"])
    authority = tls_files.certificate().authority
    with serving(answer, context=context) as server:
        done = run(server.port, tls=True, tls_authority=authority)
    assert done["requests"] >= 30
    assert not errors(done)
    assert done["tls"]["full"] + done["tls"]["resumed"] == server.accepted == 2


def test_a_server_that_chooses_another_protocol_is_named(tmp_path: Path) -> None:
    context = tls_files.server_context(tmp_path)
    with serving(answer, context=context) as server:
        done = run(server.port, requests=3, tls=True, tls_authority=tls_files.certificate().authority)
    assert errors(done) == {"tls"}
    assert done["tls"]["failures"].keys() == {"it does not choose HTTP/2 (ALPN); leave out --http2"}


def test_a_server_that_resets_before_the_handshake_fails_what_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = tls_files.server_context(tmp_path)
    context.set_alpn_protocols(["h2"])
    monkeypatch.setattr(TlsLayer, "wrap", tls_files.resetting_once(TlsLayer.wrap))
    with serving(answer, context=context) as server:
        done = run(server.port, tls=True, tls_authority=tls_files.certificate().authority)
    assert errors(done) == {"tls"}
    assert done["errors_total"]["tls"] == 3
    assert done["requests_total"] >= 27


def refused(connection: h2.connection.H2Connection, request: Request) -> None:
    connection.reset_stream(request.stream, h2.errors.ErrorCodes.REFUSED_STREAM)


def failing(connection: h2.connection.H2Connection, request: Request) -> None:
    connection.send_headers(request.stream, [(b":status", b"502")], end_stream=True)


def anothers(connection: h2.connection.H2Connection, request: Request) -> None:
    answer(connection, Request(0, request.stream, {b"x-bench-id": b"1-0-x"}))


WRONG: dict[str, tuple[str, Reply]] = {
    "stream reset": ("reset", refused),
    "502": ("status", failing),
    "another's": ("mismatch", anothers),
    "wrong body": ("body", lambda connection, request: answer(connection, request, b"wrong")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_one_stream_leaves_the_others_alone(name: str) -> None:
    kind, wrong = WRONG[name]

    def reply(connection: h2.connection.H2Connection, request: Request) -> None:
        (wrong if request.number % 2 else answer)(connection, request)

    with serving(reply) as server:
        done = run(server.port)
    assert errors(done) == {kind}
    assert done["errors_total"][kind] == len([r for r in server.requests if r.number % 2])
    assert done["requests_total"] == len([r for r in server.requests if r.number % 2 == 0])
    # A stream that is reset has no status; each other response has one.
    wrong_status = "502" if name == "502" else "200"
    counted = {"200": done["requests"]}
    if kind != "reset":
        counted[wrong_status] = counted.get(wrong_status, 0) + done["errors"][kind]
    assert done["statuses"] == counted
    assert server.accepted == 2


def test_after_a_goaway_a_new_connection_is_opened() -> None:
    def leaving(connection: h2.connection.H2Connection, request: Request) -> None:
        answer(connection, request)
        if request.number == 4:
            connection.close_connection(last_stream_id=request.stream)

    with serving(leaving) as server:
        done = run(server.port, connections=1, streams=1)
    assert done["requests"] >= 30
    assert server.accepted == done["opened_total"] == 2


def test_what_has_begun_before_a_goaway_is_answered_and_the_rest_sent_again() -> None:
    def leaving(connection: h2.connection.H2Connection, request: Request) -> None:
        if request.number == 4:
            # Not by `close_connection`, after which h2 sends nothing.
            connection._data_to_send += struct.pack(">HBBBIII", 0, 8, 7, 0, 0, request.stream, 0)
        answer(connection, request)

    with serving(leaving) as server:
        done = run(server.port, connections=1, streams=3)
    assert done["requests"] >= 30
    assert not errors(done)
    assert server.accepted == done["opened_total"] == 2


def test_a_body_whose_answer_came_early_is_given_up() -> None:
    body = http11.pattern(200_000)
    with serving(nothing, streams=1, at_head=answer) as server:
        done = run(server.port, connections=1, streams=1, requests=5, method="POST", body=body)
    assert done["requests"] >= 5
    assert not errors(done)
    assert server.accepted == 1


def test_a_body_goes_on_when_the_settings_allow_more() -> None:
    def allow(connection: h2.connection.H2Connection, request: Request) -> None:
        allowed = 100 * (request.number % 2)
        connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: allowed})

    with serving(answer, at_head=allow) as server:
        done = run(server.port, connections=1, streams=1, requests=4, method="POST", body=b"12345")
    assert done["requests"] >= 4
    assert not errors(done)


def test_a_long_body_is_sent_as_far_as_flow_control_allows() -> None:
    body = http11.pattern(200_000)
    with serving(answer) as server:
        done = run(server.port, connections=1, streams=2, requests=4, method="POST", body=body)
    assert done["requests"] >= 4
    assert not errors(done)
    assert all(request.body == body for request in server.requests)


def test_an_answer_that_does_not_come_is_a_timeout_of_its_stream() -> None:
    def silent(connection: h2.connection.H2Connection, request: Request) -> None:
        if request.number % 3:
            answer(connection, request)

    with serving(silent) as server:
        done = run(server.port, connections=1, requests=10, request_timeout_s=0.05)
    assert errors(done) == {"timeout"}
    assert server.accepted == 1


def test_nobody_there_fails_each_exchange_that_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run(port, requests=None, duration_s=0.15)
    assert errors(done) == {"connect"}
    assert done["requests_total"] == done["opened_total"] == 0


FIELDS = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]


def probe_error(
    port: int, context: ssl.SSLContext | None, name: str = "", patience_s: float = 5.0
) -> ProbeError:
    with pytest.raises(ProbeError) as raised:
        probe_http2(("127.0.0.1", port), FIELDS, context, name, patience_s)
    return raised.value


def test_one_request_says_what_answers() -> None:
    with serving(failing) as server:
        found = probe_http2(("127.0.0.1", server.port), FIELDS, None, "", 5.0)
    assert (found.protocol, found.status, found.tls) == ("HTTP/2", 502, "")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert probe_error(port, None).cause is Cause.NOBODY


def test_one_request_says_that_the_scheme_is_another(tmp_path: Path) -> None:
    context = tls_files.server_context(tmp_path)
    context.set_alpn_protocols(["h2"])
    with serving(answer, context=context) as server:
        assert probe_error(server.port, None).cause is Cause.SPEAKS_TLS
    asking = tls.client_context(authority=tls_files.certificate().authority, protocols=("h2",))
    with serving(answer) as server:
        assert probe_error(server.port, asking, "a.test").cause is Cause.NO_TLS


def test_one_request_waits_no_longer_than_its_patience_for_a_server_that_talks_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def ping() -> None:
            sock, _ = listener.accept()
            with sock, contextlib.suppress(OSError):
                connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
                connection.initiate_connection()
                while True:
                    connection.ping(b"8 octets")
                    sock.sendall(connection.data_to_send())
                    sock.recv(65_536)

        talking = threading.Thread(target=ping)
        talking.start()
        error = probe_error(listener.getsockname()[1], None, patience_s=0.1)
        talking.join()
    assert str(error) == f"{Cause.SILENT} (within 0.1 s)"
