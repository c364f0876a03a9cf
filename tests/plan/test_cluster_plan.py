"""What names a scheduler in a plan, and what is told before anything is tried."""

from __future__ import annotations

import pytest

from bench.errors import PlanError
from bench.plan import cluster_plan
from bench.plan.cluster_plan import Cluster
from bench.plan.run_plan import Plan

USABLE = (
    "tcp://10.0.0.1:8786",
    "tls://scheduler.example:8786",
    "tls://[fd00::1]:8786",
    "tls://[fe80::1%eth0]:8786",
    "tcp://load_1:8786",
    "cluster.json",
    "/run/user/0/cluster.json",
    "./10.0.0.1:8786",
)
UNUSABLE = (
    ("", "is empty; name an address, tls://HOST:PORT, or a file"),
    ("10.0.0.1:8786", "has no protocol; write tls://10.0.0.1:8786, or tcp://10.0.0.1:8786 without TLS"),
    ("http://10.0.0.1:8786", "has the protocol http; write tls://HOST:PORT, or tcp://HOST:PORT without TLS"),
    ("tcp://10.0.0.1", "is no tcp://HOST:PORT"),
    ("tls://10.0.0.1:", "is no tls://HOST:PORT"),
    ("tls://:8786", "is no tls://HOST:PORT"),
    ("tcp://10.0.0.1:0", "is no tcp://HOST:PORT"),
    ("tcp://10.0.0.1:65536", "is no tcp://HOST:PORT"),
    ("tcp://10.0.0.1:\u0662", "is no tcp://HOST:PORT"),
    ("tcp://10.0.0.1:8786/status", "is no tcp://HOST:PORT"),
    ("tcp://fd00::1:8786", "is no tcp://HOST:PORT"),
    ("tcp://[fd00::1:8786", "is no tcp://HOST:PORT"),
    ("tcp://user@10.0.0.1:8786", "is no tcp://HOST:PORT"),
    ("tcp://load 1:8786", "is no tcp://HOST:PORT"),
    ("tcp://a..b:8786", "is no tcp://HOST:PORT"),
    (f"tcp://{64 * 'a'}:8786", "is no tcp://HOST:PORT"),
)


@pytest.mark.parametrize("text", USABLE)
def test_an_address_or_a_file_names_a_scheduler(text: str) -> None:
    assert cluster_plan.scheduler_problem(text) == ""
    cluster_plan.check(Plan(lab="cluster", cluster=Cluster(scheduler=text)))


@pytest.mark.parametrize(("text", "problem"), UNUSABLE)
def test_what_names_none_is_said_with_its_remedy(text: str, problem: str) -> None:
    assert cluster_plan.scheduler_problem(text) == problem
    with pytest.raises(PlanError) as raised:
        cluster_plan.check(Plan(lab="cluster", cluster=Cluster(scheduler=text)))
    assert str(raised.value) == f"plan: cluster.scheduler = {text!r} {problem}"
