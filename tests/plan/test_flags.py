"""A plan as a command line, and back: what flags can say, they say, and nothing else is claimed."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench.cli import bench
from bench.plan import run_plan as plans
from bench.plan.flags import FLAGS, REPEATABLE, Flag, format_command

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
    assert format_command(json.loads(json.dumps(asked.to_json()))) == said
    done = CliRunner().invoke(bench, ["plan", "--json", *shlex.split(said)[2:]])
    assert json.loads(done.output) == json.loads(json.dumps(asked.to_json()))


@pytest.mark.parametrize("values", [{"subject": {"idiom": "snippet"}}, {"subject": {"of_tomorrow": 1}}])
def test_what_no_flag_can_say_is_not_claimed(values: dict[str, Any]) -> None:
    asked = plans.build({}).to_json()
    assert format_command({**asked, "subject": {**asked["subject"], **values["subject"]}}) is None


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_a_flag_bears_the_name_of_its_key(flag: Flag) -> None:
    section, _, key = flag.key.rpartition(".")
    plan = plans.Plan().to_json()
    assert key in (plan[section] if section else plan)
    bare = key.removesuffix("_s")
    names = {bare, f"{section}_{bare}", bare.removesuffix("s") if flag.kind in REPEATABLE else bare}
    names |= {section} if key == "name" else set()
    assert flag.name.removeprefix("--").replace("-", "_") in names


def test_each_key_has_one_flag_and_each_flag_a_name_of_its_own() -> None:
    keys = {
        f"{section}.{key}" if key else section
        for section, held in plans.Plan().to_json().items()
        for key in (held if isinstance(held, dict) else [""])
    }
    assert sorted(flag.key for flag in FLAGS) == sorted(keys - {"subject.idiom"})
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_the_commands_offer_these_flags(command: str) -> None:
    loaded = bench.get_command(click.Context(bench), command)
    assert loaded is not None
    offered = {name for each in loaded.params for name in each.opts if name.startswith("--")}
    assert {flag.name for flag in FLAGS} | {"--workers", "--json"} <= offered
    others = {"--workers", "--json", "--output", "--quiet", "--until", "--require", "--time-limit"}
    assert offered - {flag.name for flag in FLAGS} <= others
