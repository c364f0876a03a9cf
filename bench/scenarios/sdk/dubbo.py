"""`python -m bench.scenarios.sdk.dubbo`: callers that share one of Dubbo's own clients."""

import asyncio
from time import monotonic_ns
from typing import Any

import dubbo
from dubbo.configs import ReferenceConfig

from bench.load.counters import TimeHistogram, merge_histograms
from bench.scenarios.client import process
from bench.scenarios.client.process import ClientControl, Go

SERVICE = "bench.Echo"


class DubboCallers:
    """Calls, and how long each took; each caller has a thread, since a call waits there."""

    def __init__(self, job: dict[str, Any], go: Go, control: ClientControl) -> None:
        host, _, port = job["address"].rpartition(":")
        self._echo = dubbo.Client(ReferenceConfig("tri", SERVICE, host=host, port=int(port))).unary("echo")
        self._body = bytes(job["answer_bytes"])
        self._go = go
        self._control = control

    def call(self) -> tuple[int, int, TimeHistogram]:
        """Call again and again until the window ends; return how many in it were answered, and not."""
        done, failed, times = 0, 0, TimeHistogram()
        while (began_ns := monotonic_ns()) < self._go.end_ns and not self._control.stopped.is_set():
            is_right = self._echo(self._body) == self._body
            if self._go.is_in_window(began_ns):
                done += is_right
                failed += not is_right
                times.add(monotonic_ns() - began_ns)
        return done, failed, times


async def act(job: dict[str, Any], go: Go, control: ClientControl) -> dict[str, Any]:
    """Call until the window ends."""
    callers = await asyncio.to_thread(DubboCallers, job, go, control)
    each = await asyncio.gather(*(asyncio.to_thread(callers.call) for _ in range(job["callers"])))
    return {
        "done": sum(done for done, _, _ in each),
        "failed": sum(failed for _, failed, _ in each),
        "small_us": sorted(merge_histograms(times.histogram() for _, _, times in each).items()),
        "outlier_us": [],
    }


if __name__ == "__main__":
    process.run_beside_threads(act)
