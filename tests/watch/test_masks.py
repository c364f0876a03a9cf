"""Masks: the same address is the same word within a recording, and nothing that names a host is left."""

from __future__ import annotations

import pytest

from bench.watch.masks import Masks
from bench.watch.model import OTHER_PEERS, Direction, PeerHop, RequestFlow, Snapshot, Source
from tests.watch.made_up import CLIENT, UPSTREAM, hop


def snapshot(*notes: str, source: str = "") -> Snapshot:
    flows = (RequestFlow(source, 5, peer="10.0.0.2"),) if source else ()
    return Snapshot(1, 1, Source.EXACT, (hop(UPSTREAM), hop(CLIENT)), requests=flows, notes=notes)


def test_an_address_has_one_word_wherever_it_stands() -> None:
    masked = Masks().snapshot(snapshot("10.0.0.2 was lost, not 10.0.0.9.", source="log"))
    assert [str(each.hop) for each in masked.hops] == ["peer-1:8080", "peer-2 to :80"]
    assert masked.notes == ("peer-1 was lost, not peer-2.",)
    assert masked.requests[0].peer == "peer-1"


def test_the_words_stay_the_same_from_one_snapshot_to_the_next() -> None:
    masks = Masks()
    assert masks.snapshot(snapshot()).hops == masks.snapshot(snapshot()).hops


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", OTHER_PEERS])
def test_what_names_no_host_stays(address: str) -> None:
    assert Masks().address(address) == address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[2001:db8::7]:443 closed", "[peer-1]:443 closed"),
        ("to ::ffff:10.0.0.2, twice", "to peer-1, twice"),
        ("at 12:30:05 nothing", "at 12:30:05 nothing"),
        ("version 1.29.7 of nginx", "version 1.29.7 of nginx"),
        ("999.1.1.1 is none", "999.1.1.1 is none"),
    ],
)
def test_only_addresses_are_masked_in_a_sentence(text: str, expected: str) -> None:
    assert Masks().sentence(text) == expected


def test_a_source_keeps_its_kind_and_loses_its_place() -> None:
    masks = Masks()
    assert masks.place("nginx access log /var/log/shop.log") == "nginx access log place-1"
    assert masks.place("nginx stub_status http://web7/status") == "nginx stub_status place-2"
    assert masks.spec("nginx-log:/var/log/shop.log") == "nginx-log:place-1"


def test_a_port_tells_the_hop_and_stays() -> None:
    masked = Masks().snapshot(snapshot())
    assert masked.hops[0].hop == PeerHop(Direction.OUTGOING, "peer-1", 8080)
