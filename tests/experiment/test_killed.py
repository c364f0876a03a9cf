"""`kill -9` of `bench run` itself, from its first process to its load: nothing is left in the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests import bench_process, needs

MARK = "BENCH_TEST_RUN"


def running(mark: str) -> list[psutil.Process]:
    """Return the processes that carry `mark`; zombies, which only wait to be reaped, do not run."""
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        carried = (process.info["environ"] or {}).get(MARK)
        if carried == mark and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def has_processes(count: int) -> Callable[[str], bool]:
    """Return whether so many processes run: bench, the lab's init, backend, proxy, load worker."""
    return lambda mark: len(running(mark)) >= count


def has_load(mark: str) -> bool:
    """Return whether the clients are connected."""
    return any(_is_connected(process) for process in running(mark))


def _is_connected(process: psutil.Process) -> bool:
    try:
        return "bench.load" in process.cmdline() and process.num_fds() > 20
    except psutil.Error:  # it has ended meanwhile
        return False


MOMENTS: dict[str, Callable[[str], bool]] = {
    "bench": has_processes(1), "init": has_processes(2), "backend": has_processes(3),
    "proxy": has_processes(4), "worker": has_processes(5), "load": has_load,
}  # fmt: skip


def kill_at(moment: str, *arguments: str, tmp_path: Path) -> None:
    """Start a run, kill it at `moment`, and see that it leaves no process and no file but its results."""
    scratch, mark = tmp_path / "scratch", str(uuid.uuid4())
    scratch.mkdir()
    command = ("run", *arguments, "--duration", "60s", "-o", str(tmp_path / "results"))
    with bench_process.started(*command, **{MARK: mark, "TMPDIR": str(scratch)}) as bench:
        while not MOMENTS[moment](mark):
            assert bench.poll() is None, bench.communicate()[1]
        bench.kill()
        deadline_s = time.monotonic() + 60
        while (left := [*running(mark), *scratch.iterdir()]) and time.monotonic() < deadline_s:
            pass
        assert left == []


@pytest.mark.long
@pytest.mark.parametrize("lab", ["auto", "loopback"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_of_a_killed_run(lab: str, moment: str, tmp_path: Path) -> None:
    kill_at(moment, "--lab", lab, tmp_path=tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("lab", ["auto", "loopback"])
@pytest.mark.parametrize("moment", ["proxy", "load"])
def test_nothing_is_left_of_a_run_through_nginx(lab: str, moment: str, tmp_path: Path) -> None:
    """It has files of its own: a configuration, a pid, temporary folders."""
    needs.need("nginx")
    kill_at(moment, "--lab", lab, "--subject", "nginx", tmp_path=tmp_path)
