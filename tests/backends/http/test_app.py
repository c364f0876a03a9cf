"""The aiohttp backend answers what the raw one answers, with the behaviours that aiohttp allows."""

import json
import socket
import subprocess

import aiohttp
import pytest

from backends.http.behaviours import pattern
from tests import needs
from tests.backend_process import read_answer, read_until_closed, running_backend

GET = b"GET /g HTTP/1.1\r\nHost: localhost\r\nX-Bench-Id: 7f-1\r\n\r\n"
KINDS = pytest.mark.parametrize("kind", ["raw", "aiohttp"])


@KINDS
async def test_a_client_keeps_its_connection(kind: str) -> None:
    with running_backend("--kind", kind, "--response-size", "1KiB") as backend:
        url = f"http://{backend.ready['listen'][0]}/path?query=1"
        async with aiohttp.ClientSession() as session:
            for number in range(5):
                body = b"x" * (number * 50_000)
                async with session.post(url, data=body, headers={"X-Bench-Id": str(number)}) as answer:
                    assert answer.status == 200
                    assert answer.headers["X-Bench-Id"] == str(number)
                    assert answer.content_type == "text/plain"
                    assert await answer.read() == pattern(1024)
        done = backend.stop()
        assert (done["accepted"], done["requests"], done["closed_first"]) == (1, 5, 0)


async def test_the_service_speaks_json() -> None:
    with running_backend("--kind", "aiohttp") as backend, backend.connect() as client:
        client.sendall(GET.replace(b"/g", b"/json"))
        head, body = read_answer(client)
        assert b"\r\nContent-Type: application/json" in head
        assert json.loads(body) == {"method": "GET", "path": "/json", "id": "7f-1"}


@KINDS
def test_requests_per_connection(kind: str) -> None:
    with running_backend("--kind", kind, "--requests-per-connection", "2") as backend:
        with backend.connect() as client:
            client.sendall(GET)
            assert b"Connection: close" not in read_answer(client)[0]
            client.sendall(GET)
            assert b"Connection: close" in read_until_closed(client)
        done = backend.stop()
        assert (done["requests"], done["closed_first"]) == (2, 1)


CLOSE = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@KINDS
@pytest.mark.parametrize("how", ["at-once", "linger:50"])
def test_a_last_answer_is_followed_by_a_close(kind: str, how: str) -> None:
    with running_backend("--kind", kind, "--close", how) as backend:
        with backend.connect() as client:
            client.sendall(CLOSE)
            assert b"\r\nConnection: close\r\n" in read_until_closed(client)
        assert backend.stop()["closed_first"] == 1


@KINDS
def test_lingering_ends_with_the_peer(kind: str) -> None:
    flags = ("--kind", kind, "--close", "linger:3600000")
    with running_backend(*flags) as backend, backend.connect() as client:
        client.sendall(CLOSE)
        read_answer(client)
        client.shutdown(socket.SHUT_WR)
        assert read_until_closed(client) == b""
        assert backend.count()["closed_first"] == 0


@KINDS
def test_never_closing_leaves_it_to_the_peer(kind: str) -> None:
    with running_backend("--kind", kind, "--close", "never") as backend, backend.connect() as client:
        client.sendall(CLOSE)
        assert b"\r\nConnection: close" in read_answer(client)[0]
        # Whatever comes after a close token is ignored (RFC 9112, section 9.6), and the connection stays.
        client.sendall(GET)
        assert backend.count()["requests"] == 1
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.setblocking(True)
        client.shutdown(socket.SHUT_WR)
        assert read_until_closed(client) == b""
        done = backend.count()
        assert (done["requests"], done["closed_first"]) == (1, 0)


@KINDS
@pytest.mark.parametrize("how", ["linger:3600000", "never"])
def test_a_backend_that_does_not_close_drains_all_the_same(kind: str, how: str) -> None:
    with running_backend("--kind", kind, "--close", how) as backend, backend.connect() as client:
        client.sendall(CLOSE)
        read_answer(client)
        assert backend.stop()["closed_first"] == 1


@KINDS
@pytest.mark.parametrize("how", ["at-once", "never"])
def test_an_idle_connection_is_closed_whatever_comes_after_a_last_answer(kind: str, how: str) -> None:
    flags = ("--kind", kind, "--idle-timeout", "0.5", "--close", how)
    with running_backend(*flags) as backend, backend.connect() as client:
        client.sendall(GET)
        assert read_until_closed(client).endswith(b" !")


@KINDS
def test_every_nth_answer_fails_whichever_worker_gives_it(kind: str) -> None:
    flags = ("--kind", kind, "--workers", "2", "--fail", "garbage:10")
    with running_backend(*flags) as backend:
        for _ in range(40):
            with backend.connect() as client:
                client.sendall(CLOSE)
                read_until_closed(client)
        done = backend.stop()
        assert (done["requests"], done["failed"]) == (36, 4)


@KINDS
def test_idle_connections_are_closed(kind: str) -> None:
    with running_backend("--kind", kind, "--idle-timeout", "0.5") as backend, backend.connect() as client:
        client.sendall(GET)
        assert read_until_closed(client).endswith(b" !")


@KINDS
@pytest.mark.parametrize("failure", ["reset", "cut", "garbage"])
def test_failures_on_purpose(kind: str, failure: str) -> None:
    flags = ("--kind", kind, "--response-size", "100", "--fail", f"{failure}:1")
    with running_backend(*flags) as backend, backend.connect() as client:
        client.sendall(GET)
        if failure == "reset":
            with pytest.raises(ConnectionResetError):
                read_until_closed(client)
        elif failure == "cut":
            head, _, body = read_until_closed(client).partition(b"\r\n\r\n")
            assert b"\r\nContent-Length: 100" in head
            assert body == pattern(50)
        else:
            assert not read_until_closed(client).startswith(b"HTTP/")
        done = backend.count()
        assert (done["requests"], done["failed"]) == (0, 1)


@KINDS
@needs.program("curl")
@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--http1.0"],
        ["--head"],
        ["--data", "x" * 100_000],
        ["--header", "Transfer-Encoding: chunked", "-d", "x"],
    ],
    ids=["get", "http10", "head", "expect", "chunked"],
)
def test_curl(kind: str, flags: list[str]) -> None:
    with running_backend("--kind", kind) as backend:
        url = f"http://{backend.ready['listen'][0]}/"
        command = ["curl", "--silent", "--show-error", "--fail", *flags, url, url]
        answer = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
        if "--head" in flags:
            assert answer.count(b"HTTP/1.1 200 OK\r\n") == 2
        else:
            assert answer == b" ! !"
        assert backend.stop()["accepted"] == (2 if "--http1.0" in flags else 1)
