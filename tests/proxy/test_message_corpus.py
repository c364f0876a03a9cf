"""The whole corpus through a running proxy: nothing is smuggled, no connection is poisoned, nobody hangs."""

from __future__ import annotations

import contextlib
import functools
import itertools
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.messages.corpus import REQUESTS, RESPONSES
from tests.messages.model import (
    Accept,
    Answer,
    Incomplete,
    Refuse,
    RequestReading,
    ResponseMessage,
    ResponseReading,
    Step,
)
from tests.proxy_process import Client, ProxyProcess, Response, running
from tests.proxy_upstream import TIMEOUT_S, Received, Upstream, echo

NUMBERS = itertools.count()
LATE = ("extra_response_5ms", "extra_response_50ms", "extra_408_then_close")
"""What these send comes while the connection is idle; the next request must come after it."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


HASTY = ("--read-timeout", "0.5", "--head-timeout", "0.5", "--body-timeout", "0.5")
"""For a silence that must be noticed; whoever is only slow finds a proxy that has patience."""
UNPOOLED = ("--pool-idle", "0")
"""Never has an idle connection, so that each exchange has a fresh one."""
Proxies = Callable[..., ProxyProcess]


@pytest.fixture(scope="module")
def proxies(upstream: Upstream) -> Iterator[Proxies]:
    """A function that returns the proxy with such flags, started once."""
    with contextlib.ExitStack() as started:
        yield functools.cache(lambda *flags: started.enter_context(running(upstream, *flags)))


def check_healthy(client: Client) -> None:
    """A correct request gets its own answer, whatever went before."""
    target = f"/healthy/{next(NUMBERS)}"
    assert client.request(target).content == target.encode()


@pytest.mark.parametrize("name", REQUESTS)
def test_request(name: str, proxies: Proxies, upstream: Upstream) -> None:
    message = REQUESTS[name]
    waits = any(isinstance(way, Incomplete) for way in message.expected) and not message.half_close
    proxy = proxies(*(HASTY if waits else ()))
    upstream.script = echo
    upstream.requests.clear()
    first = message.expected[0]
    with Client(proxy) as client, Client(proxy) as other:
        client.sock.sendall(message.data)
        if message.half_close:
            client.sock.shutdown(socket.SHUT_WR)
        response = client.read(first.method if isinstance(first, Accept) else "GET")
        status = response.status if response else None
        ways = [way for way in message.expected if _fits(way, status, upstream.requests)]
        assert ways, (status, [request.head for request in upstream.requests], message.expected)
        for field, allowed in message.forwarded.items():
            assert members(upstream.requests[0], field) in allowed, (field, upstream.requests[0].head)
        if not isinstance(ways[0], Accept):
            assert client.ended(), "after a refusal nobody knows where the next request begins"
        elif not ways[0].trailing and ways[0].keep_alive and not message.half_close:
            check_healthy(client)
        check_healthy(other)


def members(request: Received, field: str) -> tuple[str, ...]:
    """The members of a list-valued field as it arrived at the upstream (RFC 9110, 5.6.1.2)."""
    joined = b",".join(request.values(field.encode())).decode("latin-1")
    return tuple(member.strip() for member in joined.split(",") if member.strip())


def _fits(way: RequestReading, status: int | None, wholes: list[Received]) -> bool:
    if isinstance(way, Accept):
        # What trails may be a request of its own, which then comes after this one.
        return (
            status == 200
            and len(wholes) >= 1
            and wholes[0].content == way.body
            and (len(wholes) == 1 or bool(way.trailing))
        )
    if isinstance(way, Refuse):
        return status in way.statuses and not wholes
    return status in (None, 400, 408) and not wholes


def is_silent(message: ResponseMessage) -> bool:
    """Whether the upstream leaves a message unfinished and says nothing more, until the proxy has enough."""
    is_deferred = any(step.action == "hold" for step in message.script)
    return is_deferred and isinstance(message.expected[0], Incomplete)


def scaled(message: ResponseMessage) -> Sequence[Step]:
    """The script at the speed of a test; a silence that must be noticed lasts until it is."""
    longest_s = TIMEOUT_S if is_silent(message) else 0.05
    return [Step(step.action, step.data, min(step.seconds, longest_s)) for step in message.script]


def ask_oddly(message: ResponseMessage, target: str, proxy: ProxyProcess) -> Response | None:
    fields = "Connection: upgrade\r\nUpgrade: websocket\r\n" if message.name == "s101_wrong_protocol" else ""
    content = "hello" if message.method == "POST" else ""
    fields += f"Content-Length: {len(content)}\r\n" if content else ""
    with Client(proxy) as client:
        client.sock.sendall(
            f"{message.method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{content}".encode()
        )
        return client.read(message.method)


@pytest.mark.parametrize("name", RESPONSES)
def test_response_on_a_fresh_connection(name: str, proxies: Proxies, upstream: Upstream) -> None:
    message = RESPONSES[name]
    proxy = proxies(*UNPOOLED, *(HASTY if is_silent(message) else ()))
    target = f"/odd/{next(NUMBERS)}"
    upstream.script = lambda request: scaled(message) if request.target == target.encode() else echo(request)
    response = ask_oddly(message, target, proxy)
    assert any(_seen(way, response) for way in message.expected), (response, message.expected)
    assert len([request for request in upstream.requests if request.target == target.encode()]) == 1
    with Client(proxy) as other:
        check_healthy(other)


@pytest.mark.parametrize("name", RESPONSES)
def test_response_on_a_reused_connection(name: str, proxies: Proxies, upstream: Upstream) -> None:
    message = RESPONSES[name]
    proxy = proxies(*(HASTY if is_silent(message) else ()))
    target = f"/odd/{next(NUMBERS)}"
    upstream.script = lambda request: scaled(message) if request.target == target.encode() else echo(request)
    with Client(proxy) as before, Client(proxy) as after:
        check_healthy(before)
        errors = proxy.errors()
        response = ask_oddly(message, target, proxy)
        assert any(_seen(way, response) for way in message.expected), (response, message.expected)
        while message.name in LATE and proxy.errors() == errors:
            """Once the request is out, nobody can tell a late answer to another one from its own."""
        for client in (after, before, after):
            check_healthy(client)
    asked = [request for request in upstream.requests if request.target == target.encode()]
    check_retry(message, asked)
    answers = [way for way in message.expected if isinstance(way, Answer)]
    if answers and not any(way.reusable and not way.trailing for way in answers):
        later = [request for request in upstream.requests if request.connection == asked[-1].connection]
        assert later[-1].target == target.encode(), "a connection in doubt was used again"


def check_retry(message: ResponseMessage, asked: list[Received]) -> None:
    """What may be repeated is, when the connection ended without a byte (RFC 9110, 9.2.2)."""
    if message.data or message.ending == "open" or message.method == "POST":
        assert len(asked) == 1
    else:
        assert len(asked) == 2
        assert asked[0].connection != asked[1].connection


def _seen(way: ResponseReading, response: Response | None) -> bool:
    if isinstance(way, Refuse):
        return response is None or response.status == 502 or not response.whole
    if isinstance(way, Incomplete):
        return response is None or response.status in (502, 504) or not response.whole
    return response is not None and (
        (response.status, response.content, response.whole, response.interims)
        == (way.status, way.body, True, way.interim)
    )
