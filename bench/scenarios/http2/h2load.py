"""`python -m bench.scenarios.http2.h2load`: a second opinion of the same question, by h2load."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any

from bench.errors import RoleError
from bench.load import tools
from bench.scenarios.client import process
from bench.scenarios.client.process import Control, Go


def arguments(job: dict[str, Any], go: Go) -> Iterator[str]:
    """Yield how h2load is told to do the job in its window."""
    assert go.end_ns is not None, "the window has an end"
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


async def act(job: dict[str, Any], go: Go, control: Control) -> dict[str, Any]:
    """Run h2load to its end and say what it said; it checks no more than the status."""
    ran = await asyncio.create_subprocess_exec(
        "h2load", *arguments(job, go), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, wrong = await ran.communicate()
    if ran.returncode != 0:
        raise RoleError("h2load", f"ended with exit code {ran.returncode}", wrong.decode().strip())
    opinion = tools.parse_report("h2load", said.decode())
    return {"requests": opinion.requests, "failed": opinion.errors, "connections": None}


if __name__ == "__main__":
    sys.exit(process.run(act))
