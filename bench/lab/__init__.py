"""Where a trial runs: hosts for the client, the proxy and the backend, on one machine.

Call `choose()` first, while the process has one thread; then `open_lab()` for each trial.
"""

from bench.errors import PlanError
from bench.lab import loopback, namespaces
from bench.lab.hosts import Host, Lab, LabRequest, port_of, split_address
from bench.lab.namespaces import enter
from bench.lab.role_process import Process

__all__ = ["Host", "Lab", "LabRequest", "Process", "choose", "enter", "open_lab", "port_of", "split_address"]

_PLAIN = LabRequest()


def choose(name: str) -> str:
    """Acquire the rights that the lab called `name` needs, and return the name to open it by.

    Call it while the process has one thread: before numpy and the like are imported. "auto" becomes
    "namespaces" where they work, and stays "auto" elsewhere, so that each lab notes the reason. LabError
    where the lab cannot be had.
    """
    if name == "auto" and namespaces.available() is None:
        name = "namespaces"
    if name == "namespaces":
        enter()
    return name


def open_lab(name: str, request: LabRequest = _PLAIN) -> Lab:
    """Open a lab: "namespaces", "loopback", or "auto", which means namespaces where they work.

    PlanError where the lab cannot do what is requested, LabError where the machine cannot.
    """
    why_not = namespaces.available() if name == "auto" else None
    if name == "namespaces" or (name == "auto" and why_not is None):
        return namespaces.open_lab(request)
    if request.ports is not None or request.sysctls:
        flag = f"--ports {request.ports}" if request.ports is not None else "--sysctl"
        reason = f"; --lab namespaces does not work here: {why_not}" if why_not else "; use --lab namespaces"
        raise PlanError(f"lab: {flag} would change this whole machine on the loopback lab{reason}")
    lab = loopback.open_lab(request)
    if why_not is not None:
        lab.notes.insert(0, f"loopback instead of namespaces: {why_not}")
    return lab
