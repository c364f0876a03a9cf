"""A plan as a command line, and back: what flags can say, they say, and nothing else is claimed."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.commands.plan_options import command
from bench.plan import run_plan as plans

PLANS: list[tuple[dict[str, Any], str]] = [
    ({}, "bench run"),
    (
        {"mode": "short", "closes_first": "backend", "trials": 5},
        "bench run --mode short --closes-first backend --trials 5",
    ),
    (
        {"subject": {"name": "nginx", "program": "/opt/nginx", "pool_idle": 0}},
        "bench run --subject nginx --program /opt/nginx --pool-idle 0",
    ),
    (
        {"load": {"rate": 2500.5, "warmup_s": 0.25, "client_mode": "short"}, "hosts": {"pin": False}},
        "bench run --rate 2500.5 --client-mode short --warmup 0.25s --no-pin",
    ),
    (
        {"hosts": {"ports": 2000, "sysctls": {"net.ipv4.tcp_tw_reuse": "1", "net.core.somaxconn": "9 9"}}},
        "bench run --ports 2000 --sysctl net.ipv4.tcp_tw_reuse=1 --sysctl 'net.core.somaxconn=9 9'",
    ),
    (
        {"backend": {"delay": "uniform:1ms-2ms", "idle_timeout_s": 90.0, "fail": "reset:100"}},
        "bench run --delay uniform:1ms-2ms --backend-idle-timeout 90s --fail reset:100",
    ),
]


@pytest.mark.parametrize(("values", "said"), PLANS)
def test_a_plan_is_said_in_flags_that_ask_for_it(values: dict[str, Any], said: str) -> None:
    asked = plans.build(values)
    # As a result holds it: plain values, and no more than those.
    assert command(json.loads(json.dumps(asked.to_json()))) == said
    done = CliRunner().invoke(bench, ["plan", "--json", *shlex.split(said)[2:]])
    assert json.loads(done.output) == json.loads(json.dumps(asked.to_json()))


@pytest.mark.parametrize("values", [{"subject": {"idiom": "snippet"}}, {"subject": {"of_tomorrow": 1}}])
def test_what_no_flag_can_say_is_not_claimed(values: dict[str, Any]) -> None:
    asked = plans.build({}).to_json()
    assert command({**asked, "subject": {**asked["subject"], **values["subject"]}}) is None
