"""What answers at a target is told apart: scripted servers on real sockets, one row each."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bench.load import probe
from bench.load.probe import Cause, ProbeError, ResponseHead
from bench.subjects import certificates
from tests.load.scripted import Conversation, Script, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PATIENT_S, SHORT_S = 10.0, 0.2
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def sending(data: bytes) -> Script:
    """Return a server that sends `data` to each request and closes."""

    def script(conversation: Conversation) -> None:
        for _ in conversation.requests() if is_request(conversation) else ():
            conversation.send(data)
            return

    return script


def is_request(conversation: Conversation) -> bool:
    """Return whether the client begins with the request, not with TLS or the preface of HTTP/2."""
    return conversation.sock.recv(4, socket.MSG_PEEK) == REQUEST[:4]


def at(port: int, context: ssl.SSLContext | None = None, patience_s: float = PATIENT_S) -> ResponseHead:
    return probe.probe(("127.0.0.1", port), REQUEST, context, "localhost", patience_s)


@pytest.mark.parametrize(
    ("sent", "protocol", "status", "location", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1", 200, "", True),
        (b"HTTP/1.1 302 Found\r\nLocation: /there\r\n\r\n", "HTTP/1.1", 302, "/there", True),
        (b"HTTP/1.1 404 Not Found\r\nConnection: Close\r\n\r\n", "HTTP/1.1", 404, "", False),
        (b"HTTP/1.1 500\r\n\r\n", "HTTP/1.1", 500, "", True),
        (b"HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0", 200, "", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0", 200, "", True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1", 400, "", True),
    ],
)
def test_the_head_of_the_answer_is_read(
    sent: bytes, protocol: str, status: int, location: str, keeps: bool
) -> None:
    with serving(sending(sent)) as server:
        answer = at(server.port)
    assert (answer.protocol, answer.status, answer.location, answer.keeps) == (
        protocol,
        status,
        location,
        keeps,
    )
    assert (answer.tls, answer.server) == ("", "")


def hang(conversation: Conversation) -> None:
    for _ in conversation.requests() if is_request(conversation) else ():
        pass


def close(conversation: Conversation) -> None:
    conversation.reset()


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (hang, Cause.SILENT),
        (close, Cause.CLOSED),
        (sending(b""), Cause.CLOSED),
        (sending(b"SSH-2.0-OpenSSH_9.2\r\n"), Cause.NO_HTTP),
        (sending(b"HTTP/1.1 999 What\r\n\r\n"), Cause.NO_HTTP),
        (sending(SETTINGS), Cause.HTTP2_ONLY),
    ],
)
def test_what_cannot_be_measured_is_told_apart(script: Script, cause: Cause) -> None:
    with serving(script) as server, pytest.raises(ProbeError) as raised:
        at(server.port, patience_s=SHORT_S)
    assert raised.value.cause is cause


def test_a_server_that_waits_for_the_preface_of_http2_speaks_http2_only() -> None:
    def script(conversation: Conversation) -> None:
        if conversation.sock.recv(65_536).startswith(b"PRI * HTTP/2.0"):
            conversation.send(SETTINGS)

    with serving(script) as server, pytest.raises(ProbeError) as raised:
        at(server.port)
    assert raised.value.cause is Cause.HTTP2_ONLY


def test_nobody_listens_on_a_port_that_was_freed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ProbeError) as raised:
        at(port)
    assert raised.value.cause is Cause.NOBODY


# -- TLS


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The context of a server, and one of a client that trusts it."""
    folder: Path = tmp_path_factory.mktemp("certificate")
    issued = certificates.issue(["localhost"])
    for name, text in issued.files.items():
        (folder / name).write_text(text)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / certificates.CHAIN, folder / certificates.KEY)
    return server, ssl.create_default_context(cadata=issued.authority)


def over_tls(context: ssl.SSLContext, in_clear: bytes = b"") -> Callable[[Conversation], None]:
    """Return a server that speaks TLS, and answers HTTP without TLS with `in_clear`."""

    def script(conversation: Conversation) -> None:
        sock = conversation.sock
        if in_clear and is_request(conversation):
            sock.recv(65_536)
            conversation.send(in_clear)
            return
        with suppress(OSError), context.wrap_socket(sock, server_side=True) as encrypted:
            encrypted.recv(65_536)
            encrypted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    return script


@pytest.mark.parametrize("in_clear", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_http_to_a_port_of_tls_is_named(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], in_clear: bytes
) -> None:
    with serving(over_tls(contexts[0], in_clear)) as server, pytest.raises(ProbeError) as raised:
        at(server.port)
    assert raised.value.cause is Cause.SPEAKS_TLS


def test_tls_is_answered_and_its_version_told(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    with serving(over_tls(contexts[0])) as server:
        answer = at(server.port, contexts[1])
    assert (answer.status, answer.tls) == (200, "TLSv1.3")


def test_tls_to_a_port_of_http_is_named(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    def script(conversation: Conversation) -> None:
        if is_request(conversation):
            sending(b"HTTP/1.1 200 OK\r\n\r\n")(conversation)

    with serving(script) as server, pytest.raises(ProbeError) as raised:
        at(server.port, contexts[1])
    assert raised.value.cause is Cause.NO_TLS


def test_a_certificate_that_nobody_vouches_for_fails(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with serving(over_tls(contexts[0])) as server, pytest.raises(ProbeError) as raised:
        at(server.port, ssl.create_default_context())
    assert raised.value.cause is Cause.TLS_FAILED
    assert "certificate" in raised.value.detail
