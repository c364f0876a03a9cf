"""`bench run --target` on a server of this machine: our own proxy, as one that runs already."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import bench_process, needs

BRIEF = ("--trials", "1", "--warmup", "200ms", "--duration", "800ms", "--connections", "8", "--no-pin")


@contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """Start a server of ours and return where it listens, HOST:PORT."""
    argv = [sys.executable, "-m", module, "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["listen"][0]
        finally:
            process.kill()


@needs.on_linux
@pytest.mark.parametrize(("mode", "least", "most"), [("short", 0.7, 1.5), ("keepalive", 0.0, 0.5)])
def test_what_a_proxy_of_this_machine_opens_is_seen_by_the_kernel(
    mode: str, least: float, most: float, tmp_path: Path
) -> None:
    with (
        # Connections that last a while are seen on a busy machine too.
        server("backends", "--delay", "20ms") as upstream,
        server("proxy", "--upstream", upstream, "--mode", mode) as proxy,
    ):
        flags = ("--target", f"http://{proxy}/", "--mode", "keepalive")
        trial: dict[str, Any] = bench_process.trials(*BRIEF, *flags, root=tmp_path)[0]
    behind = trial["behind_target"]
    assert behind["peers"] == [upstream]
    assert least <= behind["per_request"] <= most
    assert behind["opened_at_least"] <= behind["opened_at_most"]
    # Its own mode is that of the clients, which kept theirs.
    assert (trial["mode_side"], trial["closes_first"]) == ("client", None)
    hops = trial["time_wait_by_hop"]
    assert (hops["client"], hops["backend"] > 0) == (0, mode == "short")
    assert trial["cpu_us_per_request"]["proxy"] > 0
