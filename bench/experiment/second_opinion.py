"""Asks another load generator about the subject of a trial, which is still up; what it is, external.py knows.

The tool runs where our clients ran: on their host, on their cores, over as many connections, in a
closed loop. In short mode it meets the subject as the trial left it, its ports in TIME_WAIT and all.
"""

from bench.experiment.testbed import Testbed
from bench.load import external
from bench.load.external import ToolRun
from bench.load.job import LoadJob
from bench.runs.record import Percentiles, SecondOpinion

DURATION_S = 2
"""Long enough for some ten thousand requests; wrk knows whole seconds only."""
_GRACE_S = 30.0
"""What comes on top where responses are slow: wrk waits up to 20 s for them."""


def run_tool(tool: str, testbed: Testbed, job: LoadJob) -> SecondOpinion:
    """Return what `tool` measures where `job` was done; RoleError where it fails."""
    process = testbed.place.hosts["client"].start(external.ARGV, name=tool, cpus=testbed.cores("client"))
    url = f"{'https' if job.tls else 'http'}://{job.host_field}{job.paths[0][0]}"
    load = {"url": url, "connections": job.connections, "duration_s": DURATION_S}
    timeout_s = DURATION_S + _GRACE_S
    process.send({"command": "job", "tool": tool, "load": load, "timeout_s": timeout_s})
    done = process.wait_event("done", timeout_s + 1.0)
    process.wait(timeout_s)
    return record(ToolRun.from_json(done))


def record(opinion: ToolRun) -> SecondOpinion:
    """Return an opinion as a trial keeps it."""
    ms = {percent: value / 1000 for percent, value in opinion.report.latency_us.items()}
    return SecondOpinion(
        tool=opinion.tool,
        requests=opinion.report.requests,
        errors=opinion.report.errors,
        requests_per_s=opinion.requests_per_s,
        cpu_us_per_request=opinion.cpu_us_per_request,
        latency_ms=Percentiles(ms.get(50.0), ms.get(90.0), ms.get(99.0), ms.get(99.9), ms.get(100.0)),
    )
