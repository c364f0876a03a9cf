"""tls, played small: which handshakes each way makes, and how the server's log is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.analysis.cases import Summary
from bench.runs.record import ScenarioRun
from bench.scenarios.tls import backend
from bench.scenarios.tls.backend import Handshakes
from bench.scenarios.tls.conclusion import conclude
from tests import bench_process, needs
from tests.scenarios.sample_scenario import trial

SMALL = ("--set", "concurrent=4", "--set", "warmup_s=0.3", "--set", "duration_s=0.5")
WAYS = ("plain-kept", "tls12-resumed", "tls13-new", "tls13-resumed", "tls13-kept")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    needs.need("nginx")
    variants = [word for variant in WAYS for word in ("--variant", variant)]
    answer = bench_process.scenario("tls", *SMALL, *variants, root=tmp_path_factory.mktemp("tls"))
    return {trial["variant"]: trial for trial in answer["trials"]}


@pytest.mark.long
@pytest.mark.parametrize("variant", WAYS)
def test_every_request_is_answered_and_all_witnesses_agree(trials: Any, variant: str) -> None:
    assert trials[variant]["figures"]["failed"] == 0
    assert trials[variant]["units"] > 0
    assert "witnesses-disagree" not in bench_process.codes(trials[variant])


@pytest.mark.long
def test_without_resumption_every_connection_costs_a_full_handshake(trials: Any) -> None:
    figures = trials["tls13-new"]["figures"]
    assert figures["resumed"] == 0
    assert figures["full"] == figures["server_connections"] >= trials["tls13-new"]["units"]


@pytest.mark.long
@pytest.mark.parametrize("variant", ["tls12-resumed", "tls13-resumed"])
def test_with_resumption_most_connections_resume(trials: Any, variant: str) -> None:
    figures = trials[variant]["figures"]
    assert figures["resumed"] > figures["full"] >= 1


def test_one_connection_after_the_other_always_finds_a_ticket_that_nobody_has_used(tmp_path: Path) -> None:
    needs.need("nginx")
    alone = ("--variant", "tls13-resumed", "--set", "concurrent=1")
    (trial,) = bench_process.scenario("tls", *SMALL[2:], *alone, root=tmp_path)["trials"]
    assert trial["figures"]["full"] == 1
    assert trial["figures"]["resumed"] == trial["figures"]["server_connections"] - 1 > 0


@pytest.mark.long
@pytest.mark.parametrize(("subject", "resumes"), [("haproxy", True), ("envoy", True), ("caddy", False)])
def test_other_proxies_speak_tls_with_servers(subject: str, resumes: bool, tmp_path: Path) -> None:
    needs.need(subject, "nginx")
    variants = ("--variant", "tls12-new", "--variant", "tls12-resumed", "--variant", "tls13-kept")
    answer = bench_process.scenario("tls", *SMALL, *variants, "--subject", subject, root=tmp_path)
    figures = {trial["variant"]: trial["figures"] for trial in answer["trials"]}
    assert not any(each["failed"] for each in figures.values())
    assert (figures["tls12-new"]["resumed"], figures["tls13-kept"]["server_connections"] <= 4) == (0, True)
    assert ("tls12-resumed" in figures) == resumes
    if resumes:
        assert figures["tls12-resumed"]["resumed"] > figures["tls12-resumed"]["full"] >= 1


@pytest.mark.long
def test_a_pool_shakes_hands_once_for_each_connection(trials: Any) -> None:
    figures = trials["tls13-kept"]["figures"]
    assert figures["full"] + figures["resumed"] == figures["server_connections"] <= 4


@pytest.mark.long
def test_no_tls_means_no_handshakes(trials: Any) -> None:
    assert trials["plain-kept"]["figures"]["full"] is None


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", Handshakes(0, 0, 0)),
        ("TLSv1.3 .\nTLSv1.3 r\nTLSv1.2 r\n", Handshakes(full=1, resumed=2, plain=0)),
        ("- -\n- .\n", Handshakes(full=0, resumed=0, plain=2)),
    ],
)
def test_the_log_says_how_each_connection_began(log: str, told: Handshakes) -> None:
    assert backend.read(log) == told


def test_an_unknown_key_is_refused_in_one_line(tmp_path: Path) -> None:
    done = bench_process.run("scenario", "run", "tls", "--set", "key=dsa", "-o", tmp_path)
    assert (done.returncode, "--set key=dsa is not one of ecdsa, rsa" in done.stderr) == (2, True)


def test_the_sentence_tells_each_proxy_that_does_all_three() -> None:
    cases = [("nginx", "new"), ("nginx", "resumed"), ("nginx", "kept"), ("caddy", "new"), ("caddy", "kept")]
    made = tuple(
        trial(at, f"tls13-{how}", subject, cpu_us_per_unit={"proxy": 1000.0 / at, "backend": 500.0 / at})
        for at, (subject, how) in enumerate(cases, 1)
    )
    said = conclude(Summary.of(ScenarioRun({"scenario": "tls"}, {}, "", trials=made)))
    assert said.endswith("a kept connection: by TLS 1.3 nginx 1,500 / 750 / 500.")
