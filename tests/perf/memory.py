"""Part b, memory: what an idle client connection holds in a proxy after one exchange."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import RoleError
from tests.perf import pairs, subjects
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.stage import stage
from tests.perf.subjects import Subject

PART = "b-memory"
CONNECTIONS = 2000
TARGET = Target(4.0, "ours")
WHAT = f"USS per idle client, {CONNECTIONS} of them"
_REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\nX-Bench-Id: 1\r\n\r\n"


def measure(settings: Settings) -> Iterator[Row]:
    """Yield ours beside nginx; each time in a process that has served nobody before."""
    held: dict[str, list[float]] = {"ours": [], "nginx-default": []}
    absent = subjects.missing(("nginx",))
    names = ["ours"] if absent else list(held)
    with stage() as opened, TemporaryDirectory() as folder:
        backend = opened.backend(opened.near)
        for round_ in range(settings.starts):
            for name in pairs.order(names, round_):
                place = Path(folder) / f"{name}-{round_}"
                subject = subjects.start(opened, name, backend.address, is_short=False, folder=place)
                held[name].append(_kib_per_client(subject))
                subject.process.stop()
    if absent:
        yield pairs.missing(PART, WHAT, "nginx", "not installed")
        yield pairs.alone(PART, WHAT, "KiB", held["ours"], TARGET)
    else:
        row = Row(PART, WHAT, "KiB", None)
        yield pairs.beside(row, "nginx", held["ours"], held["nginx-default"], TARGET)


def _kib_per_client(subject: Subject) -> float:
    host, _, port = subject.address.rpartition(":")
    with ExitStack() as stack:
        _exchange(stack.enter_context(socket.create_connection((host, int(port)))))
        before = _uss_kib(subject)
        for _ in range(CONNECTIONS):
            _exchange(stack.enter_context(socket.create_connection((host, int(port)))))
        return (_uss_kib(subject) - before) / CONNECTIONS


def _exchange(client: socket.socket) -> None:
    """Send one request and read its response, the body of two bytes with it."""
    client.sendall(_REQUEST)
    received = b""
    while len(received.partition(b"\r\n\r\n")[2]) < 2:
        data = client.recv(65_536)
        if not data:
            raise RoleError("proxy", "closed a connection in the middle of a response")
        received += data


def _uss_kib(subject: Subject) -> float:
    subject.tree.refresh()
    uss_mib = subject.tree.memory().uss_mib
    if uss_mib is None:
        raise RoleError(subject.name, "does not let us see its memory; run as its owner or as root")
    return uss_mib * 1024
