"""Whether a machine was too busy for a load test: judged as a trial of `bench run` is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.experiment.load_clients import LoadClients
from bench.observe import other_work
from bench.observe.other_work import OtherWork
from bench.prove import load_test


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.03, None), (0.15, False), (0.40, True)], ids=["at rest", "shared", "busy"]
)
def test_other_work_warns_from_a_tenth_of_the_cores_and_voids_from_a_quarter(
    monkeypatch: pytest.MonkeyPatch, share: float, verdict: bool | None
) -> None:
    monkeypatch.setattr(other_work, "read", lambda cores: object())
    monkeypatch.setattr(other_work, "between", lambda *known: OtherWork(share, 0.0, "make"))
    clients = cast(LoadClients, SimpleNamespace(processes=[]))
    found: Any = load_test._BusyWatch(clients).judge(2.0)
    assert (None if found is None else found.voids) is verdict
    if found is not None:
        assert f"other processes used {share:.0%} of the time of all cores, most of it make" in found.message


def test_where_the_system_shows_no_other_work_nothing_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_work, "read", lambda cores: None)
    clients = cast(LoadClients, SimpleNamespace(processes=[]))
    assert load_test._BusyWatch(clients).judge(2.0) is None


@pytest.mark.parametrize(
    ("time_wait", "servers", "expected"),
    [(None, 1, False), (0, 1, False), (499, 1, False), (500, 1, True), (999, 2, False), (1000, 2, True)],
)
def test_a_window_is_mixed_from_half_of_the_ports_toward_all_servers(
    time_wait: int | None, servers: int, expected: bool
) -> None:
    listed = [f"10.0.0.{number}:80" for number in range(servers)]
    addresses = {7: {"peer": listed, "other peer": listed[:1]}}
    testbed: Any = SimpleNamespace(ports=1000, backends=SimpleNamespace(addresses=addresses))
    location: Any = SimpleNamespace(number=7)
    assert load_test._uses_half_of_ports(testbed, location, time_wait) is expected
