"""What was changed in a configuration before it ran: each kind of change with its reason and its places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from nginx.tree import Place

Kind = Literal["replaced", "left out", "added"]


@dataclass(slots=True)
class Change:
    """One kind of change; `places` in the order of the text, each once."""

    kind: Kind
    what: str
    why: str
    places: list[Place] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Returns the change as plain values."""
        places = [{"file": place.file, "line": place.line} for place in self.places]
        return {"change": self.kind, "what": self.what, "why": self.why, "places": places}


@dataclass(slots=True)
class Ledger:
    """All changes, in the order in which their kinds came up."""

    _changes: dict[tuple[Kind, str, str], Change] = field(default_factory=dict)

    @property
    def changes(self) -> list[Change]:
        """The changes so far."""
        return list(self._changes.values())

    def replaced(self, what: str, why: str, place: Place | None = None) -> None:
        """Notes that something else stands where `what` stood."""
        self._note("replaced", what, why, place)

    def left_out(self, what: str, why: str, place: Place | None = None) -> None:
        """Notes that `what` is gone."""
        self._note("left out", what, why, place)

    def added(self, what: str, why: str, place: Place | None = None) -> None:
        """Notes that `what` was not there before."""
        self._note("added", what, why, place)

    def copy(self) -> Ledger:
        """Returns a ledger that goes on from here."""
        own = {key: Change(c.kind, c.what, c.why, list(c.places)) for key, c in self._changes.items()}
        return Ledger(own)

    def _note(self, kind: Kind, what: str, why: str, place: Place | None) -> None:
        change = self._changes.setdefault((kind, what, why), Change(kind, what, why))
        if place is not None and place not in change.places:
            change.places.append(place)
