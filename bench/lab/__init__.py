"""Where a trial runs: hosts for the client, the proxy and the backend, on one machine.

`enter()` comes first, while the process has one thread; then `open_lab()` for each trial.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import PlanError
from bench.lab import loopback, namespaces
from bench.lab.namespaces import enter
from bench.lab.place import Host, Lab
from bench.lab.process import Process

__all__ = ["Host", "Lab", "Process", "enter", "open_lab"]


def open_lab(
    name: str,
    *,
    ports: int | None = None,
    narrowed: str = "proxy",
    proxy_addresses: int = 1,
    backends: int = 1,
    sysctls: Mapping[str, str] | None = None,
) -> Lab:
    """Return an open lab: "namespaces", "loopback", or "auto", which takes namespaces where they work.

    `ports` narrows the port range of the host called `narrowed`. PlanError where the lab cannot do
    what is asked, LabError where the machine cannot.
    """
    why_not = namespaces.available() if name == "auto" else None
    if name == "namespaces" or (name == "auto" and why_not is None):
        return namespaces.open_(
            ports=ports,
            narrowed=narrowed,
            proxy_addresses=proxy_addresses,
            backends=backends,
            sysctls=sysctls,
        )
    if ports is not None or sysctls:
        asked = f"--ports {ports}" if ports is not None else "--sysctl"
        reason = f"; --lab namespaces does not work here: {why_not}" if why_not else "; use --lab namespaces"
        raise PlanError(f"lab: {asked} would change this whole machine on the loopback lab{reason}")
    lab = loopback.open_(proxy_addresses, backends)
    if why_not is not None:
        lab.notes.insert(0, f"loopback instead of namespaces: {why_not}")
    return lab
