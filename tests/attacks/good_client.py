"""The good client, a process of its own: it asks at a steady pace while somebody else misbehaves.

`python -m tests.attacks.good_client HOST:PORT SECONDS` prints one event, `done`, with its latencies.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from dataclasses import dataclass, field

PACE_S = 0.002
TIMEOUT_S = 30.0
"""Longer than any proxy here lets a request wait for an upstream connection."""
_REQUEST = b"GET /good HTTP/1.1\r\nHost: good\r\nX-Bench-Id: 1\r\n\r\n"


@dataclass(slots=True)
class Tally:
    """What the good client was given: latencies of its answers, and what it got in their place."""

    latencies_s: list[float] = field(default_factory=list)
    answers: int = 0
    refused: int = 0
    """Answers other than 200."""
    broken: int = 0
    """No answer: the connection ended, or nothing came in time."""

    def event(self) -> dict[str, object]:
        """Return the event that ends the process."""
        ordered = sorted(self.latencies_s) or [TIMEOUT_S]
        at = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
        found = {name: 1e3 * ordered[int((len(ordered) - 1) * share)] for name, share in at.items()}
        counts = {"answers": self.answers, "refused": self.refused, "broken": self.broken}
        return {"event": "done", **counts, **found}


def main() -> None:
    """Ask until the time is over, then tell."""
    host, _, port = sys.argv[1].rpartition(":")
    tally = ask((host, int(port)), float(sys.argv[2]))
    print(json.dumps(tally.event()), flush=True)  # noqa: T201 - the events of a role


def ask(address: tuple[str, int], duration_s: float) -> Tally:
    """Send a request every PACE_S on one connection, the next no earlier than the last is answered.

    An answer that takes longer holds up those that were due meanwhile: each of them counts, with the time
    that it would have waited.
    """
    tally, client = Tally(), _connect(address)
    end = time.monotonic() + duration_s
    while (began := time.monotonic()) < end:
        status = _exchange(client)
        took_s = time.monotonic() - began
        if status == 200:
            held_up = int(took_s / PACE_S)
            tally.latencies_s += [took_s - missed * PACE_S for missed in range(held_up + 1)]
            tally.answers += 1
        else:
            tally.refused += status > 0
            tally.broken += status == 0
            client.close()
            client = _connect(address)
        time.sleep(max(0.0, began + PACE_S - time.monotonic()))
    client.close()
    return tally


def _connect(address: tuple[str, int]) -> socket.socket:
    client = socket.create_connection(address, TIMEOUT_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _exchange(client: socket.socket) -> int:
    """Return the status of one exchange, 0 where there is no whole answer."""
    received = b""
    try:
        client.sendall(_REQUEST)
        while not _is_whole(received):
            data = client.recv(65_536)
            if not data:
                return 0
            received += data
    except OSError:
        return 0
    return int(received[9:12])


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return bool(end) and len(body) >= int(length or 0)


if __name__ == "__main__":
    main()
