"""TLS on either hop of the built-in proxy, over real sockets."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest

from bench.load import http11
from bench.subjects.certificates import CHAIN, KEY
from proxy.errors import ConnectFailed
from proxy.settings import UpstreamTls
from proxy.tls_connector import TlsConnector
from proxy.tls_transport import TlsTransport
from tests import tls_files
from tests.load.scripted import Conversation, answer, answering, serving
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import TIMEOUT_S, Upstream, reset

IDENTITY = "X-Bench-Id: 1\r\n"
LONG = http11.pattern(1_000_000)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tls_files.write(tmp_path)


def listening(files: Path) -> tuple[str, ...]:
    return ("--tls-cert", str(files / CHAIN), "--tls-key", str(files / KEY))


def trusting(files: Path) -> tuple[str, ...]:
    return ("--upstream-tls", "--upstream-cacert", str(files / tls_files.AUTHORITY))


def tls_client(proxy: ProxyProcess) -> Client:
    client = Client(proxy)
    client.sock = tls_files.client_context().wrap_socket(
        client.sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False
    )
    return client


def test_a_client_speaks_tls_and_keeps_its_connection(files: Path) -> None:
    upstream = Upstream()
    with running(upstream, *listening(files)) as proxy:
        with tls_client(proxy) as client:
            bodies = [client.request(f"/{number}").content for number in range(3)]
            assert isinstance(client.sock, ssl.SSLSocket)
            assert client.sock.version() == "TLSv1.3"
            client.request("/last", fields="Connection: close\r\n")
            # With a close_notify: else `recv` would raise.
            assert client.ended()
        counts = proxy.count()
    upstream.close()
    assert bodies == [b"/0", b"/1", b"/2"]
    assert [request.values(b"X-Forwarded-Proto") for request in upstream.requests] == [[b"https"]] * 4
    assert (counts["accepted"], counts["requests"], counts["opened"]) == (1, 4, 1)


def test_who_speaks_no_tls_is_no_client(files: Path) -> None:
    upstream = Upstream()
    with running(upstream, *listening(files)) as proxy:
        with Client(proxy) as plain:
            plain.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while plain.sock.recv(4096):
                    pass  # an alert
        with tls_client(proxy) as client:
            assert client.request("/").status == 200
        counts = proxy.count()
    upstream.close()
    assert counts["errors"]["client"]["tls"] == counts["accepted"] == 1
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"])
def test_a_client_that_resets_before_it_is_accepted_is_counted(files: Path, sent: bytes) -> None:
    upstream = Upstream()
    with running(upstream, *listening(files)) as proxy:
        proxy.signal(signal.SIGSTOP)
        gone = proxy.connect()
        gone.sendall(sent)
        reset(gone)
        proxy.signal(signal.SIGCONT)
        with tls_client(proxy) as client:
            assert client.request("/").status == 200
        assert proxy.stop()["errors"]["client"]["tls"] == 1
    upstream.close()


def test_an_upstream_that_resets_before_the_handshake_has_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        sock = socket.create_connection(address)
        reset(listener.accept()[0])
    failed: list[ssl.SSLSocket | ConnectFailed] = []
    sends = Mock(loop=Mock(call_soon=lambda call, *args: call(*args)))
    TlsConnector(UpstreamTls(verify=False), sends).shake_hands(sock.detach(), address, 0.0, failed.append)
    (failure,) = failed
    assert isinstance(failure, ConnectFailed)
    assert str(failure) == "the TLS handshake with the upstream failed: Connection reset by peer"


def test_a_close_notify_that_is_there_when_the_proxy_sends_its_own_is_the_end_of_the_input(
    files: Path,
) -> None:
    ours, theirs = socket.socketpair()
    server = tls_files.server_context(files).wrap_socket(
        ours, server_side=True, do_handshake_on_connect=False
    )
    shaking = threading.Thread(target=server.do_handshake)
    shaking.start()
    with tls_files.client_context().wrap_socket(theirs, server_hostname="127.0.0.1") as client:
        shaking.join()
        client.setblocking(False)
        client.write(b"GET /")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.unwrap()
        server.setblocking(False)
        protocol = Mock()
        transport = TlsTransport(Mock(), server, protocol)
        transport.read_ready()
        transport.write_eof()
        transport.read_ready()
    assert [each[0] for each in protocol.method_calls] == ["data_received", "eof_received", "connection_lost"]


def test_upstreams_speak_tls_and_long_bodies_arrive_whole_on_both_hops(files: Path) -> None:
    reply = answering(lambda request: answer(request, LONG))
    with (
        serving(reply, tls_files.server_context(files)) as server,
        running(f"127.0.0.1:{server.port}", *listening(files), *trusting(files)) as proxy,
        tls_client(proxy) as client,
    ):
        contents = [client.request("/", fields=IDENTITY).content for _ in range(2)]
        counts = proxy.count()
    assert contents == [LONG, LONG]
    assert server.accepted == counts["opened"] == 1


@pytest.mark.parametrize("flags", [(), ("--no-upstream-tls-sessions",)])
def test_a_new_upstream_connection_resumes_the_session_unless_told_otherwise(
    files: Path, flags: tuple[str, ...]
) -> None:
    resumed: list[bool] = []

    def note(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert isinstance(conversation.sock, ssl.SSLSocket)
            resumed.append(bool(conversation.sock.session_reused))
            conversation.send(answer(request))

    with serving(note, tls_files.server_context(files)) as server:
        mode = ("--mode", "short", *flags)
        with (
            running(f"127.0.0.1:{server.port}", *trusting(files), *mode) as proxy,
            Client(proxy) as client,
        ):
            statuses = [client.request("/", fields=IDENTITY).status for _ in range(4)]
    assert statuses == [200] * 4
    assert resumed == [False, *[not flags] * 3]


def refusing(conversation: Conversation) -> None:
    conversation.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(
    ("flags", "has_tls"),
    [
        (("--upstream-tls",), True),  # nobody trusts its authority
        (("--upstream-sni", "b.test"), True),
        ((), False),
    ],
)
def test_an_upstream_whose_handshake_fails_is_a_502_that_says_so(
    files: Path, flags: tuple[str, ...], has_tls: bool
) -> None:
    context = tls_files.server_context(files) if has_tls else None
    known = () if "--upstream-tls" in flags else trusting(files)
    with (
        serving(answering(answer) if has_tls else refusing, context) as server,
        running(f"127.0.0.1:{server.port}", *known, *flags) as proxy,
        Client(proxy) as client,
    ):
        response = client.request("/", fields=IDENTITY)
    assert response.status == 502
    assert b"the TLS handshake with the upstream failed" in response.content


MISUSE = {
    "a certificate alone": (["--tls-cert", "{CHAIN}"], "--tls-key"),
    "no such file": (["--tls-cert", "/nowhere", "--tls-key", "{KEY}"], "cannot be read: no such file"),
    "a key for a certificate": (["--tls-cert", "{KEY}", "--tls-key", "{KEY}"], "no certificate with its key"),
    "no authority": (["--upstream-tls", "--upstream-cacert", "{KEY}"], "holds no certificate"),
    "nothing to trust for": (["--upstream-insecure"], "no effect without --upstream-tls"),
}


@pytest.mark.parametrize("name", MISUSE)
def test_files_and_flags_that_make_no_sense_are_refused_in_a_line(files: Path, name: str) -> None:
    flags, reason = MISUSE[name]
    named = [flag.format(CHAIN=files / CHAIN, KEY=files / KEY) for flag in flags]
    argv = [sys.executable, "-m", "proxy", "--mode", "short", "--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [*argv, "--upstream", "127.0.0.1:1", *named],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
