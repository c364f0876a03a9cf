"""What other load generators print, and what we read out of it."""

import shutil

import pytest

from bench.errors import RoleError
from bench.load import external
from bench.load.external import Load, Opinion
from load.scripted import answering, serving

WRK = """Running 1s test @ http://127.0.0.1:9779/
  Latency Distribution
     50%  130.00us
     90%    2.13ms
     99%    1.50s
  45188 requests in 1.00s, 6.42MB read
"""
WRK_WRONG = """  100 requests in 1.00s, 6.42MB read
  Socket errors: connect 1, read 20, write 300, timeout 4000
  Non-2xx or 3xx responses: 40
"""
HEY = """
Latency distribution:
  50% in 0.0004 secs
  99% in 1.0019 secs

Status code distribution:
  [200]\t700 responses
  [302]\t1 responses
  [502]\t99 responses

Error distribution:
  [8]\tGet "http://127.0.0.1:9/": dial tcp 127.0.0.1:9: connect: connection refused
  [3]\tGet "http://127.0.0.1:9/": EOF
"""
AB = """Complete requests:      800
Failed requests:        10
Non-2xx responses:      5
Keep-Alive requests:    800

Percentage of the requests served within a certain time (ms)
  50%      0
  99%      3
 100%     12 (longest request)
"""
H2LOAD = """requests: 800 total, 800 started, 800 done, 790 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 780 2xx, 10 3xx, 4 4xx, 6 5xx
time for request:       73us      2.50ms       127us        36us    72.13%
"""

REPORTS = [
    ("wrk", WRK, Opinion("wrk", 45_188, 0, {50: 130, 90: 2130, 99: 1_500_000})),
    ("wrk", WRK_WRONG, Opinion("wrk", 60, 4361, {})),
    ("hey", HEY, Opinion("hey", 701, 110, {50: 400, 99: 1_001_900})),
    ("ab", AB, Opinion("ab", 785, 15, {50: 0, 99: 3000, 100: 12_000})),
    ("h2load", H2LOAD, Opinion("h2load", 790, 10, {100: 2500})),
]


@pytest.mark.parametrize(("tool", "report", "opinion"), REPORTS)
def test_a_report_is_read(tool: str, report: str, opinion: Opinion) -> None:
    assert external.read(tool, report) == opinion


@pytest.mark.parametrize("tool", external.TOOLS)
def test_a_report_that_is_none_is_refused(tool: str) -> None:
    with pytest.raises(RoleError, match=f"{tool}: printed no .*; it said: oh dear"):
        external.read(tool, "usage:\noh dear\n")


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert external.missing(list(external.TOOLS)) == list(external.TOOLS)
    with pytest.raises(RoleError, match="wrk: is not installed"):
        external.run("wrk", Load("http://127.0.0.1:9/", 1, duration_s=1))


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_cannot_count() -> None:
    with pytest.raises(RoleError, match="give it a duration"):
        external.run("wrk", Load("http://127.0.0.1:9/", 1, requests=5))


@pytest.mark.parametrize("tool", external.TOOLS)
def test_each_tool_agrees_with_the_server(tool: str) -> None:
    if external.missing([tool]):
        pytest.skip(f"{tool} is not installed")

    # Their requests carry no identity, and their connections are asked for in their own ways.
    fixed = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
    with serving(answering(lambda _: fixed)) as server:
        load = Load(f"http://127.0.0.1:{server.port}/", 2, requests=40)
        if tool == "wrk":
            load = Load(load.url, 2, duration_s=1)
        opinion = external.run(tool, load)
    assert opinion.errors == 0
    # A tool that goes by time leaves what is under way at its end.
    assert 0 <= len(server.seen) - opinion.requests <= (2 if tool == "wrk" else 0)
    assert opinion.latency_us


@pytest.mark.parametrize("tool", ["wrk", "ab"])
def test_a_tool_that_fails_says_why(tool: str) -> None:
    if external.missing([tool]):
        pytest.skip(f"{tool} is not installed")
    with pytest.raises(RoleError, match=r"(?i)exit code .* refused"):
        external.run(tool, Load("http://127.0.0.1:9/", 1, duration_s=1))
