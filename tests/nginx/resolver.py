"""A resolver on 127.0.0.1 that answers one address for every name, and records the queries."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_A, _IN = 1, 1
_HEADER, _TYPE_AND_CLASS = 12, 4


@dataclass
class Resolver:
    """Answers over UDP (RFC 1035): `known` for every A, nothing for every other type."""

    known: str = "127.0.0.1"
    queries: list[str] = field(default_factory=list)
    _socket: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def __post_init__(self) -> None:
        self._socket.bind(("127.0.0.1", 0))

    @property
    def address(self) -> str:
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            if not question:
                return
            self._socket.sendto(self._answer(question), client)

    def _answer(self, question: bytes) -> bytes:
        end = question.index(b"\0", _HEADER) + 1 + _TYPE_AND_CLASS
        kind = int.from_bytes(question[end - 4 : end - 2], "big")
        self.queries.append(_name(question[_HEADER : end - 4]))
        records = [] if kind != _A else [_record(self.known)]
        counts = b"".join(each.to_bytes(2, "big") for each in (1, len(records), 0, 0))
        return question[:2] + b"\x81\x80" + counts + question[_HEADER:end] + b"".join(records)

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())

    def close(self) -> None:
        self._socket.close()


def _record(address: str) -> bytes:
    """Return an A record for the name at the start of the question, to be kept for a minute."""
    fixed = b"".join(each.to_bytes(2, "big") for each in (0xC000 | _HEADER, _A, _IN, 0, 60, 4))
    return fixed + socket.inet_aton(address)


def _name(labels: bytes) -> str:
    words, at = [], 0
    while labels[at]:
        words.append(labels[at + 1 : at + 1 + labels[at]].decode("ascii"))
        at += 1 + labels[at]
    return ".".join(words)


@contextmanager
def resolving(known: str = "127.0.0.1") -> Iterator[Resolver]:
    """Run a resolver."""
    resolver = Resolver(known)
    thread = threading.Thread(target=resolver.serve)
    thread.start()
    try:
        yield resolver
    finally:
        resolver.stop()
        thread.join()
        resolver.close()
