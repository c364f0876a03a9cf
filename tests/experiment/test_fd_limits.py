"""Whether the files that a plan needs are allowed is known before anything starts."""

from __future__ import annotations

import resource
from typing import Any

import pytest

from bench.errors import LabError
from bench.experiment import fd_limits
from bench.plan import run_plan as plans


@pytest.mark.parametrize(
    ("values", "role", "needed"),
    [
        ({}, "client", 128),
        ({}, "backend", 128),
        ({}, "proxy", 1_280),
        ({"load": {"connections": 9_000}}, "proxy", 19_152),
        ({"load": {"connections": 9_000, "workers": 4}}, "client", 2_314),
        ({"subject": {"target": "http://127.0.0.1/"}, "load": {"connections": 100}}, "client", 164),
    ],
)
def test_what_a_role_needs(values: dict[str, Any], role: str, needed: int) -> None:
    assert fd_limits.needed(plans.build(values))[role] == needed


def test_without_a_proxy_none_is_counted() -> None:
    assert set(fd_limits.needed(plans.build({"subject": {"name": "direct"}}))) == {"client", "backend"}


@pytest.mark.parametrize("limit", [1_280, resource.RLIM_INFINITY])
def test_what_fits_is_fine(limit: int) -> None:
    fd_limits.check(plans.build({}), limit)


def test_what_does_not_fit_is_refused_with_the_remedy() -> None:
    with pytest.raises(LabError) as caught:
        fd_limits.check(plans.build({"load": {"connections": 30_000}}), 20_000)
    for value in ("load.connections = 30000", "61,152", "20,000", "ulimit -Hn 61152", "--connections"):
        assert value in str(caught.value)
    assert caught.value.exit_code == 3


def test_the_soft_limit_is_raised_to_what_is_needed_and_no_further() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    plan = plans.build({"load": {"connections": 100}})
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        fd_limits.allow(plan)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1_352, hard)
        fd_limits.allow(plans.build({}))
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1_352, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
