"""A second opinion on the same load, by h2load."""

import asyncio
from collections.abc import Iterator
from typing import Any

from bench.errors import RoleError
from bench.load import tools
from bench.scenarios.client.process import Go


def arguments(job: dict[str, Any], go: Go) -> Iterator[str]:
    """Yield the arguments with which h2load does the job in its window."""
    many = job["concurrent"]
    match job["client"]:
        case "http2":
            yield from ("-c", "1", "-m", str(many))
        case "one":
            yield from ("--h1", "-c", "1", "-m", "1")
        case _:
            yield from ("--h1", "-c", str(many), "-m", "1")
    yield f"--warm-up-time={(go.window_ns - go.start_ns) // 1_000_000}ms"
    yield from ("-t1", "-D", f"{(go.end_ns - go.window_ns) // 1_000_000}ms")
    for name, value in job["fields"]:
        yield from ("-H", f"{name}: {value}")
    yield f"http://{job['address']}/"


async def run(job: dict[str, Any], go: Go) -> dict[str, Any]:
    """Run h2load to its end and return what it reported; it checks no more than the status."""
    process = await asyncio.create_subprocess_exec(
        "h2load", *arguments(job, go), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise RoleError("h2load", f"ended with exit code {process.returncode}", errors.decode().strip())
    report = tools.parse_report("h2load", output.decode())
    return {"requests": report.requests, "failed": report.errors, "connections": None}
