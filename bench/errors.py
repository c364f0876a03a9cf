"""The errors of a command: each is one line that names the thing, the value and the remedy.

    BenchError
      PlanError       the request makes no sense
        MissingProgramError   a program that it asks for is not installed
      ResultsError    a result cannot be read: path, line, reason
        WriteError    a file cannot be written
          NoRoomError   for want of room or of a right
      RoleError       a process did not come up, or ended when it should not
      LabError        the machine does not allow what a lab needs
      TargetError     no load can be sent to the server of --target

An error of an exchange, a warning about a trial and a finding about a configuration are data, and live
elsewhere.
"""

import errno
from enum import IntEnum
from pathlib import Path
from typing import ClassVar


class ExitCode(IntEnum):
    """How a command ends."""

    OK = 0
    FINDINGS = 1
    """Findings, an invalid run, or a condition that fails."""
    MISUSE = 2
    ENVIRONMENT = 3
    CANNOT_TELL = 4
    """What was measured does not answer the question."""
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    """Nobody reads the output any more; a shell has the same of what SIGPIPE ends (128 + 13)."""


RESOURCE_REMEDIES = {
    errno.EMFILE: "; raise the limit of open files (ulimit -n)",
    errno.ENFILE: "; raise the limit of open files (sysctl fs.file-max)",
    errno.EAGAIN: "; raise the limit of processes and threads (ulimit -u)",
    errno.ENOSPC: "; make room (df), or set TMPDIR to a folder with room",
}
"""What helps where the system refuses something, whatever it was for."""


class BenchError(Exception):
    """The command cannot go on; `str()` is the one line that it prints."""

    exit_code: ClassVar[ExitCode] = ExitCode.ENVIRONMENT
    """The exit code of the command."""


class PlanError(BenchError):
    """A flag, a plan key or a value makes no sense."""

    exit_code = ExitCode.MISUSE


class MissingProgramError(PlanError):
    """A program that is asked for, by its name or its path, or a package, is not installed here."""

    exit_code = ExitCode.ENVIRONMENT


def restated(error: PlanError, message: str) -> PlanError:
    """Return the same error in other words, which may name another option."""
    return MissingProgramError(message) if isinstance(error, MissingProgramError) else PlanError(message)


class ResultsError(BenchError):
    """A result on disk cannot be read, or is in a format unknown to this version.

    `line` counts from 1; None where the whole file or folder is meant.
    """

    exit_code = ExitCode.MISUSE

    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        super().__init__(path, line, reason)

    def __str__(self) -> str:
        path, line, reason = self.args
        where = path if line is None else f"{path}:{line}"
        return f"{where}: {reason}"


class WriteError(ResultsError):
    """A file or a folder cannot be written where it is to be."""


class NoRoomError(WriteError):
    """The same, for want of room or of a right: the path is fine."""

    exit_code = ExitCode.ENVIRONMENT


_NO_ROOM = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.EMFILE,
        errno.ENFILE,
    }
)


def write_error(path: Path, error: OSError, remedy: str, what: str = "cannot be written") -> WriteError:
    """Return the error of a `path` that the system refuses to write: that of the path, or of the system."""
    kind = NoRoomError if error.errno in _NO_ROOM else WriteError
    return kind(path, None, f"{what}: {error.strerror or error}; {remedy}")


class RoleError(BenchError):
    """A role (client, proxy, backend) did not come up, fell silent or ended.

    `role` is its name, `reason` what happened, `exit_message` the last line of its stderr.
    """

    def __init__(self, role: str, reason: str, exit_message: str = "") -> None:
        super().__init__(role, reason, exit_message)

    def __str__(self) -> str:
        role, reason, exit_message = self.args
        stderr = f"; stderr: {exit_message}" if exit_message else ""
        return f"{role}: {reason}{stderr}"


class LabError(BenchError):
    """The machine does not allow what a lab needs."""


class TargetError(BenchError):
    """No load can be sent to the server of `--target`: nobody listens, or what answers is no HTTP/1.1."""
