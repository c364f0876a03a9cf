"""The loopback lab: the same interface on every system, with its warnings; the machine stays as it is."""

from __future__ import annotations

import pytest

from bench import lab
from bench.errors import PlanError
from bench.lab import namespaces


def test_hosts_are_distinguished_by_addresses_of_loopback() -> None:
    with lab.open_lab("loopback", lab.LabRequest(client_addresses=2, proxy_addresses=2, backends=3)) as place:
        assert {name: (host.addresses, host.sources) for name, host in place.hosts.items()} == {
            "client": (["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]),
            "proxy": (["127.0.0.1"], ["127.0.0.1", "127.0.0.2"]),
            "backend": (["127.0.0.1", "127.0.0.2", "127.0.0.3"], ["127.0.0.1", "127.0.0.2", "127.0.0.3"]),
        }
        assert place.hosts["proxy"].front == "127.0.0.1"


def test_it_says_what_it_cannot_show() -> None:
    with lab.open_lab("loopback") as place:
        notes = " ".join(place.notes)
    assert "no kernel witness" in notes
    assert "tcp_tw_reuse" in notes


@pytest.mark.parametrize("asked", [{"ports": 2000}, {"sysctls": {"net.ipv4.tcp_tw_reuse": "1"}}])
def test_it_refuses_what_would_change_the_machine(asked: dict[str, object]) -> None:
    with pytest.raises(PlanError, match=r"would change this whole machine.*use --lab namespaces"):
        lab.open_lab("loopback", lab.LabRequest(**asked))  # type: ignore[arg-type]


def test_auto_falls_back_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "available", lambda: "forbidden here; use sudo")
    with lab.open_lab("auto") as place:
        assert place.name == "loopback"
        assert place.notes[0] == "loopback instead of namespaces: forbidden here; use sudo"
    with pytest.raises(PlanError, match="does not work here: forbidden here; use sudo"):
        lab.open_lab("auto", lab.LabRequest(ports=100))
