"""A repair makes no location worse: edited, checked and proven together, with servers of each kind."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.commands.server_kinds import with_kinds
from bench.prove import runner
from bench.prove.backend_kinds import ANY, KINDS, BackendKind
from bench.prove.testbed import ProofSettings
from nginx import check
from nginx.fix.repair import fix
from nginx.rules import CheckSettings
from tests.nginx.fix.generated import PASSES, configurations
from tests.nginx.fix.never_worse import worsened_by_traffic
from tests.proving import needs_nginx, nginx_programs

pytestmark = needs_nginx
SPOKEN = {
    "http": ("proxy_pass http:", "proxy_pass https:", "set $to"),
    "fastcgi": ("fastcgi_pass",),
    "uwsgi": ("uwsgi_pass",),
    "h2": ("grpc_pass",),
}
WORKERS = 2


def passes_to(kind: BackendKind) -> tuple[str, ...]:
    """Return the passes of generated configurations that such a server can be behind."""
    if kind.protocols == ANY:
        return PASSES
    wanted = [start for protocol in kind.protocols for start in SPOKEN[protocol]]
    return tuple(each for each in PASSES if each.startswith(tuple(wanted)))


def many(examples: int, *, same: bool) -> settings:
    """A case takes half a second, so it is not made smaller."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=same,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def assert_never_worse(text: str, version: str, kind: BackendKind | None, concurrency: int | None) -> None:
    """Repair a text with what its owner knows of the servers, and send traffic to it before and after."""
    like = {} if kind is None else {"": kind}
    known = with_kinds(CheckSettings(workers=WORKERS, concurrency=concurrency), like.items())
    repair = fix("x", [version], settings=known, text=text)
    if not repair.after:
        return
    in_flight = -(-(concurrency or 1) // WORKERS)
    wanted = ProofSettings(lab="loopback", requests=4, like=like, in_flight=in_flight)
    before, after = (
        runner.prove(check.load_model("x", text=each), nginx_programs()[version], wanted)
        for each in (text, repair.after["x"])
    )
    assert list(worsened_by_traffic(before, after)) == [], repair.diff()


VERSIONS = st.sampled_from(list(nginx_programs()) or ["none"])
CONCURRENCIES = st.sampled_from([None, 8])


@many(6, same=True)
@given(configurations(), VERSIONS, CONCURRENCIES)
def test_generated_configurations(text: str, version: str, concurrency: int | None) -> None:
    assert_never_worse(text, version, None, concurrency)


FEW = ("php-fpm", "apache-prefork", "puma", "grpc-ping", "http-1.0-only", "both-lengths")
"""Kinds that differ the most; the others take as long."""


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(each, marks=() if name in FEW else pytest.mark.long, id=name)
        for name, each in KINDS.items()
    ],
)
def test_a_server_of_each_kind(kind: BackendKind) -> None:
    passes = {"http": "proxy_pass http://app;", "fastcgi": "fastcgi_pass app;", "h2": "grpc_pass app;"}
    location = next(passes[each] for each in kind.protocols if each in passes)
    for pool in ("", "keepalive 1;"):
        upstream = f"upstream app {{ server 10.0.0.1:80; server 10.0.0.2:80; {pool} }}"
        text = f"events {{}}\nhttp {{\n{upstream}\nserver {{\nlocation / {{ {location} }}\n}}\n}}\n"
        assert_never_worse(text, next(iter(nginx_programs())), kind, 8)


@pytest.mark.long
@pytest.mark.parametrize("name", ["usual", *FEW])
def test_many_generated_configurations(name: str) -> None:
    kind = KINDS.get(name)
    passes = PASSES if kind is None else passes_to(kind)

    @many(4, same=True)
    @given(configurations(passes), VERSIONS, CONCURRENCIES)
    def generated(text: str, version: str, concurrency: int | None) -> None:
        assert_never_worse(text, version, kind, concurrency)

    generated()
