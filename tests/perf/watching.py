"""What the sampled watch costs: 100,000 sockets in TIME_WAIT, and 5,000 connections a second beside them.

    python -m tests.perf.watching [--sockets N] [--rate N] [--seconds S] [--interval S] [--command]

Prints the CPU of the watching process, as a share of a core, and the most memory that it took. Without
`--interval` it looks as often as its own bound on the cost allows. With `--command` it is `bench watch`, from
its second look on, with what judges and prints. A lab of namespaces, its proxy watched:
connections that fill TIME_WAIT are closed by the proxy, those of the rate by the backend.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from bench import lab
from bench.lab import Host, Lab

_FILLED, _CHURNED = 9000, 9001
_ADDRESSES = 8
_FIRST_PORT, _LAST_PORT = 1100, 60_000
_FILLERS = 2


def main() -> None:
    """Run the whole, or one of its roles."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--interval", type=float, default=0)
    parser.add_argument("--command", action="store_true")
    roles: dict[str, Callable[..., None]] = {
        "serve": _serve,
        "fill": _fill,
        "churn": _churn,
        "watch": _watch,
        "command": _command,
    }
    if len(sys.argv) > 1 and sys.argv[1] in roles:
        roles[sys.argv[1]](*sys.argv[2:])
        return
    given = parser.parse_args()
    lab.enter()
    with lab.open_lab("namespaces", lab.LabRequest(proxy_addresses=_ADDRESSES)) as opened:
        sys.stdout.write(json.dumps(_measure(opened, given)) + "\n")


def _measure(opened: Lab, given: argparse.Namespace) -> dict[str, float]:
    proxy, backend = opened.hosts["proxy"], opened.hosts["backend"]
    server = _start(backend, "serve", backend.front)
    assert server.stdout is not None
    server.stdout.readline()
    sources = proxy.sources
    share = given.sockets // _FILLERS
    fillers = [
        _start(proxy, "fill", backend.front, str(share), *sources[at::_FILLERS]) for at in range(_FILLERS)
    ]
    for filler in fillers:
        filler.wait()
    churn = _start(proxy, "churn", backend.front, str(given.rate), str(given.seconds + 2))
    watch = _start(proxy, "command" if given.command else "watch", str(given.seconds), str(given.interval))
    found: dict[str, float] = json.loads(watch.communicate()[0])
    found["opens_per_s"] = round(float(churn.communicate()[0]))
    server.kill()
    server.communicate()
    return found


def _start(host: Host, *role: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "tests.perf.watching", *role]
    return host.call(subprocess.Popen, argv, stdout=subprocess.PIPE, text=True)


def _serve(address: str) -> None:
    """Accept on two ports: on one close after the client, on the other before it."""
    filled = socket.create_server((address, _FILLED), backlog=4096)
    churned = socket.create_server((address, _CHURNED), backlog=4096)
    sys.stdout.write("ready\n")
    sys.stdout.flush()

    def close_after() -> None:
        while True:
            with filled.accept()[0] as connection:
                connection.recv(1)

    threading.Thread(target=close_after, daemon=True).start()
    while True:
        churned.accept()[0].close()


def _fill(address: str, count: str, *sources: str) -> None:
    """Leave so many sockets in TIME_WAIT, each with a port that is chosen here."""
    left = int(count)
    for source in sources:
        for port in range(_FIRST_PORT, _LAST_PORT):
            if not left:
                return
            left -= 1
            with socket.create_connection((address, _FILLED), 5, (source, port)):
                pass


def _churn(address: str, rate: str, seconds: str) -> None:
    """Open connections at a rate; the peer closes each first."""
    begun_s, opened = time.monotonic(), 0
    while (now_s := time.monotonic() - begun_s) < float(seconds):
        if opened > now_s * float(rate):
            time.sleep(0.002)
            continue
        with socket.create_connection((address, _CHURNED)) as connection:
            connection.recv(1)
        opened += 1
    sys.stdout.write(f"{opened / now_s}\n")


def _watch(seconds: str, interval: str) -> None:
    """Look until the time is over; print what that cost."""
    from bench.watch.sampled import SampledWatch  # noqa: PLC0415  Each role imports what it needs.
    from bench.watch.scope import open_scope  # noqa: PLC0415

    with open_scope() as scope:
        watch = SampledWatch(scope)
        cpu_s, begun_s = time.process_time(), time.monotonic()
        looks, sockets, cost_s = 0, 0, 0.0
        while time.monotonic() - begun_s < float(seconds):
            time.sleep(float(interval) or max(1.0, watch.shortest_interval_s))
            snapshot = watch.snapshot()
            looks += 1
            sockets = max(sockets, snapshot.host.time_wait)
            cost_s += snapshot.cost_s
        took_s, used_s = time.monotonic() - begun_s, time.process_time() - cpu_s
        watch.close()
    found = {
        "cpu_percent": round(100 * used_s / took_s, 2),
        "looks": looks,
        "ms_per_look": round(1e3 * used_s / looks, 1),
        "its_own_ms_per_look": round(1e3 * cost_s / looks, 1),
        "time_wait": sockets,
        "peak_mib": _peak_mib(resource.RUSAGE_SELF),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _command(seconds: str, interval: str) -> None:
    """Run `bench watch` until the time is over; print what that cost."""
    argv = [sys.executable, "-m", "bench", "watch", "--sampled", "--json", "--duration", f"{seconds}s"]
    argv += ["--interval", f"{interval}s"] if float(interval) else []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        clock = (~process.pid << 3) | 2  # clock_getcpuclockid(3)
        cpu_s, begun_s = time.clock_gettime(clock), time.monotonic()
        for line in process.stdout:
            looks.append(json.loads(line))
            with contextlib.suppress(OSError):  # it has ended
                used_s, took_s = time.clock_gettime(clock) - cpu_s, time.monotonic() - begun_s
    found = {
        "cpu_percent": round(100 * used_s / took_s, 2),
        "looks": len(looks),
        "its_own_ms_per_look": round(1e3 * sum(look["cost_s"] for look in looks) / len(looks), 1),
        "time_wait": max(look["host"]["time_wait"] for look in looks),
        "peak_mib": _peak_mib(resource.RUSAGE_CHILDREN),
    }
    sys.stdout.write(json.dumps(found) + "\n")


def _peak_mib(whose: int) -> float:
    """Return the most memory that this process (RUSAGE_SELF), or its largest child, took."""
    return round(resource.getrusage(whose).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
