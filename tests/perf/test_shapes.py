"""Each shape passes through the proxy, is answered by the raw backend, and arrives as it was meant."""

from __future__ import annotations

import re
import socket

import h11
import pytest

from tests import needs
from tests.perf import checkouts, response_rounds, subjects
from tests.perf.framing import response_end, whole_requests
from tests.perf.messages import VARIANTS, fill
from tests.perf.shapes import SHAPES, Shape
from tests.perf.stage import RawBackend, Stage

NUMBERS = (0, 1, 2)
"""The first exchanges: requests and responses both come in the order of their numbers."""
TIMEOUT_S = 60.0
_ID = re.compile(rb"[0-9a-f]{16}")


@pytest.fixture(scope="module")
def proxies(play: Stage, backend: RawBackend, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the address of a proxy to each kind of upstream that can be had here."""
    folder = tmp_path_factory.mktemp("proxies")
    can_unix = checkouts.knows("unix:")
    return {
        name: subjects.start(play, "ours", upstream, is_short=False, folder=folder / name).address
        for name, upstream in backend.addresses.items()
        if upstream and (name != "unix" or can_unix)
    }


def exchange(client: socket.socket, shape: Shape, number: int) -> tuple[int, bytes, bytes]:
    """Send one request of a shape; return what h11 makes of the response: status, fields, body."""
    reader = h11.Connection(h11.CLIENT)
    method, target, _ = shape.request[0].split(b" ", 2)
    reader.send(h11.Request(method=method, target=target, headers=[("Host", "any"), ("Content-Length", "0")]))
    reader.send(h11.EndOfMessage())
    for piece in shape.request:
        client.sendall(fill(piece, number))
    status, fields, body = 0, b"", b""
    while True:
        event = reader.next_event()
        if isinstance(event, h11.Response):
            status, fields = event.status_code, b"\n".join(b": ".join(field) for field in event.headers)
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, fields, body
        else:
            assert event is h11.NEED_DATA
            reader.receive_data(client.recv(1 << 18))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("closes", [False, True], ids=["open", "closing"])
def test_each_shape_passes_through_the_proxy(
    shape: Shape, closes: bool, backend: RawBackend, proxies: dict[str, str]
) -> None:
    if shape.upstream not in proxies:
        needs.skip(f"{shape.upstream} upstreams", "this machine or this proxy has none")
    host, _, port = proxies[shape.upstream].rpartition(":")
    backend.shape(shape.name, closes=closes)
    before = backend.count()
    for number in NUMBERS:
        with socket.create_connection((host, int(port)), TIMEOUT_S) as client:
            status, fields, body = exchange(client, shape, number)
        assert (status, body) == (shape.status, fill(shape.body, number))
        unique = _ID.search(b"".join(fill(piece, number) for piece in shape.response))
        assert unique is None or unique[0] in fields + body
    served = backend.count().since(before)
    assert served.requests == len(NUMBERS)
    assert served.closed_first == (len(NUMBERS) if closes or shape.closes else 0)


def test_an_identity_is_echoed_on_demand(backend: RawBackend) -> None:
    host, _, port = backend.address.rpartition(":")
    for name in response_rounds.SERVERS:
        backend.shape(name, echoes=True)
        with socket.create_connection((host, int(port)), TIMEOUT_S) as client:
            client.sendall(b"GET / HTTP/1.1\r\nX-Bench-Id: 0-17\r\nHost: any\r\n\r\n")
            received = b""
            while response_end(received, is_head=False) < 0:
                received += client.recv(1 << 18)
        assert received.partition(b"\r\n\r\n")[0].endswith(b"\r\nX-Bench-Id: 0-17")
        assert received.endswith((b"0\r\n\r\n", fill(SHAPES[name].body, 0)))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_requests_and_responses_of_a_shape_differ_while_their_lengths_stay(shape: Shape) -> None:
    requests = [b"".join(pieces) for pieces in shape.requests()]
    responses = [b"".join(pieces) for pieces in shape.responses()]
    for messages in (requests, responses):
        assert len(set(messages)) == VARIANTS
        assert len(set(map(len, messages))) == 1
    one, another = (request.split(b"\r\n") for request in requests[:2])
    # The path, the identity, and one more.
    assert sum(line != other for line, other in zip(one, another, strict=True)) >= 3


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_message_ends_where_it_ends_however_it_is_cut(shape: Shape) -> None:
    request = b"".join(shape.requests()[0])
    assert whole_requests(request * 2 + request[:-1]) == (2, 2 * len(request))
    cuts = range(0, len(request), 1 + len(request) // 2000)
    assert {whole_requests(request[:cut]) for cut in cuts} == {(0, 0)}
    response = b"".join(shape.responses()[0])
    if shape.name != "until-close":
        assert response_end(response * 2, shape.is_head) == len(response)
    assert {response_end(response[:cut], shape.is_head) for cut in range(len(response))} == {-1}


def test_a_closing_response_says_so_once() -> None:
    for shape in SHAPES.values():
        fields = b"".join(shape.responses(closes=True)[0]).partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        assert [field for field in fields if field.startswith((b"connection", b"keep-alive"))] == [
            b"connection: close"
        ]
