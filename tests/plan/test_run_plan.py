"""What a plan may say, and how it says no."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.errors import PlanError
from bench.plan import run_plan, toml
from bench.plan.run_plan import ClosesFirst, Mode


def test_an_empty_plan_is_the_default_run() -> None:
    asked = run_plan.build({})
    assert asked.modes == (Mode.SHORT, Mode.KEEPALIVE)
    assert (asked.load.connections, asked.trials) == (64, 6)
    assert (asked.load.warmup_s, asked.load.duration_s) == (0.5, 2.5)
    assert (asked.subject.name, asked.closes_first, asked.pool_idle) == ("asyncio", ClosesFirst.PROXY, 64)


def test_a_plan_survives_its_own_json() -> None:
    asked = run_plan.build({"mode": "short", "load": {"duration_s": 3}, "hosts": {"sysctls": {"a.b": 1}}})
    assert run_plan.build(asked.to_json()) == asked


def test_flags_win_over_the_file_key_by_key() -> None:
    merged = toml.merge({"trials": 2, "load": {"connections": 8, "rate": 5}}, {"load": {"connections": 9}})
    assert merged == {"trials": 2, "load": {"connections": 9, "rate": 5}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"mode": "long"}, "mode = 'long' is not one of short, keepalive, both"),
        ({"colour": 1}, "unknown key colour"),
        ({"load": {"conections": 1}}, "unknown key load.conections; known here: connections,"),
        ({"load": 3}, "load = 3 is not a table"),
        ({"load": {"connections": "many"}}, "load.connections = 'many' is not a whole number"),
        ({"load": {"connections": 0}}, "load.connections = 0 must be at least 1"),
        ({"load": {"connections": 2.5}}, "load.connections = 2.5 is not a whole number"),
        ({"load": {"connections": True}}, "load.connections = True is not a whole number"),
        ({"load": {"duration_s": 0}}, "load.duration_s = 0 must be a number above 0"),
        ({"load": {"duration_s": float("inf")}}, "load.duration_s = inf is not a finite number"),
        ({"load": {"duration_s": float("nan")}}, "load.duration_s = nan is not a finite number"),
        ({"load": {"warmup_s": -1}}, "load.warmup_s = -1 must be between 0 and 86,400"),
        ({"load": {"workers": 9, "connections": 8}}, "each worker needs a connection"),
        ({"load": {"rate": -3}}, "load.rate = -3 must be a number above 0"),
        ({"subject": {"name": "squid"}}, "subject.name = 'squid' is not one of asyncio"),
        ({"subject": {"upstream_http": "2"}}, "subject.upstream_http = '2' is not one of 1.0, 1.1"),
        ({"subject": {"pool_idle": -1}}, "subject.pool_idle = -1 must be 0 or more"),
        ({"subject": {"target": "localhost"}}, "must be an http:// or https:// URL"),
        ({"backend": {"delay": "slow"}}, "backend.delay = 'slow' is not understood; write 5ms"),
        ({"backend": {"close": "later"}}, "backend.close = 'later' is not understood"),
        ({"backend": {"fail": "reset:0"}}, "backend.fail = 'reset:0' is not understood"),
        ({"backend": {"response_size": "big"}}, "backend.response_size: 'big' is not a size"),
        ({"backend": {"response_size": "9-3"}}, "starts above its end"),
        ({"backend": {"response_size": "9" * 400}}, "is not a size"),
        ({"load": {"rate": 10**400}}, "load.rate is a whole number of 1,329 bits; the most are 63"),
        ({"load": {"second_opinion": "siege"}}, "'siege' is not one of wrk, hey, ab, h2load"),
        ({"load": {"second_opinion": "wrk", "method": "POST"}}, "set load.method = 'GET'"),
        ({"load": {"second_opinion": "wrk", "client_mode": "short"}}, "over connections that it keeps"),
        ({"load": {"second_opinion": "wrk"}, "subject": {"name": "direct"}}, "(subject direct: mode)"),
        ({"hosts": {"ports": 3}}, "hosts.ports = 3 must be between 16 and 64511"),
        ({"hosts": {"backend_addresses": 999}}, "go up to 200"),
        ({"hosts": {"ports": 2000}, "lab": "loopback"}, "use --lab namespaces"),
        ({"hosts": {"sysctls": "x"}}, "hosts.sysctls = 'x' is not a table"),
    ],
)
def test_nonsense_is_refused_by_key_value_and_remedy(values: dict[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=re.escape(says)):
        run_plan.build(values)


@pytest.mark.parametrize(
    ("text", "bounds"),
    [("2", (2, 2)), ("100KiB", (102400, 102400)), ("1KiB-64KiB", (1024, 65536)), ("0", (0, 0))],
)
def test_a_response_has_bounds(text: str, bounds: tuple[int, int]) -> None:
    assert run_plan.build({"backend": {"response_size": text}}).backend.response_bytes == bounds


@pytest.mark.parametrize(
    "text", [b"mode = ", b"\xff\xfe", b"x = " + b"[" * 3000 + b"]" * 3000, b"trials = " + b"9" * 5000]
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "plan.toml"
    path.write_bytes(text)
    with pytest.raises(PlanError, match=re.escape(str(path))):
        toml.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="No such file"):
        toml.load(tmp_path / "none.toml")
