"""Whether a stream leads to a terminal, and whether what it shows may have colours."""

import os
from typing import TextIO


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream leads to a terminal; None stands for one that was closed (sys.stdout)."""
    return stream is not None and stream.isatty()


def has_colours(stream: TextIO | None) -> bool:
    """Return whether what goes to a stream may be marked (no-color.org; TERM of dumb terminals)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
