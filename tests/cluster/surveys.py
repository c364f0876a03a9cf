"""Machines of a cluster that we have only on paper, for surveys of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.cluster.clock import ClockOffset
from bench.cluster.connection import WorkerFacts
from bench.cluster.identity import Identity
from bench.cluster.paths import NetworkPath
from bench.cluster.survey import ClusterSurvey, Examination, SurveyedMachine
from bench.cluster.worker import WorkerDescription
from bench.doctor.facts import MachineFacts

CODE = Identity("0.1.0", "0123456789abcdef", "3.11", "2026.8.0")
SYSCTLS = {
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.core.somaxconn": "4096",
}
FACTS = MachineFacts(
    platform="linux",
    is_root=False,
    namespaces_refused=None,
    landlock=4,
    file_limits=(1048576, 1048576),
    cores=8,
    load_1min=0.1,
    sysctls=SYSCTLS,
    cgroup={"cpu.max": "max 100000", "memory.max": "max"},
    programs={"nginx": "1.22.1 (/usr/sbin/nginx)"},
    packages={"python": "3.11.2", "uvloop": "0.23.0"},
)
MACHINE: dict[str, Any] = {
    "kernel": "6.1.0-18-amd64",
    "architecture": "x86_64",
    "cpu_model": "A processor",
    "cores": 8,
    "memory_mib": 16000,
    "sysctls": SYSCTLS,
    "limits": {"open_files_soft": 1024, "open_files_hard": 1048576},
    "versions": {
        "bench": "0.1.0", "python": "3.11.2", "uvloop": "0.23.0", "httptools": "0.9.0", "aiohttp": "3.14.5",
        "libc": "glibc 2.36",
    },
}  # fmt: skip
ROLES = {"client": 1.0, "proxy": 1.0, "backend": 1.0}


def machine(name: str, **changed: Any) -> SurveyedMachine:
    """Return a machine of its own: `facts`, `about` and `where` are changes to what was read of it."""
    facts, about = changed.pop("facts", {}), changed.pop("about", {})
    where = {"machine_id": name, "namespace": "net:[1]", **changed.pop("where", {})}
    description = WorkerDescription(
        pid=7, cores=(0, 1), addresses={"eth0": "10.0.0.1"}, machine={**MACHINE, **about}, **where
    )
    resources = changed.pop("resources", ROLES)
    whole = SurveyedMachine(
        WorkerFacts(name, f"tls://{name}:1", resources),
        CODE,
        examination=Examination(description, replace(FACTS, **facts)),
        data_address="10.0.0.1",
        clock=ClockOffset(200_000_000, 400_000, 800_000),
    )
    return replace(whole, **changed)


def path(target: str, **changed: Any) -> NetworkPath:
    """Return a path that is fine."""
    return replace(NetworkPath(target, round_trip_ms=0.5, mtu=1500, segment=1448), **changed)


def survey(*machines: SurveyedMachine) -> ClusterSurvey:
    """Return the survey of these machines."""
    return ClusterSurvey("tls://10.0.0.9:8786", machines)
