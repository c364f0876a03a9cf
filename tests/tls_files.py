"""A certificate for 127.0.0.1 and a.test, issued once, its files, and the contexts of both sides."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from bench.subjects import certificates
from bench.subjects.certificates import CHAIN, KEY, Certificate

AUTHORITY = "authority.pem"


@cache
def certificate() -> Certificate:
    return certificates.issue(["127.0.0.1", "a.test"])


def write(folder: Path) -> Path:
    """Write the certificate, its key and its authority to `folder`, and return that."""
    for name, text in {**certificate().files, AUTHORITY: certificate().authority}.items():
        (folder / name).write_text(text)
    return folder


def server_context(folder: Path) -> ssl.SSLContext:
    """Return the context of a server; the files are written to `folder`."""
    write(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / CHAIN, folder / KEY)
    return context


def client_context() -> ssl.SSLContext:
    """Return the context of a client that trusts the authority."""
    return ssl.create_default_context(cadata=certificate().authority)


def resetting_once(
    wrap: Callable[[Any, socket.socket], ssl.SSLSocket],
) -> Callable[[Any, socket.socket], ssl.SSLSocket]:
    """Return `wrap`, but for its first socket, which it finds reset, and closes, as `ssl` does."""
    numbers = count()

    def wrap_later(layer: Any, sock: socket.socket) -> ssl.SSLSocket:
        if next(numbers):
            return wrap(layer, sock)
        sock.close()
        raise ConnectionResetError

    return wrap_later
