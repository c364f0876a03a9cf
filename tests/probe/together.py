"""Probe several real servers at the same time, so that the waits are not added up."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from bench.probe.model import ProbeResult
from tests.probe.behaviours import probed
from tests.probe.servers import SERVERS, running

_PATIENCE_S = 20.0


def probe_all(idle_s: Mapping[str, float], max_s: float, folder: Path) -> dict[str, ProbeResult]:
    """Return what the probe finds at each server that is here, by its name.

    `idle_s` are the idle times to configure; a server that it does not name has its own.
    """
    here = [server for server in SERVERS if server.is_here]
    with ExitStack() as stack, ThreadPoolExecutor(len(here) or 1) as threads:
        ports = {}
        for server in here:
            (folder / server.name).mkdir()
            port = running(server, folder / server.name, idle_s.get(server.name))
            ports[server.name] = stack.enter_context(port)
        found = threads.map(lambda port: probed(port, max_s, patience_s=_PATIENCE_S), ports.values())
        return dict(zip(ports, found, strict=True))
