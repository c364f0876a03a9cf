"""Configurations for the tests of a proof, read as `bench prove` reads them."""

from __future__ import annotations

from bench.prove.changes import Ledger
from bench.prove.inventory import Peer, Scene, scene
from bench.prove.rewrite import Doors, Rewriting
from nginx import check
from nginx.model import Model
from nginx.serializer import serialize


def model(text: str) -> Model:
    return check.load_model("x", text=text)


def staged(text: str) -> tuple[str, Ledger]:
    """Returns a configuration as it would run, with addresses that tell site, location and peer."""
    found = scene(model(text))
    doors = {site.number: Doors(f"door:{site.number}", f"tls:{site.number}") for site in found.sites}
    rewriting = Rewriting(found, backends(found), doors)
    return serialize(rewriting.directives()).text, rewriting.ledger


def backends(found: Scene) -> dict[int, dict[Peer, list[str]]]:
    return {
        spot.number: {
            peer: [f"{peer.kind}{'+tls' if peer.is_tls else ''}:{spot.number}"] for peer in spot.peers
        }
        for spot in found.spots
    }
