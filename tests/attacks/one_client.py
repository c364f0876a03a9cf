"""What one client can make the proxy hold in memory, whatever it sends or does not read."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from tests.attacks import rows
from tests.attacks.arena import Address, Arena, attacked
from tests.attacks.flood_upstream import FLOODS
from tests.perf.pairs import Row
from tests.perf.settings import Settings

PART = "one-client"
_SMALL = 4096
"""A receive buffer that takes little in the place of a client that reads nothing."""
_TURN_S = 0.02


def _get(target: str, fields: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: attack\r\n{fields}\r\n".encode()


def _post(target: str, fields: str) -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: attack\r\n{fields}\r\n\r\n".encode()


_CHUNKED = "Transfer-Encoding: chunked"
_LARGE = "".join(f"X-Large-{n}: {'l' * 980}\r\n" for n in range(30))
_ENDLESS = "Content-Length: 1000000000"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a client sends at once, and what it then repeats without end; it reads nothing, or all."""

    what: str
    first: bytes
    then: bytes = b""
    reads: bool = False


KINDS = (
    Kind("pipelines GET", b"", _get("/a") * 1000),
    Kind("pipelines GET with heads of 30 KiB", b"", _get("/a", _LARGE)),
    Kind("pipelines POST with bodies of 4 KiB", b"",
         (_post("/a", "Content-Length: 4096") + b"b" * 4096) * 15),
    Kind("pipelines POST with bodies of 60 KiB, reads", b"",
         _post("/a", "Content-Length: 61440") + b"b" * 61440, reads=True),
    Kind("pipelines POST in tiny chunks, reads", b"",
         _post("/a", _CHUNKED) + b"1\r\nc\r\n" * 5000 + b"0\r\n\r\n", reads=True),
    Kind("a head of 30 KiB without end", _get("/a", _LARGE)[:-2]),
    Kind("a body that nobody reads", _post("/sink", _ENDLESS), b"b" * 65_536),
    Kind("large chunks that nobody reads", _post("/sink", _CHUNKED), b"8000\r\n" + b"c" * 0x8000 + b"\r\n"),
    Kind("tiny chunks that nobody reads", _post("/sink", _CHUNKED), b"1\r\nc\r\n" * 10_000),
    Kind("chunk extensions of 20 KiB", _post("/sink", _CHUNKED), b"1;a=" + b"e" * 20_000 + b"\r\nc\r\n"),
    Kind("trailers of 30 KiB without end", _post("/sink", _CHUNKED) + b"0\r\n" + _LARGE.encode()),
    Kind("empty lines without end", b"", b"\r\n" * 30_000),
    *(Kind(f"reads nothing of a flood: {kind}", _get(f"/flood/{quote(kind)}",
           "Connection: upgrade\r\nUpgrade: flood\r\n" if kind == "tunnel" else "")) for kind in FLOODS),
    *(Kind(f"reads all of a flood: {kind}", _get(f"/flood/{quote(kind)}"), reads=True)
      for kind in ("length", "tiny chunks", "interim responses")),
)  # fmt: skip


class Hog:
    """One client; `sent` and `read` count its bytes."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.sent = 0
        self.read = 0

    def run(self, address: Address, stop: threading.Event) -> None:
        """Send and read until told to stop, or until the proxy ends the connection."""
        with socket.socket() as client:
            if not self._kind.reads:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
            client.connect(address)
            client.setblocking(False)
            try:
                self._go_on(client, stop)
            except ConnectionError:
                stop.wait()

    def _go_on(self, client: socket.socket, stop: threading.Event) -> None:
        unsent = memoryview(self._kind.first or self._kind.then)
        while not stop.is_set():
            reading, writing = [client] * self._kind.reads, [client] * bool(unsent)
            readable, writable, _ = select.select(reading, writing, [], _TURN_S)
            if readable:
                data = client.recv(1 << 18)
                if not data:
                    stop.wait()
                self.read += len(data)
            if writable:
                count = client.send(unsent)
                self.sent += count
                unsent = unsent[count:] or memoryview(self._kind.then)


def measure(arena: Arena, settings: Settings) -> Iterator[Row]:
    """Yield the row of each kind, each against a proxy that has served only good requests before."""
    upstream, _ = arena.upstream("flood_upstream")
    for kind in KINDS:
        grown, notes = {}, []
        for name in arena.names:
            hog = Hog(kind)
            with arena.subject(name, upstream) as subject:
                with attacked(subject, hog.run) as watched:
                    threading.Event().wait(settings.window_s)
                grown[name] = watched.grown_kib
                cpu = 100 * watched.cpu_s / watched.wall_s
            notes.append(
                f"{name}: {hog.sent / 1024:,.0f} KiB sent, {hog.read / 1024:,.0f} read, CPU {cpu:.0f} %"
            )
        what = f"{kind.what}: memory grows by"
        yield rows.row(PART, what, "KiB", grown, limit=rows.ONE_CLIENT_KIB, notes=tuple(notes))
