"""What the tests of the servers of one protocol share: a conversation, and a process with its commands."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backends.protocols.responder import Responder, Response


def converse(one: Responder, data: bytes, step: int) -> list[Response]:
    answers = list[Response]()
    for at in range(0, len(data), step):
        answers += one.feed(data[at : at + step])
    return answers


@contextmanager
def running(*flags: str, count: int = 1) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    listen = [flag for _ in range(count) for flag in ("--listen", "127.0.0.1:0")]
    argv = [sys.executable, "-m", "backends.protocols.server", "--control", *listen, *flags]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["listen"]
        finally:
            process.kill()


def count(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write('{"command": "count"}\n')
    process.stdin.flush()
    counted: dict[str, Any] = json.loads(process.stdout.readline())
    return counted


def connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)
