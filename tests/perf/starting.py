"""Part d: what is paid once, the start of the command and of a trial, and the memory of a long load."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.observe.process_tree import ProcessTree
from tests.perf import pairs
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings
from tests.perf.stage import stage

PART = "d"
BENCH = str(Path(sys.executable).parent / "bench")


def measure(settings: Settings) -> Iterator[Row]:
    """Yield the row of each."""
    yield _help(settings)
    yield _trial(settings)
    yield _load_memory(settings)


def _help(settings: Settings) -> Row:
    took_s = []
    for _ in range(settings.starts + 1):
        began = time.monotonic()
        subprocess.run([BENCH, "--help"], stdout=subprocess.DEVNULL, check=True)
        took_s.append(time.monotonic() - began)
    return pairs.alone(PART, "bench --help", "s", took_s[1:], Target(0.15, "ours"))


def _trial(settings: Settings) -> Row:
    what = "a trial outside warm-up and window"
    flags = ["--trials", str(settings.trials), "--warmup", "0.5", "--duration", "2"]
    with TemporaryDirectory() as folder:
        argv = [BENCH, "run", "--mode", "both", *flags, "--json"]
        ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if not ran.stdout.startswith("{"):
        return pairs.missing(PART, what, "bench run", ran.stderr.strip().rpartition("\n")[2])
    trials = json.loads(ran.stdout)["trials"]
    return pairs.alone(PART, what, "s", [trial["overhead_s"] for trial in trials], Target(2.0, "ours"))


def _load_memory(settings: Settings) -> Row:
    """Return the load generator's memory early and late in one run of it."""
    what = f"memory of the load generator, {settings.long_s} s into a run"
    with stage() as opened:
        url = f"http://{opened.backend(opened.far).address}/"
        argv = [sys.executable, "-m", "bench.load", "--target", url, "--duration", str(settings.long_s + 5)]
        process = opened.start(argv, "client", opened.near)
        tree, began = ProcessTree(process.pid), time.monotonic()
        weighed = []
        for moment_s in (2, settings.long_s):
            time.sleep(max(0.0, began + moment_s - time.monotonic()))
            tree.refresh()
            weighed.append(tree.memory())
        process.stop()
    early, late = (memory.uss_mib or memory.rss_mib for memory in weighed)
    return pairs.beside(Row(PART, what, "MiB", None), "itself at 2 s", [late], [early], Target(1.05))
