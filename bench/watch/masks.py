"""Mask what names hosts in a recording: the same address is the same word throughout one recording."""

import ipaddress
import re
from dataclasses import replace

from bench.watch.model import OTHER_PEERS, HopSnapshot, PeerHop, RequestFlow, Snapshot

_ADDRESS = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*)")
_PLACE = re.compile(r"\S*[/\d:.]\S*")
"""A word that may name a file, a host or a port."""
_LOOPBACK = ("127.0.0.1", "::1")
"""Names no host, and tells that a hop stays on this one."""


class Masks:
    """The words that stand for addresses and for places, in the order in which they were first seen."""

    def __init__(self) -> None:
        self._peers: dict[str, str] = {}
        self._places: dict[str, str] = {}

    def address(self, text: str) -> str:
        """Return the word for an address; that of loopback stays."""
        if text in (*_LOOPBACK, OTHER_PEERS):
            return text
        return self._peers.setdefault(text, f"peer-{len(self._peers) + 1}")

    def place(self, text: str) -> str:
        """Return the description of a source with the files and hosts that it names masked."""
        return _PLACE.sub(self._place, text)

    def spec(self, text: str) -> str:
        """Return a source as it was named, KIND:WHERE, with its place masked."""
        kind, colon, where = text.partition(":")
        return f"{kind}{colon}{self.place(where)}"

    def sentence(self, text: str) -> str:
        """Return a text with each address in it masked."""
        return _ADDRESS.sub(self._found, text)

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        """Return a snapshot whose addresses and sources are masked; ports and names of processes stay."""
        return replace(
            snapshot,
            hops=tuple(map(self._hop, snapshot.hops)),
            requests=tuple(map(self._requests, snapshot.requests)),
            notes=tuple(map(self.sentence, snapshot.notes)),
        )

    def _hop(self, each: HopSnapshot) -> HopSnapshot:
        masked = PeerHop(each.hop.direction, self.address(each.hop.peer), each.hop.port)
        return replace(each, hop=masked)

    def _requests(self, flow: RequestFlow) -> RequestFlow:
        peer = None if flow.peer is None else self.address(flow.peer)
        return replace(flow, source=self.place(flow.source), peer=peer)

    def _found(self, match: re.Match[str]) -> str:
        text = match[0].rstrip(".:")
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return match[0]
        return self.address(text) + match[0][len(text) :]

    def _place(self, match: re.Match[str]) -> str:
        return self._places.setdefault(match[0], f"place-{len(self._places) + 1}")
