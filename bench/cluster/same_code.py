"""Whether the scheduler and the workers run this very code, told by name before anything starts."""

import importlib.metadata
import re
from typing import Any

from bench.cluster.connection import DaskCluster, WorkerLost, first_line
from bench.cluster.identity import Identity, identify
from bench.errors import LabError

_DISTRIBUTION = "keepalive-bench"
_TIMEOUT_S = 10.0
_NO_BENCH = re.compile(r"No module named 'bench'|'bench' is not a package")
_OTHER_BENCH = re.compile(r"No module named 'bench\.|Can't get attribute")
_REMEDY = "install the same version on every machine"


def check(cluster: DaskCluster) -> None:
    """Raise LabError where the scheduler or a worker runs other code than this process."""
    if problem := _scheduler_problem(cluster, identify()):
        raise LabError(f"cluster: the scheduler {cluster.scheduler} {problem}")
    found = identify_workers(cluster)
    if any(problem for _, problem in found.values()):
        # One that was lost a moment ago may have been in the scheduler's list.
        cluster.read_workers()
    names = {worker.name for worker in cluster.workers}
    for name, (_, problem) in found.items():
        if problem and name in names:
            raise LabError(f"cluster: the worker {name} {problem}")


def identify_workers(cluster: DaskCluster) -> dict[str, tuple[Identity | None, str]]:
    """Return what code each worker runs, by its name, and why it can take no role; empty where it can."""
    here = identify()
    found = cluster.try_each([worker.address for worker in cluster.workers], identify)
    return {
        worker.name: _judge(cluster, worker.address, here, found[worker.address])
        for worker in cluster.workers
    }


def _judge(cluster: DaskCluster, address: str, here: Identity, answer: Any) -> tuple[Identity | None, str]:
    if isinstance(answer, Identity):
        difference = here.difference(answer)
        return answer, f"runs {difference}; {_REMEDY}" if difference else ""
    reason = first_line(answer)  # Dask may tell an error of unpickling by its text alone
    if _NO_BENCH.search(reason):
        return None, f"has no bench ({reason}); {_REMEDY}"
    if not (isinstance(answer, ImportError | AttributeError) or _OTHER_BENCH.search(reason)):
        return None, f"cannot be used: {reason}; its log says more"
    # A version without that function: its package says which it is.
    (version,) = cluster.try_each([address], importlib.metadata.version, _DISTRIBUTION).values()
    known = f"bench {version}" if isinstance(version, str) else "another bench"
    return None, f"runs {known}, and here it is {here.bench} ({reason}); {_REMEDY}"


def _scheduler_problem(cluster: DaskCluster, here: Identity) -> str:
    """Return why the scheduler, which reads what is sent to the workers, cannot be used; else nothing."""
    try:
        difference = here.difference(cluster.begin_on_scheduler(identify).result(_TIMEOUT_S))
    except TimeoutError:
        return f"accepts a connection and does not answer within {_TIMEOUT_S:g} s; start it anew"
    except WorkerLost as error:
        return f"cannot be used: {error}; its log says more"
    except Exception as error:  # noqa: BLE001 - another version may answer by any
        return f"has no bench that can be used ({first_line(error)}); {_REMEDY}"
    return f"runs {difference}; {_REMEDY}" if difference else ""
