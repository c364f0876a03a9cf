"""What stops the reading of a configuration. What a configuration gets wrong is a finding, not an error."""

from __future__ import annotations


class NginxConfigError(Exception):
    """A configuration that cannot be read at all.

    Attributes:
        path: the file, as the caller named it.
        line: the line, counted from 1; 0 where the whole file is meant.
        reason: one sentence without the path.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.reason}"


class VersionError(ValueError):
    """A text that names no nginx version."""
