"""A repair makes no location worse by traffic: edited, checked and proven together, with servers of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.prove import runner
from bench.prove.backend_kinds import ANY, KINDS, BackendKind
from bench.prove.testbed import ProofSettings
from nginx import check
from nginx.fix.repair import Repair, fix
from nginx.rules import CheckSettings
from tests.nginx.fix.generated import PASSES, configurations
from tests.nginx.fix.never_worse import worsened_by_traffic
from tests.proving import any_nginx, every_version, needs_nginx, nginx_programs

pytestmark = needs_nginx
SPOKEN = {
    "http": ("proxy_pass http:", "proxy_pass https:", "set $to"),
    "fastcgi": ("fastcgi_pass",),
    "h2": ("grpc_pass",),
}
WORKERS = 2
FEW = (Phase.explicit, Phase.generate)  # a case takes half a second: it is not made smaller


def known_of(kind: BackendKind, concurrency: int | None = None) -> CheckSettings:
    """Return what its owner knows of a server."""
    return CheckSettings(
        workers=WORKERS,
        concurrency=concurrency,
        backend_idle_s=kind.idle_s,
        backend_max_connections=kind.processes,
    )


def passes_to(kind: BackendKind) -> tuple[str, ...]:
    """Return the passes of generated configurations that such a server can be behind."""
    if kind.protocols == ANY:
        return PASSES
    wanted = [start for protocol in kind.protocols for start in SPOKEN[protocol]]
    return tuple(each for each in PASSES if each.startswith(tuple(wanted)))


def assert_never_worse_by_traffic(
    text: str, version: str, load: CheckSettings, like: Iterable[BackendKind] = ()
) -> Repair:
    """Repair a text, and send traffic to it as it was and as it is."""
    repair = fix("x", [version], settings=load, text=text)
    if not repair.after:
        return repair
    in_flight = -(-(load.concurrency or 1) // WORKERS)
    wanted = ProofSettings(lab="loopback", requests=6, like={"": kind for kind in like}, in_flight=in_flight)
    before, after = (
        runner.prove(check.load_model("x", text=each), nginx_programs()[version], wanted)
        for each in (text, repair.after["x"])
    )
    assert list(worsened_by_traffic(before, after)) == [], repair.diff()
    return repair
