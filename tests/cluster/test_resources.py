"""What a machine of a cluster lacks, room or files or threads, is one line that names it, with the remedy."""

from __future__ import annotations

import asyncio
import errno
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bench import cli
from bench.cluster import certificates
from bench.cluster.connection import DaskCluster
from bench.errors import ExitCode, LabError
from bench.lab import supervisor

ADDRESS = "tcp://10.0.0.1:4000"
REFUSALS = (
    (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
    (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), "/tmp/x: No space left on device"),
    (RuntimeError("can't start new thread"), "can't start new thread"),
    (MemoryError(), "MemoryError"),
)


class OneWorker:
    """Stands for a client of Dask with one worker, in which every function ends in the same way."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    def scheduler_info(self, n_workers: int) -> object:
        return {"workers": {ADDRESS: {"name": "load-1"}}}

    @property
    def loop(self) -> Any:
        class Loop:
            asyncio_loop = asyncio.get_running_loop()

        return Loop

    async def run(self, attempt: Any, function: object, *given: Any, **_: object) -> dict[str, Any]:
        def fail() -> None:
            raise self.failure

        # What a worker answers has been pickled.
        return {ADDRESS: pickle.loads(pickle.dumps(await attempt(fail, *given)))}


async def called(failure: Exception) -> None:
    """Call a function in the worker, which fails there."""
    cluster = DaskCluster(OneWorker(failure), "tcp://10.0.0.1:8786")
    await asyncio.wrap_future(cluster.begin(ADDRESS, os.getpid))


@pytest.mark.parametrize(("failure", "said"), REFUSALS, ids=[said for _, said in REFUSALS])
def test_what_a_worker_lacks_is_said_of_it(failure: Exception, said: str) -> None:
    with pytest.raises(LabError) as raised:
        asyncio.run(called(failure))
    assert str(raised.value) == (
        f"cluster: the worker load-1: {said}; see to its limits (`ulimit -a`) and its room (`df`) there, and"
        " start the worker anew"
    )


def test_a_fault_of_ours_stays_what_it_is() -> None:
    for fault in (RuntimeError("a bug"), OSError("a bug")):
        with pytest.raises(type(fault), match=r"^a bug$"):
            asyncio.run(called(fault))


def test_certificates_that_cannot_be_written_are_told_with_their_folder(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(LabError) as raised:
        certificates.make(folder)
    assert str(raised.value) == (
        f"lab: no file can be written to {folder}: No such file or directory; set TMPDIR to one that is yours"
        " and has room"
    )


def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for open_one in (supervisor.process_group, supervisor.strongest):
        with pytest.raises(LabError, match=r"^lab: its first process cannot be started: Resource"):
            open_one()


@pytest.mark.parametrize(
    ("failure", "remedy"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "raise the limit of open files (ulimit -n)"),
        (OSError(errno.ENOSPC, "No space left on device"), "make room (df), or set TMPDIR to a folder with"),
        (RuntimeError("can't start new thread"), "raise the limit of processes and threads (ulimit -u)"),
    ],
)
def test_what_this_machine_lacks_has_a_remedy(
    failure: Exception, remedy: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(cli.bench, "main", refuse)
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == ExitCode.ENVIRONMENT
    assert f"; {remedy}" in capsys.readouterr().err
