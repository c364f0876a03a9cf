"""`bench check --probe` and `bench fix --probe`: what was measured, and whose servers are meant."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.commands import probed
from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeResult
from tests import command_line
from tests.probe.behaviours import Behaviour, behaving

TEXT = """\
upstream app { server 10.0.0.1:8080; keepalive 32; }
upstream api { server 10.0.0.2; keepalive 32; }
server {
    proxy_http_version 1.1; proxy_set_header Connection "";
    location / { proxy_pass http://app; }
    location /api/ { proxy_pass http://api; }
}
"""
FOUND = ProbeResult(
    "10.0.0.1:8080",
    "10.0.0.1",
    8080,
    "/",
    cases=(KeepAliveCase("HTTP/1.1 GET", True),),
    idle=IdleTimeout(4.98, 5.02, (4.98, 5.02), Ending.FIN),
    max_requests=100,
)
NEWEST = ("--nginx-version", "1.31.4")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "nginx.conf").write_text(TEXT)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    write(FOUND)
    return tmp_path


def write(found: ProbeResult, name: str = "probe.json") -> None:
    Path(name).write_text(json.dumps(found.to_json()))


def findings(*args: str) -> list[dict[str, Any]]:
    done = command_line.run("check", "nginx.conf", "--format", "json", *NEWEST, *args)
    assert not done.stderr
    return list(json.loads(done.stdout)["findings"])


def lines_of(rule: str, *args: str) -> list[int]:
    return [each["line"] for each in findings(*args) if each["rule"] == rule]


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (["probe.json"], [1]),
        (["app=probe.json"], [1]),
        (["api=probe.json"], [2]),
        (["API=probe.json"], [2]),
        (["10.0.0.2:80=probe.json"], [2]),
        (["app=probe.json", "api=probe.json"], [1, 2]),
    ],
)
@pytest.mark.parametrize("rule", ["NK021", "NK059"])
def test_whose_servers_a_file_is_about(given: list[str], lines: list[int], rule: str, folder: Path) -> None:
    assert lines_of(rule, *(arg for each in given for arg in ("--probe", each))) == lines


def test_the_finding_says_what_was_measured(folder: Path) -> None:
    done = command_line.run("check", "nginx.conf", *NEWEST, "--probe", "probe.json")
    assert "4.98..5.02 s" in done.stdout
    assert "measured by a probe of 10.0.0.1:8080" in " ".join(done.stdout.split())
    assert "keepalive_timeout 4s;" in done.stdout


def test_measured_counts_more_than_given(folder: Path) -> None:
    write(replace(FOUND, idle=IdleTimeout(90.0, 90.4, (90.0, 90.4), Ending.FIN)))
    assert lines_of("NK021", "--backend-idle", "node") == [1, 2]
    assert lines_of("NK021", "--backend-idle", "node", "--probe", "probe.json") == [2]


def test_an_address_is_probed_only_where_it_is_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def probe(source: str) -> ProbeResult:
        asked.append(source)
        return FOUND

    monkeypatch.setattr(probed, "_probe", probe)
    assert lines_of("NK021", "--probe", "probe.json") == [1]
    assert asked == []
    assert lines_of("NK021", "--probe", "10.0.0.1:8080") == [1]
    assert lines_of("NK021", "--probe", "api=http://10.0.0.9/health") == [2]
    assert asked == ["10.0.0.1:8080", "http://10.0.0.9/health"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere", "nowhere: it names no port"),
        ("nowhere.json", "'nowhere.json': there is no such file; write it with `bench probe --json`"),
        ("app=/no/where", "'app=/no/where': there is no such file"),
        ("app=", "'app=' names no server behind the ="),
        ("=probe.json", "names no upstream before the ="),
        ("other=probe.json", "--probe other=probe.json: nothing here passes to other"),
        ("10.0.0.9:80", "nothing here passes to 10.0.0.9:80"),
        ("nginx.conf", "--probe nginx.conf: cannot be read"),
    ],
)
def test_a_mistake_is_one_line(
    given: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probed, "_probe", lambda source: pytest.fail(f"{source} was probed"))
    done = command_line.run("check", "nginx.conf", "--probe", given)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_stranger_is_told_the_choices(folder: Path) -> None:
    write(replace(FOUND, host="192.0.2.1"))
    done = command_line.run("check", "nginx.conf", "--probe", "probe.json")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "bench: --probe probe.json: nothing here passes to 192.0.2.1:8080; name whose server it is, as "
        "app=probe.json; here are app, api, 10.0.0.1:8080, 10.0.0.2"
    ]


def test_a_server_that_ended_nothing_is_told(folder: Path) -> None:
    write(replace(FOUND, idle=IdleTimeout(120.005, None)))
    done = command_line.run("check", "nginx.conf", *NEWEST, "--probe", "probe.json", "--backend-idle", "5s")
    assert done.stderr.splitlines() == [
        "bench: 10.0.0.1:8080 ended no connection within 120 idle seconds: it does so later, or never"
    ]
    assert "idles for 60 s, its servers 5 s" in done.stdout  # of the other one


@pytest.mark.parametrize(("waited_s", "lines"), [(3.0, [1, 2]), (20.0, [2])])
def test_a_wait_without_an_end_refutes_only_a_shorter_time(
    waited_s: float, lines: list[int], folder: Path
) -> None:
    write(replace(FOUND, idle=IdleTimeout(waited_s, None)))
    args = (*NEWEST, "--probe", "probe.json", "--backend-idle", "5s", "--format", "json")
    done = command_line.run("check", "nginx.conf", *args)
    assert [each["line"] for each in json.loads(done.stdout)["findings"] if each["rule"] == "NK021"] == lines


def test_an_idle_time_that_did_not_show_changes_nothing(folder: Path) -> None:
    write(replace(FOUND, idle=None, max_requests=None, cases=(KeepAliveCase("HTTP/1.1 GET", True),)))
    args = (*NEWEST, "--probe", "probe.json", "--backend-idle", "5s", "--format", "json")
    done = command_line.run("check", "nginx.conf", *args)
    assert "for how long did not show; probe it again" in done.stderr
    found = json.loads(done.stdout)
    assert [each["line"] for each in found["findings"] if each["rule"] == "NK021"] == [1, 2]
    assert found["locations"][0]["verdicts"]["1.31.4"]["verdict"] == "reused"


def test_a_server_that_closes_is_not_reused(folder: Path) -> None:
    write(replace(FOUND, idle=None, cases=(KeepAliveCase("HTTP/1.1 GET", False),)))
    done = command_line.run("check", "nginx.conf", *NEWEST, "--probe", "probe.json", "--format", "json")
    verdicts = [each["verdicts"]["1.31.4"]["verdict"] for each in json.loads(done.stdout)["locations"]]
    assert (done.exit_code, verdicts) == (1, ["not reused", "reused"])


def test_fix_sizes_the_pool_by_it(folder: Path) -> None:
    Path("nginx.conf").write_text(TEXT.replace("keepalive 32;", ""))
    done = command_line.run("fix", "nginx.conf", "--nginx-version", "1.22.1", "--probe", "probe.json")
    assert done.exit_code == 0
    app, api = (line for line in done.stdout.splitlines() if line.startswith("+upstream"))
    assert all(line in app for line in ("keepalive 32;", "keepalive_timeout 4s;", "keepalive_requests 100;"))
    assert "keepalive 32;" in api
    assert "keepalive_timeout" not in api


def test_fix_takes_the_server_of_a_literal_target(folder: Path) -> None:
    Path("nginx.conf").write_text(TEXT.replace("http://app", "http://10.0.0.3:3000"))
    write(replace(FOUND, host="10.0.0.3", port=3000))
    done = command_line.run("fix", "nginx.conf", "--nginx-version", "1.22.1", "--probe", "probe.json")
    assert done.exit_code == 0
    assert "keepalive_timeout 4s;" in done.stdout


@pytest.mark.long
def test_a_server_is_measured_now(folder: Path) -> None:
    with behaving(Behaviour(idle_s=0.6)) as kept:
        address = f"127.0.0.1:{kept.server.port}"
        Path("nginx.conf").write_text(TEXT.replace("10.0.0.1:8080", address))
        found = next(each for each in findings("--probe", address) if each["rule"] == "NK021")
    times = re.search(r"its servers ([\d.]+)\.\.([\d.]+) s \(measured by a probe of", found["message"])
    assert times is not None, found["message"]
    low_s, high_s = map(float, times.groups())
    assert low_s - 0.5 <= 0.6 <= high_s + 0.5
    assert "keepalive_timeout" in found["fix"]
