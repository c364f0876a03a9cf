"""Whether a trial measured what its plan asks for: values in, warnings out. Pure.

A trial is invalid when its measured reuse is not that of its mode, or when the load generator was
the bottleneck (design: a mode is enforced). Exhausted ports are a finding, never an invalid trial.
What may then be said of trials and runs is decided in claims.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.plan.run_plan import ClosesFirst, Mode
from bench.runs.record import TrialWarning, Upstream

RUN_QUEUE_WAIT_LIMIT = 0.10
"""Share of the window that a load worker may wait for a processor before latencies show the
wait rather than the subject."""
IDLE_FLOOR = 0.05
"""Below this share of idle time the load generator's own core was full."""

OTHER_WORK_LIMIT = 0.10
"""Share of all cores that others may use before that shows in rates and latencies; a desktop at rest uses a
few hundredths."""
OTHER_WORK_VOIDS = 0.25
"""From here on rates say more about the others: of two runs at once each gets about half."""

_OTHER_SIDE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Pressure:
    """How hard the machine was on the load generator during the window, as shares of it (0 to 1)."""

    run_queue_wait: float
    """The worst worker's wait in the run queue (second field of /proc/PID/schedstat)."""
    core_idle: float | None
    """Idle time of the cores that the workers were pinned to; None where they were not pinned."""
    ksoftirqd_cpu: float | None = None
    """CPU of the kernel's ksoftirqd threads, on all cores; None where they cannot be seen."""


def connections_needed(
    clients: int, requests_total: int, requests_per_connection: int | None, lost: int
) -> int:
    """Return what a perfect pool opens: one a client, one for each limit used up, one for each loss."""
    used_up = 0 if requests_per_connection is None else requests_total // requests_per_connection
    return min(clients, requests_total) + used_up + lost


def mode_warnings(
    mode: Mode, upstream: Upstream, *, may_expire: bool = False, is_small: bool = False
) -> Iterator[TrialWarning]:
    """Yield a voiding warning where the measured reuse is not that of `mode`.

    Where the plan lets pooled connections expire within the trial, or asks for a pool that is smaller than
    its clients, more of them are expected.
    """
    opened, total = upstream.connections_opened or 0, upstream.requests_total or 0
    needed = upstream.connections_needed or 0
    if opened == 0 or total == 0:
        yield TrialWarning(
            "no-traffic",
            f"{total} requests reached the backend on {opened} connections",
            "see the errors by kind; nothing else in this trial means anything",
            voids=True,
        )
    elif mode is Mode.SHORT and not 0.99 <= total / opened <= 1.0:
        yield TrialWarning(
            "mode-not-short",
            f"one request per connection was expected, {total / opened:.3g} were measured"
            f" ({total:,} requests on {opened:,} connections)",
            "the subject reused connections or opened them for nothing",
            voids=True,
        )
    elif mode is Mode.KEEPALIVE and opened > needed and is_small:
        yield TrialWarning(
            "pool-small",
            f"opened {opened:,} connections where {needed:,} are enough for a pool of all its clients",
            "it was to keep fewer: raise --pool-idle if that was not meant",
        )
    elif mode is Mode.KEEPALIVE and opened > needed and may_expire:
        yield TrialWarning(
            "pool-expired",
            f"opened {opened:,} connections where {needed:,} are enough for a pool that keeps them",
            "its idle timeout is shorter than the trial: raise --pool-idle-timeout if that was not meant",
        )
    elif mode is Mode.KEEPALIVE and opened > needed:
        yield TrialWarning(
            "mode-not-keepalive",
            f"opened {opened:,} connections where {needed:,} were needed",
            "raise pool_idle to the number of clients per worker, or find out whether the backend closes",
            voids=True,
        )


def target_warnings(requests: int) -> Iterator[TrialWarning]:
    """Yield a voiding warning where a server that is not ours has answered nothing."""
    if requests == 0:
        yield TrialWarning(
            "no-traffic",
            "the target sent no correct response",
            "see the errors by kind, and whether the target is up and speaks HTTP/1.1",
            voids=True,
        )


def closes_first_warnings(
    closes_first: ClosesFirst, proxy_side: int, backend_side: int
) -> Iterator[TrialWarning]:
    """Yield a warning where TIME_WAIT does not lie on the side that was to close first.

    Who closes first keeps it (RFC 9293, section 3.6), unless that side resets the connection.
    """
    other_side = backend_side if closes_first is ClosesFirst.PROXY else proxy_side
    if proxy_side + backend_side == 0:
        yield TrialWarning(
            "closes-first-reset",
            "no upstream connection is left in TIME_WAIT on either side: they were reset, not closed",
            "such a proxy uses up no ports; --closes-first backend shows whether the backend closes",
        )
    elif other_side > _OTHER_SIDE_SHARE * (proxy_side + backend_side):
        yield TrialWarning(
            "closes-first-mixed",
            f"the {closes_first.value} was to close first, but TIME_WAIT lies on the other side too:"
            f" {proxy_side:,} on the proxy's, {backend_side:,} on the backend's",
            "where both sides close, which is first is a race",
        )


def witness_warnings(upstream: Upstream) -> Iterator[TrialWarning]:
    """Yield a warning where the witnesses of the opened connections do not agree exactly."""
    counts = upstream.witnesses.counts()
    if len(set(counts.values())) > 1:
        counted = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        yield TrialWarning(
            "witnesses-disagree",
            f"the opened connections were counted differently: {counted}",
            "connects that were refused, reset or timed out show in the kernel's count only",
        )


def race_warnings(
    upstream: Upstream, pool_idle_timeout_s: float, backend_idle_timeout_s: float | None
) -> Iterator[TrialWarning]:
    """Yield a warning where the backend ends idle connections before the pool closes them.

    A request that is on its way just then is lost: a client or a proxy may send it again by itself only
    where that does no harm (RFC 9110, section 9.2.2, and RFC 9112, section 9.3.1).
    """
    is_raced = backend_idle_timeout_s is not None and backend_idle_timeout_s <= pool_idle_timeout_s
    if upstream.lost and is_raced:
        yield TrialWarning(
            "idle-race",
            f"the backend ended {upstream.lost:,} pooled connections: a request on its way just then fails,"
            " or is sent again where its method allows that",
            f"make the pool close them first: --pool-idle-timeout below the backend's"
            f" {backend_idle_timeout_s:g} s",
        )


def generator_warnings(pressure: Pressure) -> Iterator[TrialWarning]:
    """Yield a voiding warning where the load generator was the bottleneck."""
    waited = pressure.run_queue_wait > RUN_QUEUE_WAIT_LIMIT
    full = pressure.core_idle is not None and pressure.core_idle < IDLE_FLOOR
    if waited or full:
        idle = "" if pressure.core_idle is None else f", its core was idle {pressure.core_idle:.0%}"
        yield TrialWarning(
            "generator-saturated",
            f"the load generator waited for a processor during {pressure.run_queue_wait:.0%}"
            f" of the window{idle}",
            "rates and latencies are void, CPU per request stands: use fewer connections, a --rate,"
            " or a machine with more cores",
            voids=True,
        )


def other_work_warnings(other_share: float, stolen_share: float, busiest: str = "") -> Iterator[TrialWarning]:
    """Yield a warning where others used a good part of the machine: voiding where it was a large one.

    The shares are those of the time of all cores, `busiest` is who used most of it.
    """
    if other_share + stolen_share >= OTHER_WORK_LIMIT:
        named = f", most of it {busiest}" if busiest else ""
        stolen = f"; {stolen_share:.0%} was taken by the hypervisor" if stolen_share >= 0.01 else ""
        yield TrialWarning(
            "machine-shared",
            f"other processes used {other_share:.0%} of the time of all cores{named}{stolen}",
            "rates and latencies are of what was left, CPU per request stands: run one at a time, and nothing"
            " else meanwhile",
            voids=other_share + stolen_share >= OTHER_WORK_VOIDS,
        )


def tls_warnings(failures: dict[str, int]) -> Iterator[TrialWarning]:
    """Yield a warning for each reason why TLS handshakes failed."""
    for reason, count in failures.items():
        what, _, remedy = reason.partition("; ")
        yield TrialWarning("tls-failed", f"{count:,} TLS handshakes failed: {what}", remedy)


def error_warnings(errors: dict[str, int], requests: int) -> Iterator[TrialWarning]:
    """Yield a warning where exchanges failed in the window."""
    failed = {kind: count for kind, count in errors.items() if count}
    if failed:
        counted = ", ".join(f"{kind} {count:,}" for kind, count in failed.items())
        share = sum(failed.values()) / max(1, requests + sum(failed.values()))
        yield TrialWarning(
            "errors", f"{share:.1%} of the exchanges failed: {counted}", "they are not in requests"
        )
