"""A proxy that runs already is all processes that listen at its address, however they were started."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.cluster.running_proxy import RunningProxy
from bench.errors import LabError

OPENED = 5
SHARING = """
import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
print(listener.getsockname()[1], flush=True)
opened = []
for line in sys.stdin:
    opened.append(socket.create_connection(("127.0.0.1", int(line))))
    print("opened", flush=True)
"""


@contextmanager
def sharing(port: int) -> Iterator[subprocess.Popen[str]]:
    """Run a process that shares a port, 0: a free one, and opens a connection for each line, to that port."""
    argv, pipe = [sys.executable, "-c", SHARING, str(port)], subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_share_a_port_are_one_proxy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as backend, sharing(0) as first:
        at = int(answer(first))
        with sharing(at) as second:
            assert answer(second) == str(at)
            proxy = RunningProxy(f"127.0.0.1:{at}")
            try:
                assert proxy.roots == tuple(sorted((first.pid, second.pid)))
                upstream = backend.getsockname()[1]
                proxy.watch([f"127.0.0.1:{upstream}"])
                for process in (first, *OPENED * [second]):
                    assert process.stdin is not None
                    process.stdin.write(f"{upstream}\n")
                    process.stdin.flush()
                    assert answer(process) == "opened"
                counted = proxy.stop()
            finally:
                proxy.close()
    # Where this kernel shows events to this user each is counted; else it is said that none is.
    assert counted == 1 + OPENED or (counted is None and "shows no events" in proxy.notes[-1])


def test_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(LabError, match="nothing listens there; start the proxy"):
            RunningProxy(f"127.0.0.1:{free.getsockname()[1]}")
