"""A survey of a cluster as rows of tables, and as checks under headings. Pure."""

from collections.abc import Iterator, Sequence

from bench.cluster.survey import ClusterSurvey, SurveyedMachine
from bench.cluster.survey_differences import find_differences
from bench.cluster.survey_findings import SharedCheck, find_obstacles, share_checks
from bench.doctor.checks import Check, Status

_NOTHING = "-"
MACHINE_COLUMNS = ("machine", "offers", "data address", "cores", "load", "clock offset")
PATH_COLUMNS = ("machine", "reaches", "round trip", "path MTU")


def describe_machine(machine: SurveyedMachine) -> tuple[str, ...]:
    """Return a machine as a row of MACHINE_COLUMNS."""
    offers = ", ".join(f"{name} {count:g}" for name, count in machine.worker.resources.items())
    facts = None if machine.examination is None else machine.examination.facts
    clock = machine.clock
    return (
        machine.name,
        offers or _NOTHING,
        machine.data_address or _NOTHING,
        _NOTHING if facts is None else str(facts.cores),
        _NOTHING if facts is None else f"{facts.load_1min:.2f}",
        _NOTHING if clock is None else f"{clock.offset_ns / 1e6:+,.2f} ± {clock.error_ns / 1e6:.2f} ms",
    )


def describe_paths(machine: SurveyedMachine) -> tuple[str, ...]:
    """Return the paths from a machine to all others as a row of PATH_COLUMNS."""
    usable = [path for path in machine.paths if path.fault is None]
    times = [path.round_trip_ms for path in usable if path.round_trip_ms is not None]
    sizes = [path.mtu for path in usable if path.mtu is not None]
    return (
        machine.name,
        f"{len(usable)} of {len(machine.paths)}",
        f"{_range(times, '.2f')} ms" if times else _NOTHING,
        f"{_range(sizes, 'd')} bytes" if sizes else _NOTHING,
    )


def _range(values: Sequence[float], spec: str) -> str:
    least, most = format(min(values), spec), format(max(values), spec)
    return least if least == most else f"{least} to {most}"


def list_sections(survey: ClusterSurvey) -> Iterator[tuple[str, list[Check]]]:
    """Yield headings with the checks below them, of which there may be none."""
    shared = share_checks(survey)
    examined = sum(machine.examination is not None for machine in survey.machines)
    # What is fine and yet not the same is in the tables, or among what differs.
    some = [each for each in shared if len(each.machines) < examined and each.check.status is not Status.OK]
    everywhere = "on all machines" if examined > 1 else "on the machine"
    yield everywhere, [each.check for each in shared if len(each.machines) == examined]
    yield "on some", [_name_machines(each) for each in some]
    yield "in the way of a run", list(find_obstacles(survey))
    yield "what differs", [each.to_check() for each in find_differences(survey)]


def _name_machines(shared: SharedCheck) -> Check:
    check = shared.check
    return Check(check.name, check.status, f"{', '.join(shared.machines)}: {check.value}", check.remedy)
