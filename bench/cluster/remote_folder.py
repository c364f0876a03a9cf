"""A folder on a machine of `--ssh`, which is there as long as the connection to it stands.

Its keeper, `python -m bench.cluster.remote_folder`, makes it, prints it as an event, and waits for the end of
its input. That comes when `bench cluster up` ends, however it does, or the connection. Then the worker must
end, and the keeper removes the folder; so it does once the worker has ended by itself.

The worker loads this module too, by Dask's preload. Each of the two holds a lock (flock(2)) in the folder for
life. Once that of the keeper is free the worker ends; once that of the worker is free nothing writes there.
"""

import fcntl
import importlib.util
import json
import os
import select
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.lab import supervisor

_KEEPER, _WORKER = "keeper.lock", "worker.lock"
_GRACE_S = 3.0
"""How long a worker may take to end by itself; with a task that runs Dask waits for up to 30 s."""
_LOOK_S = 1.0
_held: list[int] = []


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def keep() -> None:
    """Make the folder, print it, and remove it after the end of standard input."""
    if importlib.util.find_spec("distributed") is None:
        sys.exit("the package distributed is not installed")
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    # Its init removes the folder where this process is killed.
    held = supervisor.process_group()
    folder = held.scratch("cluster")
    keeper = _open(folder / _KEEPER)
    fcntl.flock(keeper, fcntl.LOCK_EX)
    print(json.dumps({"event": "ready", "folder": str(folder)}), flush=True)  # noqa: T201
    worker = _open(folder / _WORKER)
    has_begun = False
    while not _input_ends_within(_LOOK_S):
        is_running = _is_locked(worker)
        if has_begun and not is_running:
            break
        has_begun = is_running
    os.close(keeper)
    deadline_s = time.monotonic() + 2 * _GRACE_S
    while _is_locked(worker) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    held.end()
    held.reap()


def _input_ends_within(time_s: float) -> bool:
    """Return whether standard input ends within `time_s`; nothing is expected from it."""
    return bool(select.select([0], [], [], time_s)[0]) and not os.read(0, 512)


def _is_locked(descriptor: int) -> bool:
    """Return whether another process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def dask_setup(worker: Any) -> None:
    """Have the process of Dask's `worker` end once the keeper of its folder does."""
    folder = next(each for each in Path(worker.local_directory).parents if (each / _KEEPER).exists())
    own = _open(folder / _WORKER)
    fcntl.flock(own, fcntl.LOCK_EX)
    _held.append(own)
    threading.Thread(target=_end_with, args=(folder / _KEEPER,), name="keeper", daemon=True).start()


def _end_with(keeper: Path) -> None:
    fcntl.flock(_open(keeper), fcntl.LOCK_SH)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    keep()
