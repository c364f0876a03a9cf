"""Define the errors of reading a configuration.

What a configuration gets wrong once it is read is a finding instead.
"""


class NginxConfigError(Exception):
    """A configuration that cannot be read.

    `path` is the file as the caller named it, `line` is 0 for the whole file, and `reason` is one sentence
    without the path.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        """Return FILE:LINE: reason, as compilers write it and editors follow it."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.reason}"


class NothingToJudgeError(NginxConfigError):
    """A folder or a file in which no configuration of nginx is."""


class VersionError(ValueError):
    """A text that names no nginx version, which is written like 1.22.1."""
