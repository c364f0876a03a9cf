"""A survey leaves out who cannot be examined, says why, and goes on with the others."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from bench.cluster import paths, same_code, survey
from bench.cluster.connection import DaskCluster, WorkerFacts
from bench.cluster.identity import identify
from bench.cluster.survey import SurveyedMachine, examine_worker
from bench.errors import LabError
from tests import needs

needs.module("distributed")


class InProcess(DaskCluster):
    """A cluster whose workers are an event loop in a thread; `answers` replaces what functions return."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *addresses: str) -> None:
        self.scheduler = "tcp://127.0.0.1:8786"
        self.workers = tuple(
            WorkerFacts(f"w{number}", f"tcp://{address}:{number}", {})
            for number, address in enumerate(addresses, 1)
        )
        self.answers: dict[tuple[str, object], Any] = {}
        self._loop = loop

    def try_each(
        self, addresses: Sequence[str], function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        return {address: self._answer(address, function, args) for address in addresses}

    def read_workers(self) -> None:
        pass

    def begin_on_scheduler(self, function: Callable[..., Any], *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args))
        return done

    def answer(self, name: str, function: object, result: object) -> None:
        self.answers[name, function] = result

    def _answer(self, address: str, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if (key := (self.name_of(address), function)) in self.answers:
            return self.answers[key]
        if inspect.iscoroutinefunction(function):
            return asyncio.run_coroutine_threadsafe(function(*args), self._loop).result(60)
        return function(*args)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return an event loop that runs in a thread."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


def by_name(cluster: DaskCluster, interface: str | None = None) -> dict[str, SurveyedMachine]:
    return {machine.name: machine for machine in survey.survey(cluster, interface).machines}


def test_machines_find_each_other(loop: asyncio.AbstractEventLoop) -> None:
    found = by_name(InProcess(loop, "127.0.0.1", "127.0.0.1"))
    for name, other in (("w1", "w2"), ("w2", "w1")):
        (path,) = found[name].paths
        assert (path.target, path.fault, found[name].problem) == (other, None, "")
        clock = found[name].clock
        assert clock is not None
        assert abs(clock.offset_ns) <= clock.error_ns


@pytest.mark.parametrize(
    ("function", "answer", "problem", "has_code"),
    [
        (identify, ModuleNotFoundError("No module named 'bench'"), "has no bench (No module named", False),
        (identify, identify()._replace(python="3.99"), "runs python 3.99, and here it is", True),
        (identify, LabError("it is gone\nin a moment"), "cannot be used: it is gone; its log", False),
        (examine_worker, RuntimeError("old files\nTraceback"), "cannot be examined (old files); start", True),
    ],
)
def test_who_cannot_be_examined_is_named_and_the_others_are_surveyed(
    loop: asyncio.AbstractEventLoop, function: object, answer: object, problem: str, has_code: bool
) -> None:
    cluster = InProcess(loop, "127.0.0.1", "127.0.0.1", "127.0.0.1")
    cluster.answer("w2", function, answer)
    found = by_name(cluster)
    assert problem in found["w2"].problem
    assert "\n" not in found["w2"].problem
    assert (found["w2"].examination, found["w2"].clock, found["w2"].paths) == (None, None, ())
    assert (found["w2"].code is not None) is has_code
    assert [path.target for path in found["w1"].paths] == ["w3"]


def test_a_run_refuses_what_a_survey_shows(loop: asyncio.AbstractEventLoop) -> None:
    cluster = InProcess(loop, "127.0.0.1", "127.0.0.1")
    cluster.answer("w2", identify, identify()._replace(python="3.99"))
    with pytest.raises(LabError, match=r"the worker w2 runs python 3\.99, .* install the same version"):
        same_code.check(cluster)


def test_an_address_that_is_not_of_the_machine_is_no_target(loop: asyncio.AbstractEventLoop) -> None:
    found = by_name(InProcess(loop, "127.0.0.1", "203.0.113.1"))
    assert found["w2"].problem.startswith("cannot listen at 203.0.113.1 (Cannot assign requested address)")
    assert found["w1"].paths == ()
    assert [path.target for path in found["w2"].paths] == ["w1"]


def test_ports_are_closed_whatever_happens(loop: asyncio.AbstractEventLoop) -> None:
    cluster = InProcess(loop, "127.0.0.1", "127.0.0.1")
    cluster.answer("w2", paths.try_peers, LabError("it is gone"))
    with pytest.raises(LabError, match="it is gone"):
        by_name(cluster)
    assert paths._ports == {}
