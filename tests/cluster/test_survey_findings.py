"""What a survey says of machines that we have only on paper: what is in the way, and what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.cluster.clock import LARGEST_ERROR_NS, ClockOffset
from bench.cluster.paths import PathFault
from bench.cluster.survey import SurveyedMachine
from bench.cluster.survey_differences import find_differences
from bench.cluster.survey_findings import find_obstacles, share_checks
from bench.commands.doctor import format_survey
from bench.doctor.checks import Status
from tests.cluster.surveys import CODE, MACHINE, ROLES, SYSCTLS, machine, path, survey


def test_machines_that_are_alike_have_nothing_in_the_way() -> None:
    found = survey(machine("a", paths=[path("b")]), machine("b", paths=[path("a")]))
    assert list(find_obstacles(found)) == []
    assert find_differences(found) == []
    assert {each.machines for each in share_checks(found)} == {("a", "b")}


SILENT = path("c", fault=PathFault.SILENT, reason="10.0.0.3 port 9 does not answer within 2 s")


@pytest.mark.parametrize(
    ("machines", "name", "status", "value", "remedy"),
    [
        (
            [machine("a", problem="runs bench 2; install the same version on every machine")],
            "a", Status.FAIL, "runs bench 2", "install the same version on every machine",
        ),
        (
            [machine("a", resources={"client": 2.0, "proxy": 1.0})],
            "resource backend", Status.WARN, "no worker offers it", "--resources backend=1",
        ),
        (
            [machine("a", resources={**ROLES, "proxy": 0.5})],
            "resource proxy", Status.WARN, "no worker offers it", "--resources proxy=1",
        ),
        (
            [machine("a", clock=ClockOffset(0, 7_250_000, 14_500_000))],
            "clock of a", Status.FAIL, "known within 7.25 ms, at most 5 ms are allowed", "nearer",
        ),
        (
            [machine("a", paths=[SILENT])],
            "a -> c", Status.FAIL, "10.0.0.3 port 9 does not answer within 2 s", "a firewall drops it",
        ),
        (
            [machine("a", paths=[SILENT]), machine("b", paths=[SILENT])],
            "-> c", Status.FAIL, "from a, b: 10.0.0.3 port 9 does not answer", "a firewall drops it",
        ),
        (
            [machine("a", where={"machine_id": "m"}), machine("b", where={"machine_id": "m"})],
            "shared network", Status.WARN, "a, b", "counts of ports and TIME_WAIT are one",
        ),
        (
            [
                machine("a", where={"machine_id": "m"}),
                machine("b", where={"machine_id": "m", "namespace": "net:[2]"}),
            ],
            "shared cores", Status.WARN, "a, b run on one machine", "counts of connections stand",
        ),
    ],
)  # fmt: skip
def test_what_is_in_the_way_has_a_remedy(
    machines: list[SurveyedMachine], name: str, status: Status, value: str, remedy: str
) -> None:
    found = {check.name: check for check in find_obstacles(survey(*machines))}
    assert found[name].status is status
    assert value in found[name].value
    assert remedy in found[name].remedy
    assert set(found) - {name} <= {"shared cores"}


@pytest.mark.parametrize("fault", PathFault)
def test_each_fault_of_a_path_has_a_remedy(fault: PathFault) -> None:
    (check,) = find_obstacles(survey(machine("a", paths=[path("b", fault=fault, reason="why")])))
    assert (check.value, bool(check.remedy)) == ("why", True)


def test_a_clock_at_the_bound_is_in_nobodys_way() -> None:
    known = machine("a", clock=ClockOffset(0, LARGEST_ERROR_NS, 2 * LARGEST_ERROR_NS))
    assert list(find_obstacles(survey(known))) == []


@pytest.mark.parametrize(
    ("other", "fact", "values", "meaning"),
    [
        ({"code": CODE._replace(sources="f" * 9)}, "sources of bench", ("0123456789ab", "f" * 9), "refuses"),
        ({"code": CODE._replace(distributed=None)}, "distributed", ("2026.8.0", "none"), "refuses"),
        ({"about": {"kernel": "6.12"}}, "kernel", ("6.1.0-18-amd64", "6.12"), "TCP differs"),
        ({"about": {"cores": 4}}, "cores", ("8", "4"), "keep roles in place"),
        ({"about": {"memory_mib": 32000}}, "memory", ("16 GiB", "31 GiB"), "keep roles in place"),
        (
            {"about": {"sysctls": {**SYSCTLS, "net.ipv4.ip_local_port_range": "1024 65535"}}},
            "ip_local_port_range", ("32768 60999", "1024 65535"), "sysctl -w net.ipv4.ip_local_port_range",
        ),
        (
            {"about": {"sysctls": {**SYSCTLS, "net.ipv4.tcp_tw_reuse": None}}},
            "tcp_tw_reuse", ("2", "none"), "used again on some machines",
        ),
        (
            {"about": {"limits": {"open_files_hard": 4096}}},
            "open files", ("1,048,576", "4,096"), "bounds the connections",
        ),
        (
            {"about": {"versions": {**MACHINE["versions"], "uvloop": None}}},
            "uvloop", ("0.23.0", "none"), "same versions",
        ),
        (
            {"facts": {"programs": {"nginx": None}}},
            "nginx", ("1.22.1 (/usr/sbin/nginx)", "none"), "starts nginx",
        ),
        (
            {"facts": {"cgroup": {"cpu.max": "max 100000"}}},
            "cgroup memory.max", ("max", "none"), "like control groups",
        ),
        (
            {"facts": {"cgroup": {"cpu.max": "100000 100000", "memory.max": "max"}}},
            "cgroup cpu.max", ("max 100000", "100000 100000"), "like control groups",
        ),
        (
            {"paths": [path("a", mtu=1400, segment=1348)]},
            "path MTU", ("1500", "1400"), "set the MTU of all data interfaces",
        ),
        (
            {"paths": [path("a", segment=1348)]},
            "path MTU", ("1500", "1500, segments 1348"), "set the MTU of all data interfaces",
        ),
    ],
)  # fmt: skip
def test_each_fact_that_differs_says_what_that_means(
    other: dict[str, object], fact: str, values: tuple[str, str], meaning: str
) -> None:
    found = survey(machine("a", paths=[path("b")]), machine("b", **{"paths": [path("a")], **other}))
    (difference,) = find_differences(found)
    assert (difference.fact, tuple(difference.values.values())) == (fact, values)
    assert meaning in difference.meaning


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        pytest.param({"load_1min": 7.0}, {}, id="load"),
        pytest.param({"sysctls": {**SYSCTLS, "net.netfilter.nf_conntrack_count": "9"}}, {}, id="conntrack"),
    ],
)
def test_what_is_of_the_moment_is_no_difference(mine: dict[str, object], theirs: dict[str, object]) -> None:
    assert find_differences(survey(machine("a", facts=mine), machine("b", facts=theirs))) == []


def test_segments_on_loopback_follow_buffers_and_are_no_difference() -> None:
    one = machine("a", paths=[path("b", mtu=65535, segment=47616)])
    other = machine("b", paths=[path("a", mtu=65535, segment=65483)])
    assert find_differences(survey(one, other)) == []


def test_the_most_frequent_value_of_many_is_counted() -> None:
    many = [machine(f"m{number}") for number in range(7)]
    (difference,) = find_differences(survey(*many, machine("odd", about={"kernel": "5"})))
    assert difference.to_check().value == "5 on odd; 6.1.0-18-amd64 on the other 7"


def test_a_machine_that_was_not_examined_is_shown_with_what_is_known_of_it() -> None:
    unknown = replace(
        machine("old", problem="has no bench (No module named 'bench'); install it"),
        code=None, examination=None, data_address=None, clock=None,
    )  # fmt: skip
    text = format_survey(survey(machine("new"), unknown))
    (row,) = (line.split() for line in text.splitlines() if line.startswith(" old"))
    assert row[:1] + row[-4:] == ["old", "-", "-", "-", "-"]
    assert "NO  old                    has no bench (No module named 'bench')\n" in text


def test_the_text_says_it_of_each_machine_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    paths = [path("b", round_trip_ms=0.111), path("c", round_trip_ms=2, mtu=1400), SILENT]
    text = format_survey(
        survey(machine("a", paths=paths), machine("b", facts={"file_limits": (1, 4096)}), machine("c"))
    )
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= 80
    assert lines[0] == "scheduler tls://10.0.0.9:8786, workers: 3"
    assert " a         2 of 3    0.11 to 2.00 ms   1400 to 1500 bytes" in lines
    assert any("+200.00 ± 0.40 ms" in line for line in lines)
    assert "ok  kernel                 6.1.0-18-amd64, x86_64" in lines
    some = lines[lines.index("on some") + 1 :]
    assert some[0] == "!   file limit             b: 4,096 open files (soft limit 1, which a run raises"
