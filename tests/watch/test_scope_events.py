"""Which events belong to a namespace: by the address on this side, once there is another namespace."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.observe.sock_diag import address_words
from bench.watch import scope_events
from bench.watch.scope import Scope
from bench.watch.scope_events import ScopeEvents
from tests.watch.rows import THERE, rows

OURS, THEIRS = "10.0.0.1", "10.88.0.1"
OWN, OTHER = 1, 2


class Host:
    """A host with an address, and namespaces that come and go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.namespaces: set[int | None] = {OWN}
        self.looks = 0
        monkeypatch.setattr(scope_events, "namespaces_in_use", self._namespaces)
        monkeypatch.setattr(scope_events, "own_addresses", lambda: np.stack([address_words(OURS)]))
        monkeypatch.setattr(scope_events, "_LOOK_SHARE", float("inf"))

    def _namespaces(self) -> set[int | None]:
        self.looks += 1
        return self.namespaces

    def events(self) -> ScopeEvents:
        return ScopeEvents(Scope("this host", OWN))


def sockets_of(events: ScopeEvents, *addresses: str) -> list[int]:
    """Return the numbers of those selected of sockets that have these addresses, in turn from 0."""
    made = [rows([(1, number, "connects")], addresses=(each, THERE)) for number, each in enumerate(addresses)]
    selected: NDArray[np.void] = events.selection.select(np.concatenate(made))
    return [int(number) for number in selected["socket"]]


def test_alone_every_address_is_ours_as_a_transparent_proxy_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sockets_of(Host(monkeypatch).events(), OURS, THEIRS, "127.0.0.1", "::1") == [0, 1, 2, 3]


def test_beside_others_only_own_addresses_and_loopback_are(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    host.namespaces.add(OTHER)
    assert sockets_of(host.events(), OURS, THEIRS, "127.0.0.1", "::1") == [0, 2, 3]


def test_a_namespace_that_comes_later_is_found_by_its_first_address(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    events = host.events()
    host.namespaces.add(OTHER)
    assert sockets_of(events, OURS, THEIRS) == [0]


def test_own_addresses_ask_for_no_look(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(monkeypatch)
    events = host.events()
    looks = host.looks
    sockets_of(events, OURS, "127.0.0.1")
    assert host.looks == looks
