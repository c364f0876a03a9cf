"""The process of a Dask scheduler or worker of this machine: `python -m bench.cluster.dask_process NAME`.

NAME is for people who look at processes. It reads one line: `class` (Scheduler or Worker), its `options`,
`security` with the arguments of its Security, and `folder` for its files. It prints one event, `ready` with
its `address`, once it can be used, and ends when Dask ends it.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from bench.cluster import dask_config
from bench.cluster.identity import identify
from bench.lab import syscalls


async def serve(spec: Mapping[str, Any]) -> None:
    """Run what `spec` says until its end."""
    import distributed  # noqa: PLC0415 - after its settings

    from bench.cluster.scheduler import Scheduler  # noqa: PLC0415 - likewise

    options = {**dask_config.OPTIONS[spec["class"]], **spec["options"]}
    node_class: Any = {"Scheduler": Scheduler, "Worker": distributed.Worker}[spec["class"]]
    async with node_class(**options, security=spec["security"]) as node:
        print(json.dumps({"event": "ready", "address": node.address}), flush=True)  # noqa: T201
        await node.finished()


def main() -> None:
    """Run the process."""
    import dask  # noqa: PLC0415 - before `distributed`

    identify()  # of the files that it begins with: they may be replaced while it runs
    spec = json.loads(sys.stdin.readline())
    dask.config.set({**dask_config.LOGGING, **dask_config.SETTINGS, "temporary-directory": spec["folder"]})
    # What a task starts is a program of an ordinary user's, as on any machine.
    syscalls.pass_no_rights()
    asyncio.run(serve(spec))


if __name__ == "__main__":
    main()
