"""Whether a trial measured what its plan asks for: values in, warnings out. Pure.

A trial is invalid when its measured reuse is not that of its mode, or when the load generator was
the bottleneck (design: a mode is enforced). Exhausted ports are a finding, never an invalid trial.
What may then be said of trials and runs is decided in claims.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import units
from bench.plan.run_plan import ClosesFirst, Mode
from bench.runs.ports_record import Ports
from bench.runs.record import TrialWarning, Upstream

RUN_QUEUE_WAIT_LIMIT = 0.10
"""Share of the window that a load worker may wait for a processor before latencies show the
wait rather than the subject."""
IDLE_FLOOR = 0.05
"""Below this share of idle time the load generator's own core was full."""

FOREIGN_LIMIT = 0.05
"""Share of the load generator's own cores that others may use before its wait is theirs, not its own."""
OTHER_WORK_LIMIT = 0.10
"""Share of all cores that others may use before that shows in rates and latencies; a desktop at rest uses a
few hundredths."""
OTHER_WORK_VOIDS = 0.25
"""From here on rates say more about the others: of two runs at once each gets about half."""

_BE_ALONE = (
    "rates and latencies are void, CPU per request stands: run one at a time, and nothing else meanwhile"
)
_BE_ALONE_TO_BE_SURE = "rates and latencies may be off: run one at a time, and nothing else meanwhile"
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
    foreign_cpu: float | None = None
    """CPU that others used of the workers' own cores, and the hypervisor took; None where they have none."""

    @property
    def is_limiting(self) -> bool:
        """Return whether the load generator was the bottleneck, through its own work or through others."""
        is_full = self.core_idle is not None and self.core_idle < IDLE_FLOOR
        return is_full or self.run_queue_wait > RUN_QUEUE_WAIT_LIMIT


@dataclass(frozen=True, slots=True)
class OtherShares:
    """What others used of the time of all cores, 0 to 1, and who used most of it."""

    cpu: float
    stolen: float
    busiest: str = ""

    @property
    def whole(self) -> float:
        """Return both together."""
        return self.cpu + self.stolen

    def format(self, whose: str, share: float) -> str:
        """Return in half a sentence that others used a share of the cores of `whose`."""
        named = f", most of it {self.busiest}" if self.busiest else ""
        stolen = f"; {self.stolen:.0%} was taken by the hypervisor" if self.stolen >= 0.01 else ""
        return f"other processes used {share:.0%} of the time of {whose}{named}{stolen}"


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
        yield from traffic_warnings(upstream)
    elif mode is Mode.SHORT and not 0.99 <= total / opened <= 1.0:
        yield TrialWarning(
            "mode-not-short",
            f"one request per connection was expected, {total / opened:.3g} were measured"
            f" ({units.plural(total, 'request')} on {units.plural(opened, 'connection')})",
            "the subject reused connections or opened them for nothing",
            voids=True,
        )
    elif mode is Mode.KEEPALIVE and opened > needed and is_small:
        yield TrialWarning(
            "pool-small",
            f"opened {units.plural(opened, 'connection')} where {needed:,} are enough for a pool of all its"
            " clients",
            "it was to keep fewer: raise --pool-idle if that was not meant",
        )
    elif mode is Mode.KEEPALIVE and opened > needed and may_expire:
        yield TrialWarning(
            "pool-expired",
            f"opened {units.plural(opened, 'connection')} where {needed:,} are enough for a pool that keeps"
            " them",
            "its idle timeout is shorter than the trial: raise --pool-idle-timeout if that was not meant",
        )
    elif mode is Mode.KEEPALIVE and opened > needed:
        yield TrialWarning(
            "mode-not-keepalive",
            f"opened {units.plural(opened, 'connection')} where {needed:,} were needed",
            "raise pool_idle to the number of clients per worker, or find out whether the backend closes",
            voids=True,
        )


def traffic_warnings(upstream: Upstream, backend_port: int | None = None) -> Iterator[TrialWarning]:
    """Yield a voiding warning where no request reached the backend.

    `backend_port` is where a proxy that is not ours is to expect the backends.
    """
    opened, total = upstream.connections_opened or 0, upstream.requests_total or 0
    if opened == 0 or total == 0:
        yield TrialWarning(
            "no-traffic",
            f"{units.plural(total, 'request')} reached the backend on {units.plural(opened, 'connection')}",
            "see the errors by kind; nothing else in this trial means anything"
            if backend_port is None
            else "see the log of the proxy, and whether its configuration names every machine that may"
            f" hold a backend, at port {backend_port}; where it checks their health, a --warmup longer than"
            " that takes lets it find them",
            voids=True,
        )


def running_proxy_warnings(
    mode: Mode, upstream: Upstream, clients: int, backend_port: int | None
) -> Iterator[TrialWarning]:
    """Yield a voiding warning where a proxy that is not ours does not do what `mode` says of it.

    How many connections it keeps is its own affair: with keep-alive it is enough that most are used again,
    once each of the `clients` may have had one. That the backend ended them excuses none of them: a proxy
    without keep-alive asks for it.
    """
    opened, total = upstream.connections_opened or 0, upstream.requests_total or 0
    if opened == 0 or total == 0:
        yield from traffic_warnings(upstream, backend_port)
    elif mode is Mode.SHORT and total > opened:
        yield TrialWarning(
            "mode-not-short",
            f"the proxy sent {total:,} requests on {opened:,} connections: it uses them again",
            "name what it does, --mode keepalive, or let its configuration close them",
            voids=True,
        )
    elif mode is Mode.KEEPALIVE and opened > clients and total < 2 * opened:
        yield TrialWarning(
            "mode-not-keepalive",
            f"the proxy opened {opened:,} connections for {total:,} requests: it uses most of them once",
            "name what it does, --mode short, or let its configuration keep them",
            voids=True,
        )


def target_warnings(requests: int, wrong_statuses: Mapping[str, int]) -> Iterator[TrialWarning]:
    """Yield a voiding warning where a server that is not ours has answered nothing that was expected."""
    if requests == 0:
        answered = f" but {_by_status(wrong_statuses)}" if wrong_statuses else ""
        yield TrialWarning(
            "no-success",
            f"the target sent no correct response{answered}",
            "request another URL, or say which statuses are right with --expect-status"
            if wrong_statuses
            else "see the errors by kind, and whether the target is up and speaks HTTP/1.1",
            voids=True,
        )


def _by_status(statuses: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} of status {status}" for status, count in sorted(statuses.items()))


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
            f"the backend ended {units.plural(upstream.lost, 'pooled connection')}: a request on its way just"
            " then fails, or is sent again where its method allows that",
            f"make the pool close them first: --pool-idle-timeout below the backend's"
            f" {backend_idle_timeout_s:g} s",
        )


def machine_warnings(pressure: Pressure | None, others: OtherShares | None) -> Iterator[TrialWarning]:
    """Yield a voiding warning where load generator or machine could not keep up: by whose fault it was.

    A generator that waits since others use its cores is a disturbed one; one that fills them by itself is
    saturated. Others may also spoil what is measured without slowing the generator down.
    """
    if pressure is not None and pressure.is_limiting:
        if _is_disturbed(pressure, others):
            yield _disturbed_generator(pressure, others or OtherShares(0.0, 0.0))
            return
        yield _saturated_generator(pressure)
    elif others is not None and others.whole >= OTHER_WORK_LIMIT:
        message = others.format("all cores", others.cpu)
        voids = others.whole >= OTHER_WORK_VOIDS
        yield TrialWarning(
            "machine-shared", message, _BE_ALONE if voids else _BE_ALONE_TO_BE_SURE, voids=voids
        )


def _is_disturbed(pressure: Pressure, others: OtherShares | None) -> bool:
    """Return whether others are why the load generator could not keep up."""
    if pressure.foreign_cpu is not None:
        return pressure.foreign_cpu >= FOREIGN_LIMIT
    return others is not None and others.whole >= OTHER_WORK_LIMIT


def _disturbed_generator(pressure: Pressure, others: OtherShares) -> TrialWarning:
    share = others.cpu if pressure.foreign_cpu is None else pressure.foreign_cpu
    cores = "all cores" if pressure.foreign_cpu is None else "the load generator's cores"
    waited = f"it waited for a processor during {pressure.run_queue_wait:.0%} of the window"
    return TrialWarning("machine-shared", f"{others.format(cores, share)}; {waited}", _BE_ALONE, voids=True)


def _saturated_generator(pressure: Pressure) -> TrialWarning:
    idle = "" if pressure.core_idle is None else f", its core was idle {pressure.core_idle:.0%}"
    return TrialWarning(
        "generator-saturated",
        f"the load generator waited for a processor during {pressure.run_queue_wait:.0%} of the window{idle}",
        "rates and latencies are void, CPU per request stands: use fewer connections, a --rate,"
        " or a machine with more cores",
        voids=True,
    )


def window_warnings(requests: int, failed: int, ports: Ports, warmup_s: float) -> Iterator[TrialWarning]:
    """Yield a voiding warning where no request succeeded in the window: there is no rate and no latency.

    Where the ports ran out in the warm-up, that is why.
    """
    if requests:
        return
    message = f"no request succeeded in the window, {failed:,} failed"
    advice = "see the errors by kind"
    if ports.exhausted_s is not None and ports.exhausted_s <= warmup_s:
        message += f": all {ports.tuples:,} ports were used after {ports.exhausted_s:.1f} s, in the warm-up"
        advice = "shorten it (--warmup 0s), slow it down (--rate), or give it more ports (--ports)"
    yield TrialWarning("empty-window", message, advice, voids=True)


def tls_warnings(failures: dict[str, int]) -> Iterator[TrialWarning]:
    """Yield a warning for each reason why TLS handshakes failed."""
    for reason, count in failures.items():
        what, _, remedy = reason.partition("; ")
        yield TrialWarning("tls-failed", f"{units.plural(count, 'TLS handshake')} failed: {what}", remedy)


def cliff_warnings(ports: Ports, end_s: float) -> Iterator[TrialWarning]:
    """Yield a warning where half of the ports were used within a trial that measures a rate or a cost."""
    half_s = ports.slowed_s
    if half_s is not None and half_s < end_s:
        spent_s = ports.exhausted_s
        end = "" if spent_s is None else f"; none was left after {spent_s:.1f} s, and connect() failed"
        yield TrialWarning(
            "port-cliff",
            f"half of the {ports.tuples:,} ports were used after {half_s:.1f} s, and connect() slowed"
            f" down{end}",
            "rates and CPU are averages over that moment, and left out: a shorter window ends before it",
        )


def error_warnings(
    errors: dict[str, int], requests: int, wrong_statuses: Mapping[str, int] = {}
) -> Iterator[TrialWarning]:
    """Yield a warning where exchanges failed in the window."""
    failed = {kind: count for kind, count in errors.items() if count}
    if failed:
        counted = ", ".join(f"{kind} {count:,}" for kind, count in failed.items())
        counted += f" ({_by_status(wrong_statuses)})" if wrong_statuses else ""
        share = sum(failed.values()) / max(1, requests + sum(failed.values()))
        yield TrialWarning(
            "errors", f"{share:.1%} of the exchanges failed: {counted}", "they are not in requests"
        )
