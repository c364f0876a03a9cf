"""What machines of a cluster observed, made by hand."""

from __future__ import annotations

from bench.cluster.clock import ClockOffset
from bench.cluster.merge import MachinePart
from bench.cluster.part import PartResult
from bench.cluster.reporter import PartCounts
from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult
from bench.load.generator import Second, Totals
from bench.observe.host_observer import HostSample, Peaks
from bench.observe.sampler import HostObservation
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import HostSockets
from bench.subjects.subject import SubjectCounts

AHEAD_NS = 200_000_000
NO_ERRORS = {"connect": 0, "timeout": 0}
START_NS, SECOND_NS = 1_000_000_000, 1_000_000_000
EXACT = ClockOffset(0, 1000, 2000)


def second(number: int, requests: int, start_ns: int = START_NS, latency_us: int = 500) -> Second:
    begins_ns = start_ns + number * SECOND_NS
    return Second(
        second=number,
        start_ns=begins_ns,
        end_ns=begins_ns + SECOND_NS,
        in_window=True,
        ticks=(requests,),
        requests=requests,
        errors={"timeout": 1},
        opened=2,
        bytes=100,
        late=0,
        never_started=0,
        latency_us={latency_us: requests},
        service_us={},
        connect_us={},
    )


def totals(requests: int, start_ns: int = START_NS) -> Totals:
    return Totals(
        interrupted=False,
        first_connect_ns=start_ns,
        window_start_ns=start_ns + SECOND_NS,
        window_end_ns=start_ns + 3 * SECOND_NS,
        drained_ns=start_ns + 3 * SECOND_NS,
        requests_total=requests,
        opened_total=2,
        errors_total=NO_ERRORS,
        requests=requests,
        errors=NO_ERRORS,
        opened=0,
        bytes=0,
        late=0,
        never_started=0,
    )


def reading(
    at_ns: int, role: str, cpu_s: float, *, waited_s: float = 0.0, idle_s: float = 0.0
) -> MeterReading:
    waits = (waited_s,) if role == "client" else ()
    pressure = SaturationReading(at_ns, waits, idle_s if role == "client" else None, 0.0, None)
    return MeterReading(at_ns, pressure, {role: cpu_s}, None, None)


def machine(
    name: str,
    *,
    opens: int | None = 10,
    time_wait: int = 3,
    ports_used: int = 5,
    waited_s: float = 0.0,
    idle_s: float = 1.0,
    cpu_s: float = 0.5,
    seconds: tuple[Second, ...] = (),
    requests: int | None = None,
    served: dict[str, int] | None = None,
    subject: SubjectCounts | None = None,
) -> MachinePart:
    role = name.partition("-")[0]
    seen = HostObservation(
        role,
        HostSockets(time_wait, 1, time_wait - 1, 0, ports_used),
        None if opens is None else Counters(opens, opens, 0, 0, 0, time_wait),
        Peaks(time_wait + 1, 20.0, 10.0),
    )
    result = TrialResult(
        start_ns=START_NS,
        first=reading(START_NS + SECOND_NS, role, 1.0),
        last=reading(START_NS + 3 * SECOND_NS, role, 1.0 + cpu_s, waited_s=waited_s, idle_s=idle_s),
        done=(),
        samples=(HostSample(START_NS + 100_000_000, role, time_wait=time_wait, ports_used=ports_used),),
        seen={role: seen},
        notes=(),
        observer_cpu_share=0.01,
        interrupted=False,
    )
    counts = PartCounts("1", (32768, 60999), served, subject)
    held = None if requests is None else totals(requests)
    return MachinePart(name, role, PartResult(result, counts, held, seconds), EXACT)
