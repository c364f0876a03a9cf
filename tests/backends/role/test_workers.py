"""Several workers look like one backend from outside, and none outlives its parent."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests import needs
from tests.backend_process import TIMEOUT_S, read_answer, running_backend
from tests.process_end import still_running

GET = b"GET /g HTTP/1.1\r\nHost: localhost\r\n\r\n"
CONNECTIONS = 24


def test_counters_are_summed() -> None:
    with running_backend("--workers", "3") as backend:
        assert (backend.ready["workers"], backend.ready["pid"]) == (3, backend.process.pid)
        assert len(psutil.Process(backend.process.pid).children()) == 3
        for _ in range(CONNECTIONS):
            with backend.connect() as client:
                client.sendall(GET)
                read_answer(client)
        count = backend.count()
        assert (count["event"], count["accepted"], count["requests"]) == ("count", CONNECTIONS, CONNECTIONS)
        done = backend.stop()
        assert (done["event"], done["accepted"], done["requests"]) == ("done", CONNECTIONS, CONNECTIONS)


def wait_gone(processes: list[psutil.Process]) -> None:
    assert still_running(processes, TIMEOUT_S) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(number: signal.Signals) -> None:
    with running_backend("--workers", "3") as backend:
        workers = psutil.Process(backend.process.pid).children()
        os.kill(backend.process.pid, number)
        wait_gone(workers)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ends_when_the_harness_is_gone(workers: str) -> None:
    with running_backend("--workers", workers) as backend:
        processes = psutil.Process(backend.process.pid).children()
        assert backend.process.stdin is not None
        backend.process.stdin.close()
        assert backend.process.wait(TIMEOUT_S) == 0
        assert backend.process.stdout is not None
        assert backend.process.stdout.read() == b""
        wait_gone(processes)


def test_a_dead_worker_ends_all(capfd: pytest.CaptureFixture[str]) -> None:
    with running_backend("--workers", "2") as backend:
        first, second = psutil.Process(backend.process.pid).children()
        first.kill()
        assert backend.process.wait(TIMEOUT_S) == 3
        wait_gone([second])
    assert capfd.readouterr().err == f"backend: worker {first.pid} died with status -9; start again\n"


@needs.on_linux
def test_the_parent_keeps_no_listening_socket() -> None:
    with running_backend("--workers", "2") as backend:
        descriptors = Path(f"/proc/{backend.process.pid}/fd").iterdir()
        targets = [os.readlink(each) for each in descriptors]
        listening = {each.laddr.port for each in psutil.Process(backend.process.pid).net_connections()}
        assert not listening, targets
