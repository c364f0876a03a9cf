"""What somebody has accepted: a rule at a place, by a comment, an option or a baseline, and perhaps why."""

from dataclasses import dataclass
from typing import Literal, get_args

from nginx.finding import PlaceJson
from nginx.tree import Place

By = Literal["a comment", "--ignore", "the baseline"]
BY: tuple[By, ...] = get_args(By)


class AcceptanceJson(PlaceJson):
    """What is accepted, in the JSON of `bench check`."""

    rule: str
    by: By
    reason: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A finding, or the verdict on a location, that is accepted."""

    rule: str
    """Empty where it is a verdict that a baseline accepts."""
    place: Place
    by: By
    reason: str = ""
    """Why, in the words of who accepted it."""

    def __str__(self) -> str:
        rule = f"{self.rule}, " if self.rule else ""
        return f"accepted by {self.by} ({rule}{self.place}){f': {self.reason}' if self.reason else ''}"

    def to_json(self) -> AcceptanceJson:
        """Return it as plain values."""
        return {
            "rule": self.rule,
            "file": self.place.file,
            "line": self.place.line,
            "by": self.by,
            "reason": self.reason,
        }
