"""`bench run`, end to end: real proxies, real sockets, real TIME_WAIT, counted by every witness."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import bench_process, needs
from tests.bench_process import codes, trials

BRIEF = ("--trials", "1", "--warmup", "200ms", "--duration", "800ms", "--connections", "16")


def witnesses(trial: dict[str, Any]) -> set[int]:
    """Return the different counts of the witnesses that exist."""
    return {count for count in trial["upstream"]["witnesses"].values() if count is not None}


@needs.in_namespaces
@pytest.mark.parametrize("closes_first", ["proxy", "backend"])
def test_both_modes_are_what_they_say_and_three_witnesses_agree(closes_first: str, tmp_path: Path) -> None:
    short, keepalive = trials(*BRIEF, "--lab", "namespaces", "--closes-first", closes_first, root=tmp_path)
    for trial in (short, keepalive):
        assert codes(trial) == set()
        assert None not in trial["upstream"]["witnesses"].values()
        assert len(witnesses(trial)) == 1
        assert trial["requests"] > 0
        assert set(trial["errors"].values()) == {0}
    assert short["upstream"]["requests_per_connection"] == 1.0
    assert (short["closes_first"], keepalive["closes_first"]) == (closes_first, None)
    assert keepalive["upstream"]["connections_opened"] == keepalive["upstream"]["connections_needed"] == 16


@needs.in_namespaces
def test_a_proxy_that_closes_first_holds_a_time_wait_for_every_connection(tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--mode", "short", "--closes-first", "proxy", root=tmp_path)
    assert short["time_wait"]["proxy"]["end"] == short["upstream"]["connections_opened"]
    assert short["time_wait"]["backend"]["end"] == 0


@needs.in_namespaces
def test_a_backend_that_closes_first_holds_them_all_and_the_proxy_none(tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--mode", "short", "--closes-first", "backend", root=tmp_path)
    # The proxy's ports are free at once: one that is taken again replaces its entry on the other side.
    assert 0 < short["time_wait"]["backend"]["end"] <= short["upstream"]["connections_opened"]
    assert short["time_wait"]["proxy"]["end"] == 0


@needs.in_namespaces
def test_the_end_of_the_ports_is_seen_named_and_no_throughput(tmp_path: Path) -> None:
    limits = ("--mode", "short", "--ports", "40")
    (short,) = trials(*BRIEF, *limits, root=tmp_path, program=bench_process.ARGV)  # it can be drawn, too
    assert len(list(tmp_path.glob("*/picture.svg"))) == 1
    assert short["ports"]["range"] == short["ports"]["tuples"] == short["ports"]["used_peak"] == 40
    assert short["ports"]["exhausted_s"] is not None
    assert short["ports"]["half_range_passed_s"] <= short["ports"]["exhausted_s"]
    assert short["upstream"]["connections_opened"] == 40
    assert short["upstream"]["errors"]["address_exhausted"] > 0
    assert short["errors"]["status"] > 0
    assert short["requests"] <= 40
    empty = {"empty-window"} if short["requests"] == 0 else set()
    assert codes(short) == {"errors"} | empty
    assert not (empty and short["valid"])


@needs.in_namespaces
@pytest.mark.parametrize("remedy", [("--proxy-addresses", "3"), ("--backend-addresses", "3")])
def test_more_addresses_are_more_tuples(remedy: tuple[str, str], tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--mode", "short", "--ports", "20", *remedy, root=tmp_path)
    assert short["ports"]["tuples"] == 60
    assert short["upstream"]["connections_opened"] == 60


@needs.in_namespaces
def test_a_limit_of_requests_per_connection_opens_as_many_as_it_needs(tmp_path: Path) -> None:
    limit = ("--requests-per-connection", "10")
    (keepalive,) = trials(*BRIEF, "--mode", "keepalive", *limit, root=tmp_path)
    upstream = keepalive["upstream"]
    assert codes(keepalive) == set()
    assert upstream["connections_opened"] >= upstream["requests_total"] / 10


SELDOM = ("--warmup", "0", "--duration", "1s", "--trials", "1", "--connections", "1", "--rate", "8")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_backend_that_closes_idle_connections_first_is_seen(method: str, tmp_path: Path) -> None:
    """A request every 125 ms finds that the backend has waited for 20 ms and gone: no race, but the price.

    Requests that a busy machine sends late may come together and share a connection.
    """
    flags = ("--method", method, "--backend-idle-timeout", "20ms")
    (keepalive,) = trials(*SELDOM, "--mode", "keepalive", *flags, root=tmp_path)
    upstream = keepalive["upstream"]
    assert codes(keepalive) == {"idle-race"}
    opened = upstream["connections_opened"]
    assert 1 < opened <= upstream["requests_total"] <= 8
    assert opened - 1 <= upstream["lost"] <= opened  # the last one may outlast the trial
    assert set(keepalive["errors"].values()) == {0}


def test_a_pool_that_closes_them_before_the_backend_does_has_no_race(tmp_path: Path) -> None:
    flags = ("--pool-idle-timeout", "20ms", "--backend-idle-timeout", "10s")
    (keepalive,) = trials(*SELDOM, "--mode", "keepalive", *flags, root=tmp_path)
    assert codes(keepalive) == {"pool-expired"}
    assert 1 < keepalive["upstream"]["connections_opened"] <= keepalive["upstream"]["requests_total"] <= 8
    assert keepalive["upstream"]["lost"] == 0


def test_loopback_warns_that_it_has_no_kernel_witness(tmp_path: Path) -> None:
    short, keepalive = trials(*BRIEF, "--lab", "loopback", root=tmp_path)
    for trial in (short, keepalive):
        assert trial["upstream"]["witnesses"]["kernel"] is None
        assert len(witnesses(trial)) == 1
        assert "lab" in {warning["code"] for warning in trial["warnings"]}
        assert codes(trial) == set()


def test_without_a_proxy_the_mode_is_that_of_the_clients(tmp_path: Path) -> None:
    short, keepalive = trials(*BRIEF, "--subject", "direct", root=tmp_path)
    assert (short["closes_first"], short["upstream"]["requests_per_connection"]) == ("client", 1.0)
    assert keepalive["upstream"]["connections_opened"] == 16
    assert codes(short) == codes(keepalive) == set()
    assert keepalive["cpu_us_per_request"]["proxy"] is None
    assert (keepalive["memory_mib"]["proxy"], keepalive["time_wait"]["proxy"]["peak"]) == (None, None)


def test_a_server_that_runs_already_can_be_loaded(tmp_path: Path) -> None:
    argv = [bench_process.ARGV[0], "-m", "backends", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["listen"][0]
        target = ("--target", f"http://{address}/")
        try:
            (keepalive,) = trials(*BRIEF, "--mode", "keepalive", *target, root=tmp_path)
        finally:
            server.kill()
    assert keepalive["subject"]["name"] == "target"
    assert keepalive["requests"] > 0


def test_a_plan_file_is_run_and_flags_win(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('mode = "short"\ntrials = 3\n[load]\nduration_s = 0.5\nwarmup_s = 0\nconnections = 4\n')
    (short,) = trials(plan, "--trials", "1", "--lab", "loopback", root=tmp_path)
    assert (short["mode"], short["duration_s"]) == ("short", 0.5)


def test_ctrl_c_keeps_what_was_measured_and_marks_it(tmp_path: Path) -> None:
    arguments = ("run", "--json", "--duration", "60s", "--warmup", "0", "-o", tmp_path)
    with bench_process.started(*arguments) as process:
        while not has_load(process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=bench_process.TIMEOUT_S)
    assert process.returncode == 130, stderr
    (trial,) = json.loads(stdout)["trials"]
    assert trial["interrupted"] is True
    assert codes(trial) == set()
    (written,) = tmp_path.glob("*/run.jsonl")
    assert json.loads(written.read_text().splitlines()[1])["interrupted"] is True


def has_load(pid: int) -> bool:
    """Return whether a load worker of the process `pid` has connections of its own."""
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if "bench.load" in child.cmdline() and child.num_fds() > 20:
                return True
    return False


@pytest.mark.parametrize(
    "subject",
    [
        "asyncio",
        pytest.param("direct", marks=pytest.mark.long),
        *needs.subjects(long=("nginx", "haproxy", "nghttpx", "envoy", "caddy")),
    ],
)
def test_the_clients_speak_tls_to_whatever_proxy(subject: str, tmp_path: Path) -> None:
    hops = () if subject in ("direct", "nghttpx") else ("--upstream-tls",)
    sessions = ("--no-upstream-tls-sessions",) if subject == "caddy" else ()
    flags = ("--subject", subject, "--mode", "keepalive", "--tls", *hops, *sessions)
    (kept,) = trials(*BRIEF, *flags, root=tmp_path)
    assert kept["requests"] > 0
    assert set(kept["errors"].values()) == {0}
    assert kept["tls"]["full"] + kept["tls"]["resumed"] == 16
    assert kept["upstream"]["connections_opened"] <= 16
    assert all(name.startswith("TLSv1.3") for name in kept["tls"]["negotiated"])


@pytest.mark.parametrize(
    "subject", ["asyncio", *needs.subjects(long=("nginx", "haproxy", "nghttpx", "envoy", "caddy"))]
)
def test_streams_of_http2_take_an_upstream_connection_each(subject: str, tmp_path: Path) -> None:
    flags = ("--subject", subject, "--mode", "keepalive", "--tls", "--http2", "--streams", "2")
    (kept,) = trials(*BRIEF, *flags, root=tmp_path)
    assert kept["requests"] > 0
    assert set(kept["errors"].values()) == {0}
    assert kept["tls"]["full"] + kept["tls"]["resumed"] == 16
    assert kept["upstream"]["connections_opened"] <= kept["upstream"]["connections_needed"] == 32


def test_new_upstream_connections_over_tls_are_as_many_as_the_requests(tmp_path: Path) -> None:
    (short,) = trials(*BRIEF, "--mode", "short", "--upstream-tls", root=tmp_path)
    assert short["requests"] > 0
    assert set(short["errors"].values()) == {0}
    assert short["tls"] is None
    assert short["upstream"]["requests_per_connection"] == 1.0
