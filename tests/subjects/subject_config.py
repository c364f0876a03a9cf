"""Made-up configurations of subjects for trials."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.plan.run_plan import ClosesFirst, Mode, Subject
from bench.subjects.subject import SubjectConfig

LISTEN = "10.87.1.2:8080"
UPSTREAM = "10.87.3.1:9000"


def config(mode: str = "keepalive", closes_first: str = "proxy", **changes: Any) -> SubjectConfig:
    """Return an ordinary configuration for 64 clients; `changes` may be fields of the plan's subject."""
    plan = {name: value for name, value in changes.items() if name in Subject.__dataclass_fields__}
    rest = {name: value for name, value in changes.items() if name not in plan or name == "pool_idle"}
    ordinary = SubjectConfig(
        Mode(mode), ClosesFirst(closes_first), Subject(**plan), 64, [UPSTREAM], clients=64
    )
    return replace(ordinary, **rest)
