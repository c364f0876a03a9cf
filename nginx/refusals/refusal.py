"""Define a refusal: one line for which nginx does not start."""

from dataclasses import dataclass

from nginx.model import PassLocation
from nginx.tree import Directive, Place


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing for which nginx refuses a configuration."""

    place: Place
    reason: str
    """What nginx prints behind `[emerg]`, in its own words where it has any."""
    fix: str = ""
    """What to change; empty where the reason says it."""
    related: tuple[Directive, ...] = ()
    """Further lines that it is about."""
    passes: tuple[PassLocation, ...] = ()
    """The pass locations that it is about."""

    def concerns(self, each: PassLocation) -> bool:
        """Return whether it is about one pass location, and not about the configuration as a whole."""
        return any(own is each for own in self.passes)
