"""What differs between the machines of a cluster, and what that does to a run. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.cluster.paths import NetworkPath
from bench.cluster.survey import ClusterSurvey, SurveyedMachine
from bench.doctor.checks import Check, Status
from bench.machine import cgroup


@dataclass(frozen=True, slots=True)
class MachineDifference:
    """One fact that is not the same on all machines."""

    fact: str
    values: Mapping[str, str]
    """By the name of the machine."""
    meaning: str
    """What it does to a run, and what to do about it."""

    def to_check(self) -> Check:
        """Return the difference as a row, the most frequent value last."""
        holders = _group((value, name) for name, value in self.values.items())
        ordered = sorted(holders.items(), key=lambda item: len(item[1]))
        shown = [f"{value} on {', '.join(names)}" for value, names in ordered]
        value, names = ordered[-1]
        if len(names) > _MOST_NAMES:
            shown[-1] = f"{value} on the other {len(names)}"
        return Check(self.fact, Status.WARN, "; ".join(shown), self.meaning)


_UNLIKE = "CPU per request and rates depend on which machine has a role: keep roles in place between runs"
_KERNEL = "TCP differs between kernels: compare the roles of machines with the same one"
_SAME_PACKAGES = "the proxy and backend of bench differ in speed: install the same versions"
_ABSENT = "none"
_MOST_NAMES = 4
"""Of those who have the most frequent value; more of them are counted."""


def find_differences(survey: ClusterSurvey) -> list[MachineDifference]:
    """Return each fact that differs between the machines, with what that means."""
    facts: dict[str, tuple[str, dict[str, str]]] = {}
    for machine in survey.machines:
        for fact, value, meaning in _read_facts(machine):
            facts.setdefault(fact, (meaning, {}))[1][machine.name] = value
    return [
        MachineDifference(fact, values, meaning)
        for fact, (meaning, values) in facts.items()
        if len(set(values.values())) > 1
    ]


def _read_facts(machine: SurveyedMachine) -> Iterator[tuple[str, str, str]]:
    """Yield facts that runs depend on: name, value, and what it means where it differs."""
    refused = "`bench run` refuses this cluster: install the same version on every machine"
    if machine.code is not None:
        code = machine.code
        yield "bench", code.bench, refused
        yield "sources of bench", code.sources[:12], refused
        yield "Python", code.python, refused
        yield "distributed", code.distributed or _ABSENT, refused
    if machine.examination is None:
        return
    about, facts = machine.examination.description.machine, machine.examination.facts
    yield "kernel", str(about["kernel"]), _KERNEL
    yield "architecture", str(about["architecture"]), _UNLIKE
    yield "CPU", str(about["cpu_model"]), _UNLIKE
    yield "cores", str(about["cores"]), _UNLIKE
    yield "memory", f"{about['memory_mib'] / 1024:.0f} GiB", _UNLIKE
    for key, value in about["sysctls"].items():
        yield key.partition(".")[2].removeprefix("ipv4."), value or _ABSENT, _explain_sysctl(key)
    limit = "the smallest bounds the connections of a run: raise it there (/etc/security/limits.conf)"
    yield "open files", f"{about['limits']['open_files_hard']:,}", limit
    yield "Python in full", str(about["versions"]["python"]), _SAME_PACKAGES
    for name in ("uvloop", "httptools", "aiohttp", "libc"):
        yield name, about["versions"][name] or _ABSENT, _SAME_PACKAGES
    for name in (cgroup.CPU, cgroup.MEMORY):
        bound = facts.cgroup.get(name, _ABSENT)
        yield f"cgroup {name}", bound, "the smallest bounds its roles: run the workers in like control groups"
    for name, found in facts.programs.items():
        yield name, found or _ABSENT, _explain_program(name)
    yield from _path_facts(machine.paths)


_SYSCTLS = {
    "net.ipv4.ip_local_port_range": "ports run out at another count on each machine",
    "net.ipv4.tcp_tw_reuse": "ports in TIME_WAIT are used again on some machines and not on others",
    "net.ipv4.tcp_max_tw_buckets": "TIME_WAIT ends early on some machines and not on others",
    "net.core.somaxconn": "bursts of connects overflow the queues of some machines and not of others",
}


def _explain_sysctl(key: str) -> str:
    what = _SYSCTLS.get(key, "TCP differs between the machines")
    return f"{what}; set the same on all: `sudo sysctl -w {key}=...`"


def _explain_program(name: str) -> str:
    return f"needed where the scheduler may place what starts {name}: install one version on all of them"


def _path_facts(found: Sequence[NetworkPath]) -> Iterator[tuple[str, str, str]]:
    """Yield the path MTU to the others, with their names where it is not the same to all."""
    meaning = (
        "messages take more packets on some hops than on others; set the MTU of all data interfaces, and of"
        " the network between them, to one value"
    )
    usable = [path for path in found if path.fault is None and path.mtu is not None]
    if usable:
        groups = _group((_format_mtu(path), path.target) for path in usable)
        shown = [f"{value} to {', '.join(names)}" for value, names in groups.items()]
        yield "path MTU", next(iter(groups)) if len(groups) == 1 else "; ".join(shown), meaning


_LOOPBACK_MTU = 65535
_LARGEST_HEADERS = 120
"""IPv6 (40) and TCP with all its options (60), and 20 to spare."""


def _format_mtu(path: NetworkPath) -> str:
    """Return the path MTU; that of the peer's interface is told from the segments that it accepts."""
    assert path.mtu is not None
    if path.mtu >= _LOOPBACK_MTU or path.segment is None or path.mtu - path.segment <= _LARGEST_HEADERS:
        return str(path.mtu)
    return f"{path.mtu}, segments {path.segment}"


def _group(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return each value with the names of those who have it."""
    holders: dict[str, list[str]] = {}
    for value, name in pairs:
        holders.setdefault(value, []).append(name)
    return holders
