"""How many files the roles of a plan hold open at once, and whether this system allows it. Starts nothing.

The soft limit is ours to raise, and every role inherits it; the hard one only the system's owner can raise.
"""

import math
import resource

from bench.errors import LabError
from bench.plan.run_plan import Plan
from bench.subjects.subject import SPARE_CLIENTS, SPARE_FDS


def needed(plan: Plan) -> dict[str, int]:
    """Return how many files one process of each role may have open.

    A worker of the proxy or the backend may get every connection: the kernel deals them out by a hash.
    """
    clients = math.ceil(plan.load.connections / (plan.load.workers * plan.cluster.clients))
    if plan.subject.target is not None:
        return {"client": clients + SPARE_FDS}
    every = plan.concurrency
    proxy = {} if plan.subject.name == "direct" else {"proxy": between(every)}
    return {"client": clients + SPARE_FDS, **proxy, "backend": every + SPARE_FDS}


def between(connections: int) -> int:
    """Return how many files a proxy may have open whose clients have an upstream connection each."""
    return 2 * connections + SPARE_CLIENTS + 2 * SPARE_FDS


def lack(role: str, most: int, hard_limit: int | None = None) -> str | None:
    """Return that `role` needs more open files than the hard limit, in half a sentence, or None.

    Without a `hard_limit` it is this system's.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if hard_limit is None else hard_limit
    if hard == resource.RLIM_INFINITY or most <= hard:
        return None
    return (
        f"needs {most:,} open files in the {role}, and the hard limit is {hard:,};"
        f" raise it (ulimit -Hn {most}, as root)"
    )


def allow(plan: Plan, role: str | None = None) -> None:
    """Raise the soft limit to what `plan` needs; LabError where the hard limit is below that.

    Without a `role` all of them run here.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    check(plan, hard, role)
    raise_to(max(_here(plan, role).values(), default=0))


def raise_to(most: int) -> int:
    """Raise the soft limit to `most`, or as far as the hard limit lets it; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def _here(plan: Plan, role: str | None) -> dict[str, int]:
    return {each: most for each, most in needed(plan).items() if role in (None, each)}


def check(plan: Plan, hard_limit: int, role: str | None = None) -> None:
    """Raise LabError where a role, or any of them, would need more open files than the hard limit."""
    role, most = max(_here(plan, role).items(), key=lambda item: item[1], default=("", 0))
    if (reason := lack(role, most, hard_limit)) is not None:
        raise LabError(f"load.connections = {plan.load.connections} {reason} or lower --connections")
