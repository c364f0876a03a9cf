"""Part c: what observing at 10 Hz costs with few and with many sockets in TIME_WAIT, in a namespaces lab.

A lab of namespaces must be entered by a process that has no second thread yet, so that each
measurement is a process of its own: `python -m tests.perf.observing SOCKETS SECONDS`.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

from bench import lab
from bench.lab import Host, Lab
from tests.perf import pairs
from tests.perf.pairs import Row, Target
from tests.perf.settings import Settings

PART = "c"
COUNTS = (0, 10_000, 28_000)
TARGETS = {28_000: Target(2.0, "ours")}
_FIRST_PORT = 32_768
_READY_S = 10.0


def measure(settings: Settings) -> Iterator[Row]:
    """Yield a row for each number of sockets."""
    for count in COUNTS:
        what = f"observing at 10 Hz, {count:,} TIME_WAIT"
        argv = [sys.executable, "-m", "tests.perf.observing", str(count), str(settings.observed_s)]
        shares: list[float] = []
        for _ in range(settings.observed_times):
            ran = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
            if ran.returncode != 0:
                reason = ran.stderr.strip().rpartition("\n")[2]
                yield pairs.missing(PART, what, "", reason)
                break
            shares.append(100 * json.loads(ran.stdout)["cpu_share"])
        else:
            yield pairs.alone(PART, what, "% of a core", shares, TARGETS.get(count))


def main() -> None:
    """Observe a lab with so many sockets in TIME_WAIT on its proxy host; print the CPU share."""
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    lab.enter()
    with lab.open_lab("namespaces") as opened:
        _leave_time_wait(opened, count)
        sys.stdout.write(json.dumps({"cpu_share": _observe(opened, seconds)}) + "\n")


def _leave_time_wait(opened: Lab, count: int) -> None:
    """Open and close connections from proxy to backend, each from a port of its own, the proxy first.

    The port is chosen here: where half of the range is in use, choosing takes the kernel milliseconds.
    """
    proxy, backend = opened.hosts["proxy"], opened.hosts["backend"]
    listener = backend.call(socket.create_server, (backend.front, 9000), backlog=16)

    def connect() -> None:
        for port in range(_FIRST_PORT, _FIRST_PORT + count):
            source = (proxy.sources[-1], port)
            near = socket.create_connection((backend.front, 9000), 5, source)
            far, _ = listener.accept()
            near.close()
            far.close()

    proxy.call(connect)
    listener.close()


def _observe(opened: Lab, seconds: float) -> float:
    from bench.observe.host_observer import HostTarget  # noqa: PLC0415  NumPy starts a thread.
    from bench.observe.sampler import Sampler  # noqa: PLC0415

    front, behind = frozenset((8000,)), frozenset((9000,))
    ends = {"client": ((), front), "proxy": (front, behind), "backend": (behind, ())}
    watched = [
        HostTarget(host, [_role(host)], *map(frozenset, ends[name])) for name, host in opened.hosts.items()
    ]
    sampler = Sampler(watched, lambda sample: None)
    sampler.start()
    before_s, began = time.process_time(), time.monotonic()
    time.sleep(seconds)
    share = (time.process_time() - before_s) / (time.monotonic() - began)
    sampler.stop()
    sampler.close()
    return share


def _role(host: Host) -> int:
    """Start something whose process tree can be watched; return its pid."""
    argv = [sys.executable, "-m", "backends", "--listen", f"{host.addresses[0]}:0", "--control"]
    process = host.start(argv, name="backend")
    process.wait_event("ready", _READY_S)
    return process.pid


if __name__ == "__main__":
    main()
