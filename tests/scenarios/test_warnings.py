"""What scenarios make of errors of their clients: figures and warnings."""

from __future__ import annotations

from typing import Any

import pytest

from bench.observe.host_observer import HostSample
from bench.scenarios import catalogue
from bench.scenarios.registry.settings import RegistrySettings
from tests.scenarios import fake_testbed

BROKER = {"published": 9, "delivered": 8, "pulls": 9, "empty": 1, "lost": 0, "doubled": 0, "failed": 0,
          "delay_us": []}  # fmt: skip
REGISTRY = {"beats": 100, "late": 0, "polls": 4, "changes": 2, "unseen": 0, "reconnects": 0, "false_dead": 0,
            "errors": {}, "beat_us": [], "newcomer_seen_us": [], "death_known_us": [],
            "death_seen_us": []}  # fmt: skip
RPC = {"done": 100, "failed": 0, "small_us": [], "outlier_us": []}
HTTP2 = {"requests": 100, "failed": 0, "connections": 2, "sent": 4000, "overhead": 500}

FINE: dict[str, dict[str, Any]] = {"broker": BROKER, "registry": REGISTRY, "rpc": RPC, "http2": HTTP2}
WAYS = {"broker": "long-poll", "registry": "stream", "rpc": "pool", "http2": "h2"}


def found(name: str, told: dict[str, Any], **settings: Any) -> tuple[dict[str, Any], dict[str, bool]]:
    """Return the figures of a scenario whose clients told this, and for each warning whether it voids."""
    scenario = catalogue.load(name)
    figures, _ = fake_testbed.perform(
        scenario, WAYS[name], scenario.settings(**settings), {**FINE[name], **told}, subject="direct"
    )
    return dict(figures.figures), {warning.code: warning.voids for warning in figures.warnings}


@pytest.mark.parametrize("name", FINE)
def test_where_nothing_went_wrong_nothing_is_in_warning(name: str) -> None:
    figures, warnings = found(name, {})
    assert figures["failed"] == 0
    assert warnings == {}


@pytest.mark.parametrize(
    ("name", "told", "figures", "warnings"),
    [
        ("broker", {"lost": 2}, {"lost": 2}, {"lost": True}),
        ("broker", {"doubled": 1}, {"doubled": 1}, {"lost": True}),
        ("broker", {"failed": 3}, {"failed": 3}, {"failed": False}),
        ("registry", {"unseen": 1}, {"unseen": 1}, {"unseen": True}),
        ("registry", {"false_dead": 2}, {"false_dead": 2}, {"false-dead": False}),
        (
            "registry",
            {"unseen": 1, "errors": {"reset": 2, "connect": 1}},
            {"failed": 3, "reset": 2, "connect": 1, "address_exhausted": 0},
            {"unseen": False, "failed": False},  # beats that failed are why
        ),
        ("registry", {"late": 1}, {"late": 1}, {}),
        ("registry", {"late": 2}, {"late": 2}, {"late": False}),
        ("rpc", {"failed": 1}, {"failed": 1}, {"failed": True}),
        ("http2", {"failed": 1}, {"failed": 1}, {"failed": True}),
    ],
)
def test_what_went_wrong_is_told_and_weighed(
    name: str, told: dict[str, Any], figures: dict[str, Any], warnings: dict[str, bool]
) -> None:
    measured, codes = found(name, told)
    assert {key: measured[key] for key in figures} == figures
    assert codes == warnings


def test_what_is_counted_in_all_is_told_for_each() -> None:
    assert found("http2", {})[0]["sent_bytes"] == 40.0
    assert found("rpc", {})[0]["provider_us"] == pytest.approx(0.5 / 100 * 1e6)
    assert found("broker", {"empty": 4})[0]["empty_per_message"] == 0.5
    # Half a second of CPU for 100 beats, where 10 instances beat each other second.
    assert found("registry", {}, instances=10, beat_every_s=2.0)[0]["cores"] == pytest.approx(0.025)


def test_the_registrys_cores_are_those_while_every_instance_beats_once() -> None:
    settings = RegistrySettings(instances=10, beat_every_s=2.0, joins_per_s=10.0)  # all there after 1.4 s
    used_s = [min(t_s, 1.4) * 0.1 + max(0.0, min(t_s, 3.4) - 1.4) * 0.5 for t_s in range_s(0.0, 6.0)]
    samples = [
        HostSample(t_ns=round(t_s * fake_testbed.S), host=host, cpu_s=cpu_s * weight)
        for t_s, cpu_s in zip(range_s(0.0, 6.0), used_s, strict=True)
        for host, weight in (("client", 3.0), ("backend", 1.0))
    ]
    figures, _ = fake_testbed.perform(
        catalogue.load("registry"), "stream", settings, REGISTRY, subject="direct", samples=samples
    )
    ((instances, cores),) = figures.curves["cores"]
    assert instances == 10.0
    assert cores == pytest.approx(0.5)


def range_s(begin_s: float, end_s: float) -> list[float]:
    """Return each tenth of a second from one moment to another."""
    return [tenth / 10 for tenth in range(round(begin_s * 10), round(end_s * 10) + 1)]
