"""What a trial at a target says of the kernel's sockets around it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.load.generator import Totals
from bench.observe.host_observer import HostSample
from bench.observe.target_watch import TargetCount, TargetSockets
from bench.runs.record import ROLES, UNSEEN, TimeWait
from bench.runs.target_record import BehindTarget


def samples(observed: Sequence[HostSample], seen: TargetSockets | None) -> Iterator[HostSample]:
    """Yield the samples of the hosts, and the sockets around the target, which they cannot tell apart."""
    for sample in observed:
        yield replace(sample, time_wait=None, ports_used=None)
    for count in () if seen is None else seen.counts:
        for host, time_wait in zip(ROLES, _by_role(count), strict=True):
            if time_wait is not None:
                yield HostSample(count.t_ns, host, time_wait=time_wait)


def time_wait(seen: TargetSockets | None) -> dict[str, TimeWait]:
    """Return the sockets in TIME_WAIT by role; the target is the proxy, what is behind it the backend."""
    found = dict.fromkeys(ROLES, UNSEEN)
    columns = zip(*map(_by_role, seen.counts), strict=True) if seen is not None else ()
    for role, column in zip(ROLES, columns, strict=False):
        known = [value for value in column if value is not None]
        if known:
            found[role] = TimeWait(peak=max(known), end=known[-1])
    return found


def time_wait_by_hop(seen: TargetSockets | None) -> dict[str, int]:
    """Return the target's own at the end, by the role at the other end."""
    last = None if seen is None else seen.counts[-1]
    sides = {} if last is None else {"client": last.front, "backend": last.behind}
    return {role: count for role, count in sides.items() if count is not None}


def behind(seen: TargetSockets | None, totals: Totals) -> BehindTarget:
    """Return what the target opened, while the clients opened and requested what `totals` say."""
    if seen is None:
        return BehindTarget()
    at_most = None
    if seen.opened_here is not None:
        # Failed connects count as opens too (RFC 4022, tcpActiveOpens).
        at_most = max(0, seen.opened_here - totals.opened_total - totals.errors_total["connect"])
    answered, at_least = totals.requests_total, seen.opened
    if at_least is not None and at_most is not None:
        at_most = max(at_least, at_most)
    per_request = at_least / answered if at_least is not None and answered else None
    return BehindTarget(seen.peers, at_least, at_most, per_request)


def _by_role(count: TargetCount) -> tuple[int | None, int | None, int | None]:
    target = None if count.front is None or count.behind is None else count.front + count.behind
    return count.clients, target, count.upstream
