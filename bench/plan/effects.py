"""Which keys of a plan have no effect beside others, so that to request them is a misunderstanding. Pure."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import PlanError

if TYPE_CHECKING:
    from bench.plan.run_plan import Plan

_POOL = (
    "subject.pool_idle",
    "subject.pool_max",
    "subject.pool_idle_timeout_s",
    "subject.requests_per_connection",
    "subject.upstream_http",
)
_UPSTREAM_TLS = ("subject.upstream_tls", "subject.upstream_tls_sessions")


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Keys that have no effect where `holds`; `beside` is the key that makes it so."""

    holds: Callable[["Plan"], bool]
    beside: str
    keys: tuple[str, ...]
    reason: str
    """Why, and what to do instead."""


RULES = (
    NoEffect(
        lambda plan: plan.subject.target is not None,
        "subject.target",
        (
            "closes_first",
            "subject.name",
            "subject.program",
            "subject.idiom",
            "subject.workers",
            *_POOL,
            *_UPSTREAM_TLS,
            "load.tls",
            "backend.kind",
            "backend.workers",
            "backend.response_size",
            "backend.delay",
            "backend.idle_timeout_s",
            "backend.requests_per_connection",
            "backend.close",
            "backend.fail",
            "hosts.ports",
            "hosts.proxy_addresses",
            "hosts.backend_addresses",
            "hosts.sysctls",
        ),
        "that server runs already, and its settings are its own; leave it out",
    ),
    NoEffect(
        lambda plan: plan.subject.target is not None and plan.lab != "cluster",
        "subject.target",
        ("lab",),
        "that server runs already, and its settings are its own; leave it out",
    ),
    NoEffect(
        lambda plan: plan.subject.target is not None,
        "subject.target",
        ("cluster.proxies", "cluster.backends", "cluster.proxy_port", "cluster.backend_port"),
        "that server runs already, and its settings are its own; leave it out",
    ),
    NoEffect(
        lambda plan: plan.subject.target is not None,
        "subject.target",
        ("load.client_mode",),
        "there the mode is that of the clients' own connections; set mode = 'short' for new ones",
    ),
    NoEffect(
        lambda plan: plan.subject.name == "direct",
        "subject.name",
        (
            "subject.workers",
            *_POOL,
            *_UPSTREAM_TLS,
            "closes_first",
            "hosts.proxy_addresses",
            "hosts.backend_addresses",
        ),
        "there is no proxy between the clients and the backend; leave it out",
    ),
    NoEffect(
        lambda plan: plan.subject.name == "direct",
        "subject.name",
        ("load.client_mode",),
        "there the mode is that of the clients' own connections; set mode = 'short' for new ones",
    ),
    NoEffect(
        lambda plan: plan.lab != "cluster",
        "lab",
        (
            "cluster.scheduler",
            "cluster.clients",
            "cluster.proxies",
            "cluster.backends",
            "cluster.data_interface",
            "cluster.proxy_port",
            "cluster.backend_port",
            "cluster.proxy_at",
        ),
        "it names the machines of a cluster; set lab = 'cluster'",
    ),
    NoEffect(
        lambda plan: plan.cluster.proxy_at is not None,
        "cluster.proxy_at",
        (
            "closes_first",
            "subject.name",
            "subject.program",
            "subject.idiom",
            "subject.workers",
            *_POOL,
            *_UPSTREAM_TLS,
            "cluster.proxy_port",
        ),
        "that proxy runs already, and its settings are its own; leave it out",
    ),
    NoEffect(
        lambda plan: plan.load.rate is None,
        "load.rate",
        ("load.arrivals",),
        "in a closed loop no request is due; leave it out, or set load.rate",
    ),
    NoEffect(
        lambda plan: plan.mode == "keepalive",
        "mode",
        ("closes_first",),
        "a connection that is kept is closed first by neither; leave it out, or use mode = 'short'",
    ),
    NoEffect(
        lambda plan: plan.mode == "short",
        "mode",
        (
            "subject.pool_idle",
            "subject.pool_idle_timeout_s",
            "subject.requests_per_connection",
            "backend.idle_timeout_s",
            "backend.requests_per_connection",
        ),
        "a connection with one request is never idle; leave it out, or use mode = 'keepalive'",
    ),
)


def check(plan: "Plan", given: Collection[str]) -> None:
    """Raise PlanError where a key that was `given` has no effect in `plan`."""
    values = _flat(plan.to_json())
    for rule in RULES:
        for key in rule.keys if rule.holds(plan) else ():
            if key in given:
                raise PlanError(
                    f"plan: {key} = {values[key]!r} has no effect beside {rule.beside} ="
                    f" {values[rule.beside]!r}: {rule.reason}"
                )


def given_in(held: Mapping[str, Any], default: "Plan") -> list[str]:
    """Return the keys that a plan file with a target gives another value than the `default` one has.

    Other files may hold what another mode, or another subject, would use.
    """
    values, usual = _flat(held), _flat(default.to_json())
    if values.get("subject.target") is None:
        return []
    return [key for key, value in values.items() if value != usual.get(key)]


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, held in values.items():
        if isinstance(held, dict):
            flat |= {f"{name}.{key}": value for key, value in held.items()}
        else:
            flat[name] = held
    return {key: str(value) if isinstance(value, str) else value for key, value in flat.items()}
