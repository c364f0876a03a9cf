"""Define a finding: one rule that applies at one place of a configuration."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypedDict

from nginx.tree import Place


class Severity(IntEnum):
    """How much a finding matters, in order.

    ERROR: nginx does not start, or traffic breaks. HIGH: no reuse at all, or the wrong user or source
    address. MEDIUM: a part of the reuse is lost, or now and then a 502. LOW: waste, or fragile. INFO:
    nothing to change.
    """

    INFO = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    ERROR = 5

    def __str__(self) -> str:
        return self.name.lower()


class PlaceJson(TypedDict):
    """A line of a file."""

    file: str
    line: int


class RelatedJson(PlaceJson):
    """A further line that a finding is about."""

    what: str


class FindingJson(PlaceJson):
    """A finding in the JSON of `bench check`."""

    rule: str
    severity: str
    message: str
    fix: str
    related: list[RelatedJson]
    locations: list[PlaceJson]
    versions: list[str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that applies at one place."""

    rule: str
    severity: Severity
    place: Place
    message: str
    """What the configuration does, and what follows from it."""
    fix: str = ""
    """What to change; empty where nothing has to be."""
    related: tuple[tuple[Place, str], ...] = ()
    """Further lines that it is about, each with its text."""
    passes: tuple[Place, ...] = ()
    """The pass directives that it is about."""
    versions: tuple[str, ...] = ()
    """The checked versions of nginx under which it applies."""

    def to_json(self) -> FindingJson:
        """Return the finding as plain values."""
        return {
            "rule": self.rule,
            "severity": str(self.severity),
            "file": self.place.file,
            "line": self.place.line,
            "message": self.message,
            "fix": self.fix,
            "related": [{"file": at.file, "line": at.line, "what": what} for at, what in self.related],
            "locations": [{"file": at.file, "line": at.line} for at in self.passes],
            "versions": list(self.versions),
        }
