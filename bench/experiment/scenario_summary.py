"""The summary of a trial of a scenario: facts in, a ScenarioTrial out. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from bench.analysis import ceiling, histogram, validity
from bench.experiment import summary
from bench.experiment.definition import Figures
from bench.experiment.summary import Outcome
from bench.experiment.trial_result import TrialResult
from bench.observe.interface_bytes import InterfaceBytes
from bench.observe.sampler import HostObservation
from bench.plan.scenario_plan import Case
from bench.runs.ports_record import Ports
from bench.runs.record import (
    ROLES,
    Hop,
    Latencies,
    Moment,
    RoleUsage,
    ScenarioTrial,
    SubjectRecord,
    TrialWarning,
)
from bench.subjects.subject import SubjectCounts


class ScenarioFacts(NamedTuple):
    """All that was observed of one trial."""

    number: int
    case: Case
    lab: str
    version: str
    """The subject's."""
    result: TrialResult
    figures: Figures
    counted: SubjectCounts
    """What the subject counted, read when the load was over."""
    accepted: int | None
    """Connections that the servers accepted."""
    port_range: int = 0
    """How many ports the host has that opens connections to the servers; 0: others use them too."""
    addresses: int = 1
    """Addresses of that host, times those of the servers: each pair has the whole range."""


def outcome(facts: ScenarioFacts) -> Outcome[ScenarioTrial]:
    """Return the trial that `facts` describe, with its warnings, its timeline and its histograms."""
    case, result, figures = facts.case, facts.result, facts.figures
    hops = _hops(facts)
    absent = "proxy" if case.subject.name == "direct" else None
    use = {role: RoleUsage() if role == absent else _use(role, result) for role in ROLES}
    warnings = (*figures.warnings, *_warnings(facts, hops, use))
    trial = ScenarioTrial(
        trial=facts.number,
        variant=case.variant,
        subject=SubjectRecord(case.subject_name, facts.version),
        lab=facts.lab,
        valid=not any(warning.voids for warning in warnings),
        interrupted=result.interrupted,
        warnings=warnings,
        window_s=result.window_s,
        units=figures.units,
        figures=dict(figures.figures),
        times_ms={name: histogram.percentiles_ms(counts) for name, counts in figures.times_us.items()},
        curves={name: [(x, y) for x, y in points] for name, points in figures.curves.items()},
        hops=hops,
        roles=use,
        time_wait={role: summary.time_wait(result.seen[role]) for role in ROLES},
        cpu_us_per_unit={role: _per(each.cpu_s, figures.units, 1e6) for role, each in use.items()},
        other_cpu_share=result.other_cpu_share,
        stolen_cpu_share=result.stolen_cpu_share,
        bytes_per_unit={name: _per(_bytes(hop), figures.units) for name, hop in hops.items()},
    )
    start_s = (result.first.moment_ns - result.start_ns) / 1e9
    return Outcome(trial, _moments(trial, result), _latencies(trial, figures.times_us, start_s))


def _hops(facts: ScenarioFacts) -> dict[str, Hop]:
    result = facts.result
    first, last = result.first, result.last
    is_direct = facts.case.subject.name == "direct"
    accepted = facts.accepted if is_direct else facts.counted.accepted
    hops = {"front": _hop(result.seen["client"], accepted, first.front, last.front)}
    if not is_direct:
        back = _hop(result.seen["proxy"], facts.accepted, first.back, last.back)
        own = None if back.opened is None else back.opened - result.opened_by_network
        hops["back"] = replace(back, opened=own)
    return hops


def _hop(
    opener: HostObservation, accepted: int | None, before: InterfaceBytes | None, after: InterfaceBytes | None
) -> Hop:
    opened = None if opener.counters is None else opener.counters.active_opens
    if before is None or after is None:
        return Hop(opened, accepted)
    carried = after.since(before)
    return Hop(opened, accepted, carried.sent, carried.received)


def _bytes(hop: Hop) -> int | None:
    return None if hop.bytes_forth is None or hop.bytes_back is None else hop.bytes_forth + hop.bytes_back


def _use(role: str, result: TrialResult) -> RoleUsage:
    return RoleUsage(result.spent_s(role), summary.memory_mib(result.seen[role]))


def _per(total: float | None, units: int, scale: float = 1.0) -> float | None:
    return None if total is None or units == 0 else total / units * scale


def _warnings(
    facts: ScenarioFacts, hops: Mapping[str, Hop], use: Mapping[str, RoleUsage]
) -> Iterator[TrialWarning]:
    result = facts.result
    yield from summary.lab_warnings(result.notes)
    yield from _disagreements(facts, hops)
    for warning in validity.machine_warnings(result.pressure, summary.other_shares(result)):
        yield replace(warning, voids=warning.voids and not facts.figures.is_paced)
    if facts.port_range and not facts.figures.is_paced:
        yield from validity.cliff_warnings(_ports(facts), result.load_s)
    served = sum(use[role].cpu_s or 0.0 for role in ("proxy", "backend"))
    clients_s = use["client"].cpu_s or 0.0
    if clients_s > served > 0:
        yield TrialWarning(
            "client-heavier",
            f"the clients used {clients_s:.2f} s of CPU, proxy and servers together {served:.2f} s",
            "what the clients cost is part of every delay here",
        )


def _ports(facts: ScenarioFacts) -> Ports:
    """Return what became of the ports toward the servers."""
    opener = "client" if facts.case.subject.name == "direct" else "proxy"
    start_ns = facts.result.start_ns
    used = [
        ((sample.t_ns - start_ns) / 1e9, sample.ports_used)
        for sample in facts.result.samples
        if sample.host == opener and sample.ports_used is not None
    ]
    tuples = facts.port_range * facts.addresses
    return ceiling.ports([], used, port_range=facts.port_range, tuples=tuples, end_s=facts.result.load_s)


def _disagreements(facts: ScenarioFacts, hops: Mapping[str, Hop]) -> Iterator[TrialWarning]:
    """Yield a warning for each hop whose connections were counted differently by its witnesses."""
    for name, hop in hops.items():
        witnesses = {"the kernel": hop.opened, "the accepting side": hop.accepted}
        if name == "back":
            witnesses["the subject"] = facts.counted.opened
        counts = {witness: count for witness, count in witnesses.items() if count is not None}
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{witness} {count:,}" for witness, count in counts.items())
            yield TrialWarning(
                "witnesses-disagree",
                f"connections of the {name} hop were counted differently: {listed}",
                "connects that were refused, reset or timed out show in the kernel's count only",
            )


def _moments(trial: ScenarioTrial, result: TrialResult) -> list[Moment]:
    rows = [
        summary.observed(trial.trial, trial.variant, sample, result.start_ns) for sample in result.samples
    ]
    return sorted(rows, key=lambda row: row.t_s)


def _latencies(
    trial: ScenarioTrial, times_us: Mapping[str, Mapping[int, int]], start_s: float
) -> list[Latencies]:
    return [
        Latencies(trial.trial, trial.variant, name, start_s, trial.window_s, dict(counts))
        for name, counts in times_us.items()
        if counts
    ]
