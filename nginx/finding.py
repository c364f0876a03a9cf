"""What a configuration gets wrong, or should be told about: values, not sentences on a screen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from nginx.tree import Place


class Severity(IntEnum):
    """How much a finding matters; they compare, the gravest is the largest.

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


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that applies at one place.

    Attributes:
        message: what is so, and what follows from it.
        fix: what to change; empty where nothing has to be.
        related: further lines that it is about, each with what stands there.
        passes: the pass directives that it is about.
        versions: the nginx versions asked about under which it applies.
    """

    rule: str
    severity: Severity
    place: Place
    message: str
    fix: str = ""
    related: tuple[tuple[Place, str], ...] = ()
    passes: tuple[Place, ...] = ()
    versions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Returns the finding as plain values."""
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
