"""Every subject in both labs, with real traffic: its modes are what they say, its witnesses agree exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bench_process, needs
from tests.bench_process import codes, trials

BRIEF = ("--trials", "1", "--warmup", "200ms", "--duration", "500ms", "--connections", "16")
LESS_USED = ("nginx@wheel", "envoy", "caddy")
EVERY = ("nginx@system", "haproxy", *LESS_USED)
COUNTING = ("haproxy", "envoy")
DIALS_AHEAD = ("caddy",)
"""Go's transport dials for a request even if that then goes out on a connection that came free meanwhile."""


@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nginx@system", "haproxy", long=LESS_USED))
def test_both_modes_are_what_they_say_and_every_witness_agrees(subject: str, tmp_path: Path) -> None:
    short, keepalive = trials(*BRIEF, "--lab", "namespaces", "--subject", subject, root=tmp_path)
    for trial in (short, keepalive):
        upstream = trial["upstream"]
        witnesses = {name: count for name, count in upstream["witnesses"].items() if count is not None}
        counting = {"subject"} if subject in COUNTING else set()
        assert set(witnesses) == {"backend", "kernel"} | counting
        assert set(witnesses.values()) == {upstream["connections_opened"]}
        assert trial["requests"] > 0
        assert set(trial["errors"].values()) == {0}
    assert short["upstream"]["requests_per_connection"] == 1.0
    assert keepalive["upstream"]["connections_needed"] == 16
    assert keepalive["upstream"]["requests_per_connection"] > 1
    if subject not in DIALS_AHEAD:
        assert keepalive["upstream"]["connections_opened"] <= 16
        assert codes(keepalive) == set()


@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nghttpx"))
def test_nghttpx_keeps_a_connection_for_each_client(subject: str, tmp_path: Path) -> None:
    (trial,) = trials(*BRIEF, "--subject", subject, "--mode", "keepalive", root=tmp_path)
    assert trial["upstream"]["witnesses"] == {"backend": 16, "kernel": 16, "subject": None}
    assert set(trial["errors"].values()) == {0}
    assert codes(trial) == set()


@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nginx@system", long=LESS_USED))
def test_a_proxy_that_closes_first_holds_every_time_wait(subject: str, tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--subject", subject, "--mode", "short", root=tmp_path)
    opened = short["upstream"]["connections_opened"]
    assert short["time_wait_by_hop"]["backend"] == short["time_wait"]["proxy"]["end"] == opened
    assert short["time_wait"]["backend"]["end"] == 0
    assert (short["closes_first"], codes(short)) == ("proxy", set())


@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("haproxy"))
def test_haproxy_resets_what_it_closes_first(subject: str, tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--subject", subject, "--mode", "short", "--ports", "40", root=tmp_path)
    assert short["upstream"]["connections_opened"] > 40
    assert short["time_wait_by_hop"]["backend"] == short["time_wait"]["backend"]["end"] == 0
    assert codes(short) == {"closes-first-reset"}


@pytest.mark.long
@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects(*EVERY))
def test_a_backend_that_closes_first_holds_time_wait(subject: str, tmp_path: Path) -> None:
    (short,) = trials(
        *BRIEF, "--subject", subject, "--mode", "short", "--closes-first", "backend", root=tmp_path
    )
    assert short["upstream"]["requests_per_connection"] == 1.0
    # Told to close as well, a proxy is sometimes the first; then the trial says so.
    both = short["time_wait"]["backend"]["end"], short["time_wait_by_hop"]["backend"]
    assert both[0] > 0
    assert codes(short) == ({"closes-first-mixed"} if both[1] > 0.01 * sum(both) else set())


@pytest.mark.long
@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nginx@system", "envoy", "caddy"))
def test_exhausted_ports_are_errors_and_the_witnesses_still_agree(subject: str, tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--subject", subject, "--mode", "short", "--ports", "40", root=tmp_path)
    assert short["upstream"]["connections_opened"] == 40
    assert {count for count in short["upstream"]["witnesses"].values() if count is not None} == {40}
    assert short["errors"]["status"] > 0


@pytest.mark.long
@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nginx@system", "haproxy", "envoy"))
def test_workers_and_destinations_and_sources(subject: str, tmp_path: Path) -> None:
    many = ("--backend-addresses", "2", "--proxy-addresses", "2", "--subject-workers", "2")
    short, keepalive = trials(*BRIEF, *many, "--subject", subject, root=tmp_path)
    for trial in (short, keepalive):
        assert len({count for count in trial["upstream"]["witnesses"].values() if count is not None}) == 1
        assert codes(trial) <= {"closes-first-reset"}
    assert short["upstream"]["requests_per_connection"] == 1.0


@pytest.mark.long
@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nginx@system", "nginx@wheel", "envoy"))
def test_a_limit_of_requests_per_connection_is_kept(subject: str, tmp_path: Path) -> None:
    limit = ("--mode", "keepalive", "--requests-per-connection", "10")
    (trial,) = trials(*BRIEF, *limit, "--subject", subject, root=tmp_path)
    opened, at_least = trial["upstream"]["connections_opened"], trial["upstream"]["requests_total"] / 10
    assert at_least <= opened <= at_least + 16  # whose last connection is not used up
    assert codes(trial) == set()


@pytest.mark.long
@needs.in_namespaces
@pytest.mark.parametrize("subject", needs.subjects("nginx@system", "nginx@wheel"))
def test_the_old_default_is_reported_as_the_race_that_it_is(subject: str, tmp_path: Path) -> None:
    (short,) = trials(
        *BRIEF, "--subject", subject, "--mode", "short", "--upstream-http", "1.0", root=tmp_path
    )
    assert (short["closes_first"], short["upstream"]["requests_per_connection"]) == ("race", 1.0)


@pytest.mark.long
@pytest.mark.parametrize("subject", needs.subjects(*EVERY))
def test_on_loopback_there_is_no_kernel_witness(subject: str, tmp_path: Path) -> None:
    short, keepalive = trials(*BRIEF, "--lab", "loopback", "--subject", subject, root=tmp_path)
    for trial in (short, keepalive):
        witnesses = trial["upstream"]["witnesses"]
        assert witnesses["kernel"] is None
        assert witnesses["subject"] in (None, witnesses["backend"])
        assert trial["requests"] > 0
    assert short["upstream"]["requests_per_connection"] == 1.0
    assert keepalive["upstream"]["requests_per_connection"] > 1


@pytest.mark.parametrize(
    ("named", "code", "message"),
    [
        ("nginx@/nowhere/nginx", 3, "nginx is not here as /nowhere/nginx"),
        ("nginx@/bin/sh", 2, "/bin/sh does not say which nginx it is"),
        ("asyncio@wheel", 2, "--subject asyncio@wheel goes with nginx, haproxy, envoy, caddy"),
    ],
)
def test_a_program_that_is_none_is_refused_before_anything_starts(
    named: str, code: int, message: str, tmp_path: Path
) -> None:
    done = bench_process.run("run", "--subject", named, "-o", tmp_path / "results")
    assert (done.returncode, done.stdout) == (code, "")
    assert f"--subject {named}" in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "results").exists()
