"""Command lines and reports of other load generators."""

import pytest

from bench.errors import RoleError
from bench.load import tools
from bench.load.tools import TOOLS, ToolLoad, ToolReport
from bench.plan.run_plan import SECOND_OPINIONS

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
    ("wrk", WRK, ToolReport(45_188, 0, {50: 130, 90: 2130, 99: 1_500_000})),
    ("wrk", WRK_WRONG, ToolReport(60, 4361, {})),
    ("hey", HEY, ToolReport(701, 110, {50: 400, 99: 1_001_900})),
    ("ab", AB, ToolReport(785, 15, {50: 0, 99: 3000, 100: 12_000})),
    ("h2load", H2LOAD, ToolReport(790, 10, {100: 2500})),
]


@pytest.mark.parametrize(("tool", "report", "expected"), REPORTS)
def test_a_report_is_read(tool: str, report: str, expected: ToolReport) -> None:
    assert tools.parse_report(tool, report) == expected


@pytest.mark.parametrize("tool", TOOLS)
def test_a_report_that_is_none_is_refused(tool: str) -> None:
    with pytest.raises(RoleError, match=f"{tool}: printed no .*; stderr: oh dear"):
        tools.parse_report(tool, "usage:\noh dear\n")


COUNTED = ToolLoad("http://127.0.0.1:9/", 3, requests=7, flags=("--flag",))
TIMED = ToolLoad("http://127.0.0.1:9/", 3, duration_s=2)


@pytest.mark.parametrize(
    ("tool", "load", "argv"),
    [
        ("wrk", TIMED, "-t1 -c3 -d2s --latency --timeout 20s http://127.0.0.1:9/"),
        ("hey", TIMED, "-cpus 1 -c 3 -z 2s http://127.0.0.1:9/"),
        ("hey", COUNTED, "-cpus 1 -c 3 -n 7 --flag http://127.0.0.1:9/"),
        ("ab", TIMED, "-q -k -t 2 -n 100000000 -c 3 http://127.0.0.1:9/"),
        ("ab", COUNTED, "-q -k -n 7 -c 3 --flag http://127.0.0.1:9/"),
        ("h2load", COUNTED, "--h1 -t1 -c 3 -n 7 --flag http://127.0.0.1:9/"),
    ],
)
def test_the_command_line_of_a_tool(tool: str, load: ToolLoad, argv: str) -> None:
    assert TOOLS[tool].argv(load) == argv.split()


def test_plans_accept_every_tool() -> None:
    assert tuple(TOOLS) == SECOND_OPINIONS
