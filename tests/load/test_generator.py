"""Several workers as one: jobs, seconds, ends."""

import os
import queue
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic_ns
from typing import Any

import pytest

from bench.errors import RoleError
from bench.lab.role_process import Process, ProcessSpec, spawn
from bench.load.counters import ERROR_KINDS
from bench.load.generator import Generator, OnEvent, Second
from bench.load.job import LoadJob, split
from tests.load.scripted import answer, answering, serving

NO_ERRORS = dict.fromkeys(ERROR_KINDS, 0)


class ScriptedWorker:
    """A worker whose events the test sends."""

    def __init__(self, on_event: OnEvent) -> None:
        self.pid = 1
        self.returncode: int | None = None
        self.commands: list[Mapping[str, Any]] = []
        self._on_event = on_event
        self._kept: queue.Queue[dict[str, Any]] = queue.Queue()

    def emit(self, **event: Any) -> None:
        if not self._on_event(event):
            self._kept.put(event)

    def send(self, command: Mapping[str, Any], /) -> None:
        self.commands.append(command)

    def wait_event(self, name: str, timeout_s: float, /) -> dict[str, Any]:
        event = self._kept.get(timeout=0)
        assert event["event"] == name
        return event

    def wait(self, timeout_s: float, /) -> int:
        return 0


def second(worker: int, number: int, requests: int, **changes: Any) -> dict[str, Any]:
    return {
        "event": "second",
        "worker": worker,
        "second": number,
        "start_ns": number * 10**9,
        "end_ns": (number + 1) * 10**9,
        "in_window": True,
        "ticks": [requests, 0],
        "requests": requests,
        "errors": NO_ERRORS | {"status": 1},
        "statuses": {"200": 1, "500": 1},
        "opened": 2,
        "bytes": 10 * requests,
        "late": 1,
        "queued": 2,
        "never_started": 3,
        "latency_us": [[100, requests]],
        "connect_us": [[7, 1]],
    } | changes


def scripted(workers: int) -> tuple[Generator, list[ScriptedWorker]]:
    roles: list[ScriptedWorker] = []

    def start(argv: Sequence[str], on_event: OnEvent) -> ScriptedWorker:
        roles.append(ScriptedWorker(on_event))
        roles[-1].emit(event="ready", process="client", pid=1, worker=len(roles) - 1)
        return roles[-1]

    generator = Generator(split(LoadJob("h", 1, "h", connections=5), workers), start)
    generator.prepare()
    return generator, roles


def test_each_worker_gets_its_share_and_the_same_start() -> None:
    generator, roles = scripted(2)
    generator.go(77)
    assert [process.commands[0]["connections"] for process in roles] == [3, 2]
    assert [process.commands[0]["worker"] for process in roles] == [0, 1]
    assert all(process.commands[1:] == [{"command": "go", "start_ns": 77}] for process in roles)
    assert generator.pids == [1, 1]


def test_a_second_is_returned_once_every_worker_has_reported_it() -> None:
    generator, (one, other) = scripted(2)
    one.emit(**second(0, 0, 10))
    one.emit(**second(0, 1, 20))
    assert generator.read(0) is None
    other.emit(**second(1, 0, 5, ticks=[1, 3, 1]))
    merge_histograms = generator.read(0)
    assert merge_histograms == Second(
        second=0,
        start_ns=0,
        end_ns=10**9,
        in_window=True,
        ticks=(11, 3, 1),
        requests=15,
        errors=NO_ERRORS | {"status": 2},
        opened=4,
        bytes=150,
        late=2,
        never_started=6,
        latency_us={100: 15},
        service_us={},
        connect_us={7: 2},
        queued=4,
        statuses={"200": 2, "500": 2},
    )
    assert generator.read(0) is None


def test_seconds_of_only_some_workers_are_returned_last_in_order() -> None:
    generator, (one, other) = scripted(2)
    one.emit(**second(0, 1, 20))
    one.emit(**second(0, 0, 10))
    assert generator.read(0) is None
    for process, index in ((one, 0), (other, 1)):
        process.emit(event="done", worker=index)
    read = [generator.read(0), generator.read(0), generator.read(0)]
    assert [part.second if part else None for part in read] == [0, 1, None]
    assert generator.is_over


def test_a_worker_that_is_gone_ends_the_reading() -> None:
    generator, (one, other) = scripted(2)
    one.emit(event="done", worker=0)
    assert not generator.is_over
    other.returncode = -9
    assert generator.read(60) is None
    assert generator.is_over


@contextmanager
def processes(job: LoadJob, workers: int, argv: Sequence[str] = ()) -> Iterator[Generator]:
    """Run a generator whose workers are real; they end with the test."""
    started: list[Process] = []

    def start(argv_given: Sequence[str], on_event: OnEvent) -> Process:
        asked = ProcessSpec("client", argv or argv_given, on_event=on_event)
        started.append(Process(asked, spawn(asked, {}), leads_group=False))
        return started[-1]

    try:
        yield Generator(split(job, workers), start)
    finally:
        for process in started:
            process.kill()


def local(port: int, **changes: Any) -> LoadJob:
    values: dict[str, Any] = {"connections": 5, "warmup_s": 0.1, "duration_s": 0.3, "body_bytes": (5, 5)}
    return LoadJob("127.0.0.1", port, "a", **values | changes)


def read_all(generator: Generator, then: Callable[[Second], None] = lambda _: None) -> list[Second]:
    read: list[Second | None] = []
    while not generator.is_over or (read and read[-1] is not None):
        read.append(generator.read(0.1))
        if (last := read[-1]) is not None:
            then(last)
    return [part for part in read if part is not None]


def read_rest(generator: Generator) -> list[Second]:
    """Return what came in while the workers ended: a worker may be gone before all that it wrote is read."""
    return list(iter(lambda: generator.read(0), None))


def test_workers_do_one_job_together() -> None:
    with serving(answering(answer)) as server, processes(local(server.port), 2) as generator:
        generator.prepare()
        assert len(set(generator.pids)) == 2
        generator.go(start_ns := monotonic_ns() + 20_000_000)
        seconds = read_all(generator)
        totals = generator.wait(60)
        seconds += read_rest(generator)
    assert totals.opened_total == server.accepted == 5
    assert totals.requests_total == len(server.seen) == sum(part.requests for part in seconds)
    assert totals.requests == sum(part.requests for part in seconds if part.in_window)
    assert totals.errors_total == NO_ERRORS
    assert totals.window_start_ns == start_ns + 100_000_000
    assert totals.window_end_ns - totals.window_start_ns == 300_000_000
    assert {request.identity.split(b"-")[1] for request in server.seen} == {b"0", b"1"}


def test_a_worker_that_fails_to_start_gives_the_reason() -> None:
    talk = [sys.executable, "-c", "import sys; sys.exit('client: no luck')"]
    with processes(local(9), 1, talk) as generator, pytest.raises(RoleError, match="no luck"):
        generator.prepare()


def test_a_worker_that_dies_under_way_is_an_error_not_a_hang() -> None:
    with (
        serving(answering(answer)) as server,
        processes(local(server.port, duration_s=600.0), 1) as generator,
    ):
        generator.prepare()
        generator.go(monotonic_ns())
        os.kill(generator.pids[0], signal.SIGKILL)
        read_all(generator)
        with pytest.raises(RoleError):
            generator.wait(60)
