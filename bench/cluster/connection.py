"""The connection to a Dask scheduler: its workers, calls into them, and what they report.

A scheduler executes code for whoever reaches it. It is Dask's own; nothing of its protocol is known here.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from bench.cluster import cluster_file
from bench.cluster.certificates import CertificateFiles
from bench.cluster.identity import Identity, identify
from bench.errors import LabError

P = ParamSpec("P")
R = TypeVar("R")
_CONNECT_TIMEOUT_S = 10.0
_CALL_TIMEOUT_S = 30.0


class WorkerLost(LabError):
    """A worker, or the scheduler before it, does not answer any more."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One Dask worker."""

    name: str
    address: str
    resources: dict[str, float]


class DaskCluster:
    """A scheduler with workers that run this very code. States: connected, closed."""

    def __init__(self, client: Any, scheduler: str) -> None:
        self.client = client
        """A `distributed.Client`."""
        self.scheduler = scheduler
        self.workers: tuple[WorkerFacts, ...] = tuple(
            sorted(_workers(client.scheduler_info(n_workers=-1)), key=lambda each: each.name)
        )

    def call(
        self,
        address: str,
        function: Callable[P, Any],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Any:
        """Run `function` in the process of the worker at `address`, and return what it returns.

        A coroutine function is awaited. WorkerLost where it does not answer within 30 s, or is gone.
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
        pending = list(addresses)
        try:
            results = self.client.run(function, *args, workers=pending, on_error="return", **kwargs)
        except (OSError, TimeoutError, RuntimeError) as error:
            raise WorkerLost(f"cluster: the scheduler {self.scheduler} does not answer: {error}") from error
        return {address: self._result(address, results) for address in addresses}

    def name_of(self, address: str) -> str:
        """Return the name of the worker at `address`."""
        return next((each.name for each in self.workers if each.address == address), address)

    def _result(self, address: str, results: dict[str, Any]) -> Any:
        result = results.get(address, OSError("it is gone"))
        if isinstance(result, (OSError, TimeoutError)) and not isinstance(result, LabError):
            return WorkerLost(f"cluster: the worker {self.name_of(address)} does not answer: {result}")
        return result


@contextmanager
def connect(
    scheduler: str, timeout_s: float = _CONNECT_TIMEOUT_S, *, any_code: bool = False
) -> Iterator[DaskCluster]:
    """Connect to a scheduler, by its address or by the file that `bench cluster up` wrote, for a block.

    LabError where there is none, where it has no worker, or, unless `any_code`, where a worker runs other
    code than this.
    """
    import distributed  # noqa: PLC0415 - half a second that only a cluster needs

    address, security = _where(scheduler)
    try:
        client = distributed.Client(  # type: ignore[no-untyped-call]
            address, timeout=timeout_s, security=security, set_as_default=False, name="bench"
        )
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        raise LabError(
            f"cluster: no scheduler answers at {address}: {_first_line(error)}; start one with"
            " `bench cluster up`, or with Dask's own commands"
        ) from error
    try:
        cluster = DaskCluster(client, address)
        _check(cluster)
        if not any_code:
            check_code(cluster)
        yield cluster
    finally:
        _close(client)


def _where(scheduler: str) -> tuple[str, Any]:
    """Return the address of the scheduler, and how to prove who we are."""
    import distributed  # noqa: PLC0415 - likewise

    if "://" in scheduler:
        return scheduler, None  # Dask's own configuration says which certificates
    held = cluster_file.read(Path(scheduler))
    if held.ca is None or held.certificate is None or held.key is None:
        return held.scheduler, None
    files = CertificateFiles(held.ca, held.certificate, held.key)
    return held.scheduler, distributed.Security(**files.security())  # type: ignore[no-untyped-call]


def _workers(info: dict[str, Any]) -> Iterator[WorkerFacts]:
    for address, facts in info["workers"].items():
        yield WorkerFacts(str(facts.get("name", address)), address, dict(facts.get("resources") or {}))


def _check(cluster: DaskCluster) -> None:
    """Raise LabError where a worker cannot take a role of ours."""
    if not cluster.workers:
        raise LabError(
            f"cluster: the scheduler {cluster.scheduler} has no worker; start some, each with"
            " `--resources client=1,proxy=1,backend=1` as far as it may take these roles"
        )
    names = [worker.name for worker in cluster.workers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabError(f"cluster: two workers are called {twice[0]}; give each a name of its own")


def check_code(cluster: DaskCluster) -> None:
    """Raise LabError where a worker runs other code than this."""
    for name, (_, problem) in identify_workers(cluster).items():
        if problem:
            raise LabError(f"cluster: the worker {name} {problem}")


def identify_workers(cluster: DaskCluster) -> dict[str, tuple[Identity | None, str]]:
    """Return what code each worker runs, by its name, and why it can take no role; empty where it can."""
    here = identify()
    found = cluster.try_each([worker.address for worker in cluster.workers], identify)
    return {worker.name: _judge(here, found[worker.address]) for worker in cluster.workers}


def _judge(here: Identity, answer: Any) -> tuple[Identity | None, str]:
    if isinstance(answer, ImportError):
        return None, f"has no bench ({answer}); {_SAME_VERSION}"
    if isinstance(answer, BaseException):
        return None, f"cannot be used: {_first_line(answer)}; its log says more"
    difference = here.difference(answer)
    return answer, f"runs {difference}; {_SAME_VERSION}" if difference else ""


_SAME_VERSION = "install the same version on every machine"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _close(client: Any) -> None:
    """Close the client; a scheduler that is gone is not waited for."""
    closer = threading.Thread(target=client.close, args=(2.0,), daemon=True)
    closer.start()
    closer.join(5.0)
