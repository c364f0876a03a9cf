"""`make fuzz`: search for messages that are read in two ways; each find is printed as a row."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from argparse import ArgumentParser

import uvloop

from tests.fuzz import end_to_end, in_process
from tests.fuzz.finds import Finds
from tests.proxy_process import ProxyProcess

AT_ONCE = 32
_SHARE = 0.7
"""Of the time goes to the proxy as a process."""


def main() -> int:
    """Search until the time is over; 1 if there were finds."""
    parser = ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", default="1", help="the same seed gives the same streams")
    given = parser.parse_args()
    finds, end = Finds(), time.monotonic() + given.seconds
    alone = _in_process(given.seed, finds, time.monotonic() + given.seconds * (1 - _SHARE))
    through = uvloop.run(_end_to_end(given.seed, finds, end))
    print(  # noqa: T201 - what the command is for
        f"seed {given.seed}: {alone} streams each way read in process, {through} each way through the proxy;"
        f" {finds.kinds.total()} finds {dict(finds.kinds)}"
    )
    return 1 if finds.kinds else 0


def _in_process(seed: str, finds: Finds, end: float) -> int:
    for number in itertools.count():
        if time.monotonic() >= end:
            return number
        in_process.check(seed, number, finds)
    raise AssertionError


async def _end_to_end(seed: str, finds: Finds, end: float) -> int:
    upstream, numbers = end_to_end.Upstream(finds), itertools.count()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    proxy = ProxyProcess(f"{host}:{port}", *end_to_end.FLAGS)

    async def client() -> None:
        while time.monotonic() < end:
            case = f"{seed}_{next(numbers)}"
            await end_to_end.check_requests(case, proxy.address, upstream)
            await end_to_end.check_response(case, proxy.address, upstream)

    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(client())
        # What a bug of its own makes it print is on its stderr, which must be empty.
        proxy.stop()
    finally:
        proxy.kill()
    server.close()
    return next(numbers)


if __name__ == "__main__":
    sys.exit(main())
