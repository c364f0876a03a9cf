"""HTTP/2 and TLS: whether a server speaks them, and how it ends connections that idle in them."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from bench.probe.connection import make_contexts
from bench.probe.limits import MOST_CONNECTIONS, ProbeSettings
from bench.probe.model import Ending, ProbeResult
from bench.probe.probing import probe
from bench.probe.progress import tell_nobody
from bench.probe.target import parse_target
from bench.subjects import certificates
from tests.load.scripted import Conversation, serving
from tests.probe.behaviours import Behaviour, converse, probed

pytestmark = pytest.mark.long

IDLE_S = 0.3


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext, str]:
    """The contexts of two servers, without HTTP/2 and with it, and the authority of their certificate."""
    folder: Path = tmp_path_factory.mktemp("certificate")
    issued = certificates.issue(["localhost"])
    for name, text in issued.files.items():
        (folder / name).write_text(text)
    made = []
    for protocols in (["http/1.1"], ["h2", "http/1.1"]):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / certificates.CHAIN, folder / certificates.KEY)
        context.set_alpn_protocols(protocols)
        made.append(context)
    return made[0], made[1], issued.authority


def over_tls(port: int, authority: str) -> ProbeResult:
    """Return what a probe finds over TLS."""
    target = replace(parse_target(f"https://127.0.0.1:{port}"), server_name="localhost")
    settings = ProbeSettings(max_s=3.0, patience_s=5.0)
    return probe(target, settings, make_contexts(authority=authority), tell_nobody)


def speak_http2(conversation: Conversation, idle_s: float) -> None:
    """Answer requests in HTTP/2; after `idle_s` without any say GOAWAY and end the connection."""
    spoken = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    spoken.initiate_connection()
    conversation.send(spoken.data_to_send())
    until_s = time.monotonic() + 60
    while True:
        conversation.sock.settimeout(max(0.001, until_s - time.monotonic()))
        try:
            data = conversation.sock.recv(65_536)
        except TimeoutError:
            spoken.close_connection()
            conversation.send(spoken.data_to_send())
            return
        except OSError:
            return
        if not data:
            return
        for event in spoken.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                spoken.send_headers(event.stream_id, [(":status", "200")], end_stream=True)
                until_s = time.monotonic() + idle_s
        conversation.send(spoken.data_to_send())


def both(conversation: Conversation) -> None:
    """Speak HTTP/2 with whoever begins with its preface, and HTTP/1.1 with others."""
    if conversation.sock.recv(4, socket.MSG_PEEK) == b"PRI ":
        speak_http2(conversation, IDLE_S)
    else:
        converse(Behaviour(idle_s=IDLE_S), conversation)


def test_http2_by_prior_knowledge_is_found_and_its_idle_time_measured() -> None:
    with serving(both) as server:
        result = probed(server.port)
    assert result.versions == ("HTTP/1.0", "HTTP/1.1", "h2c")
    assert result.idle_http2 is not None
    assert result.idle_http2.ending is Ending.GOAWAY
    assert len(result.idle_http2.seen_s) == 2
    assert server.accepted == result.connections_used <= MOST_CONNECTIONS


def test_http2_by_alpn_is_found(contexts: tuple[ssl.SSLContext, ssl.SSLContext, str]) -> None:
    _, http_2, authority = contexts

    def script(conversation: Conversation) -> None:
        assert isinstance(conversation.sock, ssl.SSLSocket)
        if conversation.sock.selected_alpn_protocol() == "h2":
            speak_http2(conversation, IDLE_S)
        else:
            converse(Behaviour(idle_s=IDLE_S), conversation)

    with serving(script, http_2) as server:
        result = over_tls(server.port, authority)
    assert result.versions == ("HTTP/1.0", "HTTP/1.1", "h2")
    assert result.idle_http2 is not None
    assert result.idle_http2.ending is Ending.GOAWAY


@pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])
def test_the_end_of_idle_connections_is_seen_through_tls(
    ending: Ending, contexts: tuple[ssl.SSLContext, ssl.SSLContext, str]
) -> None:
    http_1, _, authority = contexts

    def script(conversation: Conversation) -> None:
        converse(Behaviour(idle_s=IDLE_S, ending=str(ending)), conversation)

    with serving(script, http_1) as server:
        result = over_tls(server.port, authority)
    assert result.versions == ("HTTP/1.0", "HTTP/1.1")
    assert result.idle is not None
    assert result.idle.ending is ending
    assert len(result.idle.seen_s) >= 4
    assert result.idle_http2 is None


def test_a_close_notify_is_an_end(contexts: tuple[ssl.SSLContext, ssl.SSLContext, str]) -> None:
    http_1, _, authority = contexts

    def script(conversation: Conversation) -> None:
        converse(Behaviour(idle_s=IDLE_S), conversation)
        assert isinstance(conversation.sock, ssl.SSLSocket)
        conversation.sock.settimeout(5.0)
        try:
            conversation.sock.unwrap()
        except OSError:
            return

    with serving(script, http_1) as server:
        result = over_tls(server.port, authority)
    assert result.idle is not None
    assert result.idle.ending is Ending.FIN
    assert len(result.idle.seen_s) >= 4
