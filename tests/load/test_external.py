"""Other load generators against a scripted server, run here and as a role."""

import json
import subprocess
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from bench.errors import RoleError
from bench.load import external
from bench.load.external import ARGV, ToolRun
from bench.load.tools import TOOLS, ToolLoad, ToolReport
from tests import needs
from tests.load.scripted import answering, serving


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert external.missing(list(TOOLS)) == list(TOOLS)
    with pytest.raises(RoleError, match="wrk: is not installed"):
        external.run("wrk", ToolLoad("http://127.0.0.1:9/", 1, duration_s=1))


@needs.program("wrk")
def test_wrk_cannot_count() -> None:
    with pytest.raises(RoleError, match="give it a duration"):
        external.run("wrk", ToolLoad("http://127.0.0.1:9/", 1, requests=5))


@pytest.mark.parametrize("tool", TOOLS)
def test_each_tool_agrees_with_the_server(tool: str) -> None:
    needs.need(tool)

    # Their requests carry no identity, and their connections are asked for in their own ways.
    fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
    with serving(answering(lambda _: fixed)) as server:
        load = ToolLoad(f"http://127.0.0.1:{server.port}/", 2, requests=40)
        if tool == "wrk":
            load = ToolLoad(load.url, 2, duration_s=1)
        tool_run = external.run(tool, load)
    assert tool_run.report.errors == 0
    # A tool that goes by time leaves what is under way at its end.
    assert 0 <= len(server.seen) - tool_run.report.requests <= (2 if tool == "wrk" else 0)
    assert tool_run.report.latency_us
    assert tool_run.cpu_s > 0
    assert tool_run.wall_s > 0


@pytest.mark.parametrize("tool", ["wrk", "ab"])
def test_a_failing_tool_gives_the_reason(tool: str) -> None:
    needs.need(tool)
    with pytest.raises(RoleError, match=r"(?i)exit code .* refused"):
        external.run(tool, ToolLoad("http://127.0.0.1:9/", 1, duration_s=1))


def test_a_tool_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = tmp_path / "wrk"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(RoleError, match=r"wrk: still runs after 0\.05 s"):
        external.run("wrk", ToolLoad("http://127.0.0.1:9/", 1, duration_s=1), timeout_s=0.05)


def run_role(job: dict[str, object]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(ARGV, input=json.dumps(job) + "\n", capture_output=True, text=True, check=False)


@needs.program("ab")
def test_the_role_writes_the_result() -> None:
    fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
    with serving(answering(lambda _: fixed)) as server:
        load = {"url": f"http://127.0.0.1:{server.port}/", "connections": 2, "requests": 40}
        ran = run_role({"command": "job", "tool": "ab", "load": load, "timeout_s": 60.0})
    assert ran.stderr == ""
    tool_run = ToolRun.from_json(json.loads(ran.stdout))
    assert (tool_run.tool, tool_run.report.requests, tool_run.report.errors) == ("ab", 40, 0)
    assert 100.0 in tool_run.report.latency_us
    assert tool_run.requests_per_s > 0


@needs.program("ab")
def test_the_role_gives_an_error_in_one_line() -> None:
    load = {"url": "http://127.0.0.1:9/", "connections": 1, "requests": 1}
    ran = run_role({"command": "job", "tool": "ab", "load": load, "timeout_s": 60.0})
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr.startswith("ab: ended with exit code")
    assert ran.stderr.count("\n") == 1


def test_a_run_survives_the_pipe() -> None:
    tool_run = ToolRun("wrk", ToolReport(10, 1, {50.0: 130.0, 99.9: 2.5}), wall_s=2.0, cpu_s=0.001)
    assert ToolRun.from_json(json.loads(json.dumps({"event": "done"} | tool_run.to_json()))) == tool_run
    assert (tool_run.requests_per_s, tool_run.cpu_us_per_request) == (5.0, 100.0)
    assert ToolRun("wrk", ToolReport(0, 1, {}), 2.0, 0.001).cpu_us_per_request is None


GOOD = {
    "tool": "ab",
    "load": {"url": "http://127.0.0.1:9/", "connections": 1, "requests": 1},
    "timeout_s": 1.0,
}


@pytest.mark.parametrize(
    "job",
    [
        [],
        {},
        GOOD | {"tool": "rm"},
        GOOD | {"tool": ["ab"]},
        GOOD | {"load": 7},
        GOOD | {"load": {"url": "http://127.0.0.1:9/", "connections": 1}},
        GOOD | {"load": {"url": "http://127.0.0.1:9/", "connections": 1, "requests": 1e9}},
        GOOD | {"load": {"url": "http://127.0.0.1:9/", "connections": 1, "requests": 1, "flags": "-v"}},
        GOOD | {"timeout_s": float("inf")},
        GOOD | {"timeout_s": 10**400},
        GOOD | {"colour": 1},
    ],
    ids=str,
)
def test_the_role_rejects_what_is_not_a_job_in_one_line(
    job: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(json.dumps(job).encode() + b"\n")))
    assert external.main() == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("client: the first line is not a job: ")
    assert said.err.count("\n") == 1
