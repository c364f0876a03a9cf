"""What a survey of a cluster says of its machines: what each can do, what is in the way of a run. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.cluster.clock import LARGEST_ERROR_NS
from bench.cluster.paths import PathFault
from bench.cluster.survey import ClusterSurvey, SurveyedMachine
from bench.doctor.checks import Check, Status, check_machine

_ROLES = ("client", "proxy", "backend")
_REMEDIES = {
    PathFault.SILENT: "a firewall drops it: allow TCP between the data addresses of all workers",
    PathFault.REFUSED: "a firewall or NAT rejects it: allow TCP between the data addresses of all workers",
    PathFault.NO_ROUTE: "`ip route get` with this address shows the route; mend it, or name another"
    " --data-interface",
    PathFault.OTHER_PEER: "several machines have this address; name another --data-interface",
    PathFault.LARGE_LOST: "a link between is narrower, and a firewall drops the ICMP that says so: allow it,"
    " or lower the MTU of the data interfaces",
    PathFault.FAILED: "the sender lacks a resource: see its limits above",
}


@dataclass(frozen=True, slots=True)
class SharedCheck:
    """One check of `bench doctor`, and the machines where it comes out so."""

    check: Check
    machines: tuple[str, ...]


def share_checks(survey: ClusterSurvey) -> list[SharedCheck]:
    """Return the checks of all machines in the doctor's order, equal ones together."""
    found: dict[str, dict[Check, list[str]]] = {}
    for machine in survey.machines:
        for check in _check(machine):
            found.setdefault(check.name, {}).setdefault(check, []).append(machine.name)
    return [SharedCheck(check, tuple(names)) for checks in found.values() for check, names in checks.items()]


def _check(machine: SurveyedMachine) -> Iterator[Check]:
    if machine.examination is None or machine.code is None:
        return
    code, about = machine.code, machine.examination.description.machine
    yield Check("bench", Status.OK, f"{code.bench}, sources {code.sources[:12]}")
    yield Check("distributed", Status.OK, str(code.distributed))
    yield Check("kernel", Status.OK, f"{about['kernel']}, {about['architecture']}")
    yield Check("CPU", Status.OK, str(about["cpu_model"]))
    yield from check_machine(machine.examination.facts)


def find_obstacles(survey: ClusterSurvey) -> Iterator[Check]:
    """Yield what is in the way of a run on these machines, each with its remedy."""
    for machine in survey.machines:
        if machine.problem:
            value, _, remedy = machine.problem.partition("; ")
            yield Check(machine.name, Status.FAIL, value, remedy)
    yield from _missing_roles(survey.machines)
    yield from _uncertain_clocks(survey.machines)
    yield from _faulty_paths(survey.machines)
    yield from _shared_hosts(survey.machines)


def _missing_roles(machines: Sequence[SurveyedMachine]) -> Iterator[Check]:
    for role in _ROLES:
        if not any(each.worker.resources.get(role, 0) >= 1 for each in machines):
            remedy = f"start a worker with `--resources {role}=1`, unless no run needs a {role} of ours"
            yield Check(f"resource {role}", Status.WARN, "no worker offers it", remedy)


def _uncertain_clocks(machines: Sequence[SurveyedMachine]) -> Iterator[Check]:
    for machine in machines:
        if machine.clock is not None and machine.clock.error_ns > LARGEST_ERROR_NS:
            error, most = machine.clock.error_ns / 1e6, LARGEST_ERROR_NS / 1e6
            value = f"known within {error:.2f} ms, at most {most:g} ms are allowed"
            remedy = "end other work there and on the scheduler, or bring `bench` and the scheduler nearer"
            yield Check(f"clock of {machine.name}", Status.FAIL, value, remedy)


def _faulty_paths(machines: Sequence[SurveyedMachine]) -> Iterator[Check]:
    """Yield a check for each target and fault, with the machines from where it is so."""
    sources: dict[tuple[str, PathFault, str], list[str]] = {}
    for machine in machines:
        for path in machine.paths:
            if path.fault is not None:
                sources.setdefault((path.target, path.fault, path.reason), []).append(machine.name)
    for (target, fault, reason), names in sources.items():
        name = f"{names[0]} -> {target}" if len(names) == 1 else f"-> {target}"
        value = reason if len(names) == 1 else f"from {', '.join(names)}: {reason}"
        yield Check(name, Status.FAIL, value, _REMEDIES[fault])


def _shared_hosts(machines: Sequence[SurveyedMachine]) -> Iterator[Check]:
    hosts: dict[str, dict[str, list[str]]] = {}
    for machine in machines:
        if machine.examination is not None:
            where = machine.examination.description
            hosts.setdefault(where.machine_id, {}).setdefault(where.namespace, []).append(machine.name)
    for networks in hosts.values():
        for names in networks.values():
            if len(names) > 1:
                remedy = (
                    "their counts of ports and TIME_WAIT are one: keep one worker a network, or a container"
                )
                yield Check("shared network", Status.WARN, ", ".join(names), remedy)
        names = sorted(name for each in networks.values() for name in each)
        if len(names) > 1:
            remedy = "their rates are those of one machine; counts of connections stand"
            yield Check("shared cores", Status.WARN, f"{', '.join(names)} run on one machine", remedy)
