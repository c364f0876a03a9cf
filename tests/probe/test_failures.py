"""Where nothing can be measured a probe says why in one line; odd answers are told, and not guessed at."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from bench.errors import PlanError, TargetError
from bench.load import probe as first_answer
from bench.probe import client
from bench.subjects import certificates
from tests import needs
from tests.load.scripted import Conversation, Script, serving
from tests.probe.behaviours import Behaviour, at, case, probed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SETTINGS = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))


def replying(*replies: bytes) -> Script:
    """Return a server that sends one reply after the other, the last one again and again."""

    def script(conversation: Conversation) -> None:
        for number, _ in enumerate(conversation.requests()):
            conversation.send(replies[min(number, len(replies) - 1)])

    return script


def closing(reply: bytes) -> Script:
    """Return a server that sends `reply`, or nothing, and ends the connection."""

    def script(conversation: Conversation) -> None:
        for _ in conversation.requests():
            conversation.send(reply)
            return

    return script


def http2(conversation: Conversation) -> None:
    """Answer the preface of HTTP/2, and nothing else."""
    if conversation.sock.recv(65_536).startswith(b"PRI * HTTP/2.0"):
        conversation.send(SETTINGS)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (replying(b""), "it accepts connections, but does not answer (within 0.3 s); see what it waits for"),
        (closing(b""), "it accepts connections, and closes them without an answer; see its log"),
        (
            replying(b"SSH-2.0-OpenSSH_9.2\r\n"),
            "what it answers is no HTTP (it begins with b'SSH-2.0-OpenSSH_9.2\\r\\n'); name a port",
        ),
        (http2, "it speaks HTTP/2 only; name a port that speaks HTTP/1.1"),
        (
            closing(OK[:-2]),
            "GET /: the server ended the connection in the middle of its answer; name a path with a short",
        ),
        (
            replying(OK[:-2]),
            "GET /: the answer has begun, and did not end (within 0.3 s); name a path with a short answer",
        ),
        (
            replying(OK + b"more"),
            "bytes came that belong to no response; see what",
        ),
    ],
    ids=["silent", "closed", "ssh", "http2", "cut", "endless", "more"],
)
def test_what_cannot_be_measured_is_told_apart(script: Script, said: str) -> None:
    with serving(script) as server, pytest.raises(TargetError) as raised:
        probed(server.port, patience_s=0.3)
    assert str(raised.value).startswith(f"127.0.0.1:{server.port}: {said}")
    assert server.accepted <= 20
    assert "\n" not in str(raised.value)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(TargetError, match=r"nobody listens there .*; start the server, or"):
        probed(port)


@needs.on_linux
def test_no_connection_comes_up_where_the_server_accepts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(first_answer, "CONNECT_TIMEOUT_S", 0.2)
    with contextlib.ExitStack() as stack:
        # With a full queue Linux drops what asks for another connection (net/ipv4/tcp_input.c).
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        stack.enter_context(socket.create_connection(address))
        with pytest.raises(TargetError, match=r"no connection came up \(within 0\.2 s\); write another"):
            probed(address[1])


@pytest.mark.parametrize("in_clear", [b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"])
def test_tls_where_none_was_expected_is_a_url_to_write(tmp_path: Path, in_clear: bytes) -> None:
    issued = certificates.issue(["localhost"])
    for name, text in issued.files.items():
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / certificates.CHAIN, tmp_path / certificates.KEY)

    def script(conversation: Conversation) -> None:
        if in_clear and conversation.sock.recv(4, socket.MSG_PEEK) == b"GET ":
            closing(in_clear)(conversation)
            return
        with contextlib.suppress(OSError):
            context.wrap_socket(conversation.sock, server_side=True).close()

    with serving(script) as server, pytest.raises(PlanError) as raised:
        probed(server.port)
    where = f"127.0.0.1:{server.port}"
    assert str(raised.value) == f"{where}: it speaks TLS on this port; write https://{where}/"


def test_a_redirect_is_a_note() -> None:
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with serving(closing(moved)) as server:
        result = probed(server.port)
    assert [note.partition(":")[0] for note in result.notes] == ["GET / answers 301, which leads to https"]


@pytest.mark.parametrize("status", [400, 503])
def test_an_error_at_the_path_is_a_note(status: int) -> None:
    refused = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status
    with serving(closing(refused)) as server:
        result = probed(server.port)
    assert result.notes == (f"GET / answers {status}: name another path by --path",)
    assert server.accepted == result.connections_used


def test_a_later_answer_that_is_none_is_told() -> None:
    with serving(replying(OK, OK, b"garbage\r\n\r\n")) as server:
        result = probed(server.port, max_s=1.0, patience_s=0.3)
    assert result.max_requests is None
    assert result.requests_tried == 2
    assert result.notes[0].startswith("request 3 on one connection: what came is no HTTP/1.1 (")


def after_head(at_once: bytes, later: bytes) -> Script:
    """Answer HEAD with `at_once` behind its response, and with `later` before the next one."""

    def script(conversation: Conversation) -> None:
        owed = b""
        for request in conversation.requests():
            is_head = request.head.startswith(b"HEAD ")
            conversation.send(owed + (OK.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if is_head else OK))
            owed = later if is_head else b""
            if is_head and at_once:
                conversation.send(at_once)

    return script


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (after_head(b"hello", b""), "bytes came that belong to no response"),
        (after_head(b"", b"hello"), "the next request: what came is no HTTP/1.1 ("),
    ],
    ids=["at-once", "later"],
)
def test_a_body_after_head_makes_the_connection_unusable(script: Script, reason: str) -> None:
    with serving(script) as server:
        result = probed(server.port, max_s=0.2)
    head = case(result, "HEAD")
    assert (head.kept, head.announced, head.status, head.ending) == (False, False, 200, None)
    assert head.reason.startswith(reason)
    assert case(result, "404").reason.startswith("GET /bench-probe-no-such-page answers 200")


def test_one_request_at_a_time_is_enough_for_a_server_that_serves_one_connection() -> None:
    result, _ = at(Behaviour(is_short=True, delay_s=0.02))
    assert result.idle is None
