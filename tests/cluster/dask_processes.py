"""A scheduler and workers of Dask as processes of 127.0.0.1, each started the way a test wants it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests import needs

if TYPE_CHECKING:
    from distributed import Client

IN_TIME_NAMESPACE = Path(__file__).with_name("in_time_namespace.py")


def ahead(offset_ns: int) -> list[str]:
    """Return the start of a command line whose process has its clock ahead by `offset_ns`."""
    return [sys.executable, str(IN_TIME_NAMESPACE), str(offset_ns)]


def skip_without_time_namespaces() -> None:
    """Skip the test that runs where no process can have a clock of its own."""
    tried = subprocess.run([*ahead(1), "true"], check=False, capture_output=True, timeout=30)
    if tried.returncode:
        needs.skip("time namespaces", "Linux 5.6 or newer, with root or user namespaces")


@contextmanager
def running(
    workers: Mapping[str, Sequence[str]], folder: Path, scheduler: Sequence[str] = ()
) -> Iterator[Client]:
    """Run a scheduler and a worker of each name, whose command line begins as its value says.

    That of the scheduler begins with `scheduler`.
    """
    needs.module("distributed")
    from distributed import Client  # noqa: PLC0415 - takes half a second

    file = folder / "scheduler.json"
    ours = ["--host", "127.0.0.1", "--no-dashboard"]
    with ExitStack() as ending:
        options = [*ours, "--port", "0", "--scheduler-file", str(file)]
        ending.enter_context(_start("dask_scheduler", options, folder, scheduler))
        for name, prefix in workers.items():
            options = ["--name", name, "--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
            options += ["--local-directory", str(folder), "--scheduler-file", str(file)]
            ending.enter_context(_start("dask_worker", [*ours, *options], folder, prefix))
        client = ending.enter_context(Client(scheduler_file=str(file), set_as_default=False))  # type: ignore[no-untyped-call]
        client.wait_for_workers(len(workers), timeout=60)
        yield client


@contextmanager
def _start(module: str, options: Sequence[str], folder: Path, prefix: Sequence[str] = ()) -> Iterator[None]:
    argv = [*prefix, sys.executable, "-m", f"distributed.cli.{module}", *options]
    root = Path(__file__).parents[2]
    # Else its scratch space would stay in the temporary folder of all.
    env = {**os.environ, "DASK_TEMPORARY_DIRECTORY": str(folder)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=root, env=env, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
