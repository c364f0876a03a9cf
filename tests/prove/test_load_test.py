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
