"""The table of psutil and the dump of the kernel hold the same sockets; errors of psutil are reported."""

from __future__ import annotations

import sys
from typing import Any

import psutil
import pytest

from bench.observe.sock_diag import CONNECTED, SockDiag, Sockets
from bench.observe.socket_table import SocketTable


def of(sockets: Sockets, port: int) -> list[tuple[int, int, int]]:
    rows = zip(sockets.state, sockets.local_port, sockets.remote_port, strict=True)
    return sorted(
        (int(state), int(local), int(remote)) for state, local, remote in rows if port in (local, remote)
    )


def test_the_table_is_that_of_the_kernel(wire: Any) -> None:
    wire.connect()
    wire.time_wait(3)
    wire.time_wait(2, client_closes=False)
    wire.fin_wait_2(1)
    diag = SockDiag()
    assert of(SocketTable().dump(CONNECTED), wire.port) == of(diag.dump(CONNECTED), wire.port)
    diag.close()


def test_what_psutil_may_not_list_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", deny)
    with pytest.raises(OSError, match="psutil may not list them"):
        SocketTable()


def test_a_system_whose_table_leaves_time_wait_out_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(OSError, match="macOS does not list sockets in TIME_WAIT"):
        SocketTable()
