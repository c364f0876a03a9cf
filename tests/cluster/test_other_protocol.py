"""The port of something else than a scheduler is told as that, whatever it answers there."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from bench.cluster import endpoint
from bench.errors import LabError
from tests import needs
from tests.cluster.clusters import EXTRA, PACKAGE

ANSWERS = {
    "http": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "smtp": b"220 mail.invalid ESMTP\r\n",
    "mysql": b"J\x00\x00\x00\x0a8.0.36\x00" + bytes(60),
}


@pytest.fixture(autouse=True)
def dask() -> None:
    needs.module(PACKAGE, EXTRA)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer each connection with these bytes and its end for a block; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            data = b""
            while data != b"end":
                connection, _ = listener.accept()
                with connection, suppress(OSError):  # who only tries whether anybody listens is gone
                    data = connection.recv(1024)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{port}"
        finally:
            with socket.create_connection(("127.0.0.1", port)) as last:
                last.sendall(b"end")
            thread.join()


def said(address: str, timeout_s: float = 20.0) -> str:
    """Return what is said of the scheduler at `address`."""
    from distributed import Security  # noqa: PLC0415 - takes half a second

    with pytest.raises(LabError) as raised:
        endpoint.reach(address, Security(), timeout_s)  # type: ignore[no-untyped-call]
    return str(raised.value).removeprefix(f"cluster: no scheduler answers at {address}: ")


# What Dask leaves open of a connection that fails is closed with the garbage.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("protocol", ANSWERS)
def test_what_listens_speaks_another_protocol(protocol: str) -> None:
    with answering(ANSWERS[protocol]) as address:
        line = said(address)
    assert line == "what listens there does not speak as Dask; name the port of a scheduler" or (
        protocol == "mysql" and line.startswith("it ends the connection (")
    )


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio, "open_connection", unknown)
    expected = "no address is known for that name; write one that is, or an address"
    assert said("tcp://load-1:8786") == expected
