"""An Upgrade joins two connections: both ways, half-closed, held back, and only to what was offered."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp import web

from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import Listener, fill, read_exactly, until

REQUEST = (
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
AGREE = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-End: 1\r\n\r\n"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


@pytest.fixture(params=["keepalive", "short"])
def proxy(request: pytest.FixtureRequest, listener: Listener) -> Iterator[ProxyProcess]:
    with running(listener, "--mode", request.param) as proxy:
        yield proxy


def test_both_ways_and_half_closed(proxy: ProxyProcess, listener: Listener) -> None:
    with Client(proxy) as client:
        client.sock.sendall(REQUEST + b"early")
        with listener.accept() as upstream:
            head = until(upstream, b"\r\n\r\n")
            assert b"\r\nConnection: upgrade\r\n" in head
            assert b"\r\nUpgrade: websocket\r\n" in head
            upstream.sendall(AGREE + b"first")
            answer = until(client.sock, b"first")
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert b"Upgrade: websocket" in answer
            assert until(upstream, b"early") == b"early", "what came before the answer is not lost"
            client.sock.sendall(b"up")
            assert until(upstream, b"up") == b"up"
            client.sock.shutdown(socket.SHUT_WR)
            assert upstream.recv(1) == b""
            upstream.sendall(b"last words")
            upstream.shutdown(socket.SHUT_WR)
            assert until(client.sock, b"last words") == b"last words"
            assert client.ended()


def test_a_reader_that_does_not_read_holds_the_writer_back(proxy: ProxyProcess, listener: Listener) -> None:
    with Client(proxy) as client:
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(AGREE)
            until(client.sock, b"\r\n\r\n")
            sent = fill(upstream)
            assert sent < 32 << 20
            read_exactly(client.sock, sent)


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_only_what_was_offered(refusal: bytes, proxy: ProxyProcess, listener: Listener) -> None:
    with Client(proxy) as client:
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(refusal)
            response = client.read()
            assert response is not None
            assert response.status == 502


@pytest.mark.parametrize(
    ("offer", "choice"),
    [
        ("websocket, foo", "foo"),
        ("foo", "Foo"),  # RFC 9110, 7.8: names of protocols are compared in any case
        ("websocket\r\nUpgrade: foo/2", "foo/2"),
        ("websocket,foo", "foo"),
        ("websocket \t,\tfoo,,bar", "foo"),
    ],
)
def test_any_member_of_the_offer_may_be_chosen(
    offer: str, choice: str, proxy: ProxyProcess, listener: Listener
) -> None:
    with Client(proxy) as client:
        fields = f"Host: a\r\nConnection: upgrade\r\nUpgrade: {offer}\r\n"
        client.sock.sendall(f"GET / HTTP/1.1\r\n{fields}\r\n".encode())
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            switch = f"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: {choice}\r\n\r\nhello"
            upstream.sendall(switch.encode())
            assert client.sock.recv(13) == b"HTTP/1.1 101 "
            assert until(client.sock, b"hello")


@pytest.mark.parametrize(
    "fields",
    [
        "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n",
        "Upgrade: websocket\r\n",
    ],
)
def test_what_is_no_offer_goes_no_further(fields: str, proxy: ProxyProcess, listener: Listener) -> None:
    with Client(proxy) as client:
        client.sock.sendall(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        with listener.accept() as upstream:
            head = until(upstream, b"\r\n\r\n").lower()
            assert b"upgrade" not in head
            assert b"http2-settings" not in head


def test_a_reset_passes_through(proxy: ProxyProcess, listener: Listener) -> None:
    with Client(proxy) as client:
        client.sock.sendall(REQUEST)
        upstream = listener.accept()
        until(upstream, b"\r\n\r\n")
        upstream.sendall(AGREE)
        until(client.sock, b"\r\n\r\n")
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        upstream.close()
        assert client.ended()


def test_silence_ends_a_tunnel(listener: Listener) -> None:
    with running(listener, "--tunnel-timeout", "0.2") as proxy, Client(proxy) as client:
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(AGREE)
            until(client.sock, b"\r\n\r\n")
            assert client.ended()


async def test_a_websocket_client_and_server() -> None:
    """aiohttp on both sides: an echo that knows nothing of the proxy."""

    async def talk(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data[::-1])
        return ws

    app = web.Application()
    app.router.add_get("/ws", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    with running(f"{host}:{port}") as proxy:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{proxy.url}ws") as ws:
                for text in ("room", "x" * 100_000):
                    await ws.send_str(text)
                    assert (await ws.receive_str()) == text[::-1]
            async with session.get(f"{proxy.url}nothing") as response:
                assert response.status == 404
    await runner.cleanup()


def test_tunnels_end_with_the_drain(listener: Listener) -> None:
    with running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(REQUEST)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(AGREE)
            until(client.sock, b"\r\n\r\n")
            proxy.signal()
            assert proxy.done()["opened"] == 1
            assert client.ended()
