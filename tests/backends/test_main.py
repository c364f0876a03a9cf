"""The process: its exit codes, its one line for what went wrong, its signals."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.backend_process import TIMEOUT_S, BackendProcess, read_until_closed, running_backend

POST_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backends", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use(workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("--listen", address, "--workers", workers)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert (
        ended.stderr == f"backend: cannot listen on {address}: address already in use; choose another port\n"
    )


def test_an_address_of_somebody_else() -> None:
    ended = run("--listen", "192.0.2.1:0")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr == (
        "backend: cannot listen on 192.0.2.1:0: cannot assign requested address; choose another address\n"
    )


def test_misuse() -> None:
    ended = run("--listen", "127.0.0.1:0", "--response-size", "1KB")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "backend: response size '1KB' is not understood; write 2, 100KiB or 1KiB-64KiB\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_more_connections_than_the_soft_limit_of_files_allows(workers: str) -> None:
    """It is raised as far as the hard one: a connection that is not accepted would wait without a word."""
    limited = ("sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh")
    backend = BackendProcess("--workers", workers, under=limited)
    with contextlib.closing(backend), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(backend.connect()) for _ in range(200)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert backend.stop()["accepted"] == 200


def wait_refusing(backend: BackendProcess) -> None:
    """Wait until no worker listens any more, the first thing that a drain does."""
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            # A reset ends a client that waited with one worker's listener: another's may be open still.
            with contextlib.suppress(ConnectionResetError):
                backend.connect().close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [(), ("--workers", "2"), ("--kind", "aiohttp")])
def test_a_signal_drains_and_a_second_one_ends(number: signal.Signals, flags: tuple[str, ...]) -> None:
    with running_backend(*flags) as backend, backend.connect() as busy:
        busy.sendall(POST_HEAD)
        assert busy.recv(65536).startswith(b"HTTP/1.1 100 ")
        os.kill(backend.process.pid, number)
        wait_refusing(backend)
        if number == signal.SIGTERM:
            busy.sendall(b"hello")
            assert b"\r\nConnection: close\r\n" in read_until_closed(busy)
            done = backend.event()
            assert (done["event"], done["requests"]) == ("done", 1)
        else:
            os.kill(backend.process.pid, number)
        assert backend.process.wait(TIMEOUT_S) == 0


def test_without_control_stdin_does_not_matter() -> None:
    command = [sys.executable, "-m", "backends", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b'"ready"' in process.stdout.readline()
        process.terminate()
        assert b'"done"' in process.stdout.readline()
        assert process.wait(TIMEOUT_S) == 0


def test_nobody_reads_its_events() -> None:
    command = [sys.executable, "-m", "backends", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.terminate()
        assert process.wait(TIMEOUT_S) == 3
        complaint = "backend: nobody reads stdout any more; keep it open until `done`\n"
        assert process.stderr.read().decode() == complaint
