"""Clients of a proxy that each keep a connection, and send their requests at the same time."""

from __future__ import annotations

import http.client
import threading
from pathlib import Path

from tests.nginx import real

LOST = "the connection was closed without a response"
Answer = int | str
"""A status, or LOST."""


class Clients:
    """So many clients of the proxy that listens at a socket."""

    def __init__(self, listening: Path, count: int) -> None:
        self._connections = [real.client(listening) for _ in range(count)]

    def send(self, method: str) -> list[Answer]:
        """Send one request each, and return the answers."""
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda each=each: answers.append(_request(each, method)))
            for each in self._connections
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def close(self) -> None:
        """Leave."""
        for each in self._connections:
            each.close()


def _request(connection: http.client.HTTPConnection, method: str) -> Answer:
    try:
        connection.request(method, "/", body=b"x" if method == "POST" else None)
        answer = connection.getresponse()
        answer.read()
    except (ConnectionError, http.client.HTTPException):
        return LOST
    return answer.status
