"""The change log of a configuration before it runs, and why nginx rejects it, with the places of both."""

from dataclasses import dataclass, field
from typing import Literal, TypedDict

from nginx.finding import PlaceJson
from nginx.tree import Place

ChangeKind = Literal["replaced", "left out", "added"]


class ChangeJson(TypedDict):
    """A change of the configuration in the JSON of a proof."""

    change: ChangeKind
    what: str
    why: str
    places: list[PlaceJson]


@dataclass(slots=True)
class ConfigChange:
    """One change to every directive of a kind."""

    kind: ChangeKind
    what: str
    why: str
    places: list[Place] = field(default_factory=list)
    """In the order of the text, each once."""

    def to_json(self) -> ChangeJson:
        """Return the change as plain values."""
        places: list[PlaceJson] = [{"file": place.file, "line": place.line} for place in self.places]
        return {"change": self.kind, "what": self.what, "why": self.why, "places": places}


@dataclass(slots=True)
class ChangeLog:
    """All changes, in the order in which they were first made."""

    _changes: dict[tuple[ChangeKind, str, str], ConfigChange] = field(default_factory=dict)

    @property
    def changes(self) -> list[ConfigChange]:
        """The changes so far."""
        return list(self._changes.values())

    def record(self, kind: ChangeKind, what: str, why: str, place: Place | None = None) -> None:
        """Record a change at a place, or one without a place of the user's."""
        change = self._changes.setdefault((kind, what, why), ConfigChange(kind, what, why))
        if place is not None and place not in change.places:
            change.places.append(place)


class RejectionJson(TypedDict):
    """Why nginx rejects a configuration, in the JSON of a proof."""

    message: str
    file: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why nginx rejects a configuration, and the line of the user's files that it names."""

    message: str
    place: Place | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    def to_json(self) -> RejectionJson:
        """Return the rejection as plain values."""
        file, line = (self.place.file, self.place.line) if self.place else (None, None)
        return {"message": self.message, "file": file, "line": line}
