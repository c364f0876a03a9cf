"""Other work on the machine is told by its share and its name, whatever starts and ends meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.machine.affinity import available_cores
from bench.observe import other_work
from bench.observe.other_work import CoreTimes, CpuReading, ProcessTimes, between, is_run
from tests import needs

OURS, OTHER, SHELL = 10, 20, 5
S = 1_000_000_000


def process(parent: int, own_s: float, children_s: float = 0.0, started: int = 1) -> ProcessTimes:
    return ProcessTimes(started, parent, f"child of {parent}", own_s, children_s)


def share(
    before: dict[int, ProcessTimes], after: dict[int, ProcessTimes], tasks_s: float = 20.0, irq_s: float = 0.0
) -> float:
    """Return the share of ten seconds of two cores, which spent so much on tasks and interrupts."""
    first = CpuReading(0, CoreTimes(100.0, 10.0, 0.0), before)
    last = CpuReading(10 * S, CoreTimes(100.0 + tasks_s, 10.0 + irq_s, 0.0), after)
    return between(first, last, 2, [OURS]).cpu_share


@pytest.mark.parametrize(
    ("before", "after", "tasks_s", "expected"),
    [
        pytest.param({OURS: process(5, 1)}, {OURS: process(5, 9)}, 8.0, 0.0, id="ours alone"),
        pytest.param(
            {OURS: process(5, 1), 11: process(OURS, 1), 12: process(11, 1)},
            {OURS: process(5, 2), 11: process(OURS, 5), 12: process(11, 4)},
            8.0,
            0.0,
            id="what we started is ours",
        ),
        pytest.param({OTHER: process(1, 100)}, {OTHER: process(1, 105)}, 5.0, 0.25, id="another process"),
        pytest.param({}, {OTHER: process(1, 5)}, 5.0, 0.25, id="one that has just started"),
        pytest.param(
            {SHELL: process(1, 1), OTHER: process(SHELL, 100)},
            {SHELL: process(1, 1, 105)},
            5.0,
            0.25,
            id="one that ended takes along what it had used before",
        ),
        pytest.param(
            {SHELL: process(1, 1), OTHER: process(SHELL, 50), 21: process(OTHER, 50)},
            {SHELL: process(1, 1, 105)},
            5.0,
            0.25,
            id="and so do those below it",
        ),
        pytest.param(
            {SHELL: process(1, 1), OTHER: process(SHELL, 100)},
            {SHELL: process(1, 6)},
            5.0,
            0.25,
            id="nobody waited for one that ended",
        ),
        pytest.param(
            {SHELL: process(1, 0), OTHER: process(SHELL, 9)},
            {SHELL: process(1, 0, 9), OTHER: process(1, 5, started=2)},
            5.0,
            0.25,
            id="a number is used again",
        ),
        pytest.param(
            {OTHER: process(1, 0)}, {OTHER: process(1, 10)}, 2.0, 0.1, id="on cores that are not ours"
        ),
        pytest.param({OURS: process(5, 0)}, {OURS: process(5, 8)}, 13.0, 0.25, id="one that cannot be seen"),
        pytest.param({OURS: process(5, 0)}, {OURS: process(5, 8)}, 6.0, 0.0, id="interrupts charged to us"),
        pytest.param({OTHER: process(1, 0)}, {OTHER: process(1, 99)}, 20.0, 1.0, id="never above all"),
    ],
)
def test_the_share_is_that_of_processes_that_are_not_ours(
    before: dict[int, ProcessTimes], after: dict[int, ProcessTimes], tasks_s: float, expected: float
) -> None:
    assert share(before, after, tasks_s) == pytest.approx(expected)


def test_what_a_process_had_used_before_is_not_of_this_trial() -> None:
    """The cores leave room for more here, so that the count of the processes decides."""
    before = {
        OURS: process(SHELL, 0),
        SHELL: process(1, 1),
        OTHER: process(SHELL, 50),
        21: process(OTHER, 50),
    }
    after = {OURS: process(SHELL, 8), SHELL: process(1, 1, 105)}
    assert share(before, after, tasks_s=8.0, irq_s=12.0) == pytest.approx(0.25)


def test_what_the_hypervisor_took_is_told_apart() -> None:
    first, last = (CpuReading(at * S, CoreTimes(0.0, 0.0, float(at)), {}) for at in (0, 10))
    found = between(first, last, 2, [OURS])
    assert (found.cpu_share, found.stolen_share, found.busiest) == (0.0, 0.5, "")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["/usr/bin/python3", "/usr/local/bin/bench", "run"], True),
        (["/venv/bin/bench", "run"], True),
        (["python", "-m", "bench", "run"], True),
        (["python", "-X", "dev", "-m", "bench"], True),
        (["keepalive-bench", "tour"], True),
        (["python", "-m", "bench.load"], False),
        (["python", "-m", "pytest", "bench"], False),
        (["vim", "bench.py"], False),
        (["python", "-m"], False),
        ([], False),
    ],
)
def test_a_run_is_known_by_its_command_line(arguments: list[str], expected: bool) -> None:
    assert is_run(arguments) is expected


def test_the_cores_are_summed_without_idle_and_without_guests(tmp_path: Path) -> None:
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(
        "cpu 9 9 9 9\ncpu0 1 2 4 100 100 8 16 32 1 1\ncpu1 1 2 4 100 100 8 16 32 0 0\ncpu2 7 7\n"
    )
    found = other_work.read([0, 1], tmp_path)
    assert found is not None
    assert found.cores == pytest.approx(CoreTimes(14 * tick_s, 48 * tick_s, 64 * tick_s))


def test_a_process_is_read_whatever_it_is_called_and_kernel_threads_are_left_out(tmp_path: Path) -> None:
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text("cpu0 1 2 4 100 100 8 16 32 0 0\n")
    for pid, name, parent in ((7, "a) R 2 (b", 1), (2, "kthreadd", 0), (8, "ksoftirqd/0", 2)):
        (tmp_path / str(pid)).mkdir()
        fields = f"S {parent} 7 7 0 -1 0 0 0 0 0 1 2 4 8 20 0 1 0 99 0"
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({name}) {fields}\n")
    (tmp_path / "9").mkdir()
    found = other_work.read([0], tmp_path)
    assert found is not None
    assert dict(found.processes) == {7: ProcessTimes(99, 1, "a) R 2 (b", 3 * tick_s, 12 * tick_s)}


def test_without_proc_nothing_is_known(tmp_path: Path) -> None:
    assert other_work.read([0], tmp_path) is None


@needs.on_linux
def test_a_busy_process_is_ours_or_a_run_of_somebody_else() -> None:
    code = "import time\nwhile time.process_time() < 0.15: pass\nprint(flush=True)\ninput()"
    before = other_work.read(available_cores())
    with subprocess.Popen(
        ["bench", "-c", code], executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        after = other_work.read(available_cores())
        assert before is not None
        assert after is not None
        assert after.processes[process.pid].own_s >= 0.1
        # As if nothing else had run: whoever used most of a machine full of others has no name.
        used = after.processes[process.pid]
        idle, busy = CoreTimes(0.0, 0.0, 0.0), CoreTimes(used.own_s, 0.0, 0.0)
        alone = (
            before._replace(processes={}, cores=idle),
            after._replace(processes={process.pid: used}, cores=busy),
        )
        others, ours = (between(*alone, 1, [root]) for root in (0, process.pid))
        process.kill()
    assert others.busiest == f"another run of bench (process {process.pid})"
    assert ours.busiest == ""
