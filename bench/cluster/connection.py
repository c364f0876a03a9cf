"""The connection to a Dask scheduler: its workers, and calls into them.

A scheduler executes code for whoever reaches it. It is Dask's own; nothing of its protocol is known here.
"""

import asyncio
import inspect
import logging
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec

from bench.cluster import endpoint
from bench.errors import LabError

P = ParamSpec("P")
_CONNECT_TIMEOUT_S = 10.0
_CALL_TIMEOUT_S = 20.0
_LOGGERS = (
    "distributed",
    "distributed.client",
    "distributed.gc",
    "tornado",
    "tornado.application",
    "asyncio",
)


class WorkerLost(LabError):
    """A worker, or the scheduler before it, does not answer any more."""


class SchedulerLost(WorkerLost):
    """It is the scheduler that does not."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One Dask worker."""

    name: str
    address: str
    resources: dict[str, float]


class DaskCluster:
    """A scheduler with its workers. States: connected, closed."""

    def __init__(self, client: Any, scheduler: str) -> None:
        self.client = client
        """A `distributed.Client`."""
        self.scheduler = scheduler
        self.workers: tuple[WorkerFacts, ...] = ()
        self.read_workers()
        self._unreachable: set[str] = set()

    def read_workers(self) -> None:
        """Read anew which workers there are."""
        info = self.client.scheduler_info(n_workers=-1)
        self.workers = tuple(sorted(_workers(info), key=lambda each: each.name))

    def give_up(self, address: str | None = None) -> None:
        """Try no more to reach a worker, or without an address any of them: whatever is begun there fails."""
        self._unreachable |= {each.address for each in self.workers} if address is None else {address}

    def begin(
        self, address: str, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> "Future[Any]":
        """Begin to run `function` in the process of the worker at `address`; return what becomes of it.

        A coroutine function is awaited there. The result is that of `function`, or its error; WorkerLost
        where the worker, or the scheduler before it, is gone. Where one of them is silent there is never
        any: wait for a limited time.
        """
        return self._begin(self._run(address, function, args, kwargs))

    def begin_on_scheduler(self, function: Callable[..., Any], *args: Any) -> "Future[Any]":
        """Do the same in the process of the scheduler."""
        return self._begin(self._run_on_scheduler(function, args))

    def call_scheduler(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run `function` in the scheduler, and return what it returns; SchedulerLost without an answer."""
        try:
            return self.begin_on_scheduler(function, *args).result(_CALL_TIMEOUT_S)
        except (TimeoutError, CancelledError) as error:
            raise self._scheduler_lost(error) from error

    def call(
        self,
        address: str,
        function: Callable[P, Any],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Any:
        """Run `function` in the worker at `address`, and return what it returns.

        WorkerLost where it does not answer within 20 s, or is gone.
        """
        return self.call_each([address], function, *args, **kwargs)[address]

    def call_each(
        self, addresses: Sequence[str], function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> dict[str, Any]:
        """Do the same in several workers at once; the first error of one of them is raised."""
        results = self.try_each(addresses, function, *args, **kwargs)
        for result in results.values():
            if isinstance(result, BaseException):
                raise result
        return results

    def try_each(
        self, addresses: Sequence[str], function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs
    ) -> dict[str, Any]:
        """Do the same, with the errors of workers among the results."""
        begun = {address: self.begin(address, function, *args, **kwargs) for address in addresses}
        deadline_s = time.monotonic() + _CALL_TIMEOUT_S
        return {address: self.result(address, future, deadline_s) for address, future in begun.items()}

    def result(self, address: str, future: "Future[Any]", deadline_s: float) -> Any:
        """Return the result of what was begun, or its error; WorkerLost without any by `deadline_s`."""
        try:
            return future.result(max(0.0, deadline_s - time.monotonic()))
        except (TimeoutError, CancelledError):
            future.cancel()
            return WorkerLost(f"cluster: the worker {self.name_of(address)} does not answer")
        except Exception as error:  # noqa: BLE001 - whatever a function may raise: the caller decides
            return error

    def result_soon(self, address: str, future: "Future[Any]") -> Any:
        """Return the same of a function that takes no more than seconds."""
        return self.result(address, future, time.monotonic() + _CALL_TIMEOUT_S)

    def name_of(self, address: str) -> str:
        """Return the name of the worker at `address`."""
        return next((each.name for each in self.workers if each.address == address), address)

    @property
    def is_connected(self) -> bool:
        """Return whether the connection to the scheduler stands."""
        return bool(self.client.status == "running")

    def _begin(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self.client.loop.asyncio_loop)

    async def _run(self, address: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if address in self._unreachable:
            raise WorkerLost(f"cluster: the worker {self.name_of(address)} is gone")
        try:
            results = await self.client.run(
                _attempt, function, args, kwargs, workers=[address], on_error="return", asynchronous=True
            )
        except (OSError, RuntimeError) as error:
            raise self._scheduler_lost(error) from error
        answer = results.get(address, OSError("it is gone"))
        if isinstance(answer, OSError):
            raise WorkerLost(
                f"cluster: the worker {self.name_of(address)} does not answer: {first_line(answer)}"
            )
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, _Failure):
            return answer
        if _lacks_resource(answer.error):
            raise LabError(
                f"cluster: the worker {self.name_of(address)}: {_sentence(answer.error)}; see to its limits"
                " (`ulimit -a`) and its room (`df`) there, and start the worker anew"
            ) from answer.error
        raise answer.error

    async def _run_on_scheduler(self, function: Callable[..., Any], args: Any) -> Any:
        try:
            return await self.client.run_on_scheduler(function, *args, asynchronous=True)
        except OSError as error:
            raise self._scheduler_lost(error) from error

    def _scheduler_lost(self, error: BaseException) -> SchedulerLost:
        return SchedulerLost(f"cluster: the scheduler {self.scheduler} does not answer: {first_line(error)}")


@dataclass(frozen=True, slots=True)
class _Failure:
    """The error of a function that ran in a worker."""

    error: Exception


async def _attempt(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call `function` within a worker; its own errors are told apart from those of the way there.

    A result comes as it is: Dask sends a number or None in half the bytes of a tuple.
    """
    try:
        result = function(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result
    except Exception as error:  # noqa: BLE001 - it is raised where the call came from
        return _Failure(error)


def _lacks_resource(error: BaseException | None) -> bool:
    """Return whether the system refused something, a file or a thread for instance."""
    if isinstance(error, OSError):
        return error.errno is not None  # else it is a value that a function refuses
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "start new thread" in str(error)
    )


def _sentence(error: BaseException) -> str:
    said = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
    named = error.filename if isinstance(error, OSError) else None
    return f"{named}: {said}" if named else said


@contextmanager
def connect(scheduler: str, timeout_s: float = _CONNECT_TIMEOUT_S) -> Iterator[DaskCluster]:
    """Connect to a scheduler, by its address or by the file that `bench cluster up` wrote, for a block.

    LabError where there is none, or where it has no worker. What of it is lost later is the caller's to say:
    Dask itself prints nothing.
    """
    address, security = endpoint.locate(scheduler)
    import distributed  # noqa: PLC0415 - half a second that only a cluster needs

    _silence()
    endpoint.reach(address, security, timeout_s)
    try:
        client = distributed.Client(  # type: ignore[no-untyped-call]
            address, timeout=timeout_s, security=security, set_as_default=False, name="bench"
        )
    except (OSError, ImportError, ValueError, RuntimeError) as error:
        raise LabError(
            f"cluster: no scheduler answers at {address}: {first_line(error)}; start one with"
            " `bench cluster up`, or with Dask's own commands"
        ) from error
    try:
        cluster = DaskCluster(client, address)
        check_names(cluster)
        yield cluster
    finally:
        _close(client)


def _silence() -> None:
    """Let Dask, its event loop and its warnings be silent."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="distributed")


def _workers(info: dict[str, Any]) -> Iterator[WorkerFacts]:
    for address, facts in info["workers"].items():
        yield WorkerFacts(str(facts.get("name", address)), address, dict(facts.get("resources") or {}))


def check_names(cluster: DaskCluster) -> None:
    """Raise LabError where there are no workers, or where a name says nothing."""
    if not cluster.workers:
        raise LabError(
            f"cluster: the scheduler {cluster.scheduler} has no worker; start some, each with"
            " `--resources client=1,proxy=1,backend=1` as far as it may take these roles"
        )
    names = [worker.name for worker in cluster.workers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabError(f"cluster: two workers are called {twice[0]}; give each a name of its own")


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _close(client: Any) -> None:
    """Close the client; a scheduler that is gone is not waited for."""
    closer = threading.Thread(target=client.close, args=(2.0,), daemon=True)
    closer.start()
    closer.join(5.0)
