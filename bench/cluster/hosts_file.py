"""The machines of `bench cluster up --ssh FILE`, a line for each. Pure.

    [USER@]HOST[:PORT] [name=NAME] [client=K] [proxy=K] [backend=K] [python=/path] [interface=NAME]

What follows `#` is a comment. A path with a space is quoted as in a shell. An IPv6 address is written in
brackets. What is not said is as ssh has it.
"""

import ipaddress
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import offers
from bench.cluster.offers import ROLES, Offers
from bench.errors import PlanError

_FORM = "[USER@]HOST[:PORT] [name=NAME] [client=K] [proxy=K] [backend=K] [python=/path] [interface=NAME]"
_WHERE = re.compile(
    r"(?:(?P<user>[^-@\s][^@\s]*)@)?(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^-@:\s\[\]][^@:\s\[\]]*)"
    r"(?::(?P<port>\d{1,5}))?",
    re.ASCII,
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_INTERFACE = re.compile(r"[A-Za-z0-9._:@-]{1,15}", re.ASCII)  # IFNAMSIZ is 16, with the zero behind it
_MOST_BYTES = 1_000_000
MOST_HOSTS = 1_000


@dataclass(frozen=True, slots=True)
class SshHost:
    """A machine, and what its worker is to be."""

    line: int
    """Of the file, from 1."""
    host: str
    name: str
    offers: Offers
    user: str | None = None
    port: int | None = None
    python: str | None = None
    """Path of the Python there; None: the path of ours."""
    interface: str | None = None
    """Network interface for Dask; None: that of the address that ssh is connected to."""

    @property
    def is_here(self) -> bool:
        """Return whether it is this machine, by a loopback address."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def read(path: Path, default: Offers) -> tuple[SshHost, ...]:
    """Return the machines; those whose line names no role get `default`. PlanError names the line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(_MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PlanError(f"--ssh {path}: {reason}; name a file with lines of {_FORM}") from error
    return parse(text, default, str(path))


def parse(text: str, default: Offers, path: str) -> tuple[SshHost, ...]:
    """Return the machines that `text` names; PlanError names `path` and the line."""
    found: list[SshHost] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if words := _words(line):
                found.append(_parse_line(words, number, f"host-{len(found) + 1}", default))
                _check_name(found)
        except ValueError as error:
            raise PlanError(f"{path}:{number}: {error}") from error
    if not 0 < len(found) <= MOST_HOSTS:
        few = "no machine is named" if not found else f"{len(found)} machines are more than {MOST_HOSTS}"
        raise PlanError(f"--ssh {path}: {few}; write lines of {_FORM}")
    return tuple(found)


def _words(line: str) -> list[str]:
    """Return the words of a line without its comment; ValueError where a quote has no end."""
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise ValueError(f"{line.strip()!r}: a quote has no end; close it, or write \\ before it") from error


def _check_name(found: list[SshHost]) -> None:
    """Raise ValueError where the last one has the name of one before."""
    for other in found[:-1]:
        if other.name == found[-1].name:
            raise ValueError(f"name={other.name} is that of line {other.line} too; give one of them another")


def _parse_line(words: list[str], number: int, name: str, default: Offers) -> SshHost:
    where = _WHERE.fullmatch(words[0])
    port = None if where is None or where["port"] is None else int(where["port"])
    if where is None or (port is not None and not 1 <= port <= 65_535):
        raise ValueError(f"{words[0]!r} is not [USER@]HOST[:PORT]")
    given: dict[str, str] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals or key not in (*ROLES, *_VALUES):
            raise ValueError(f"{word!r} is none of {_FORM.partition(' ')[2]}")
        if key in given:
            raise ValueError(f"{key} is given twice")
        if key in _VALUES and not _VALUES[key][0](value):
            raise ValueError(f"{word!r}: {value!r} is not {_VALUES[key][1]}")
        given[key] = value
    parts = [offers.parse_part(f"{role}={given.pop(role)}") for role in ROLES if role in given]
    return SshHost(
        number,
        where["host"].strip("[]"),
        given.pop("name", name),
        offers.collect(parts) if parts else default,
        where["user"],
        port,
        **given,
    )


# Names and interfaces reach a shell there inside of quotes, by Dask.
_VALUES: dict[str, tuple[Callable[[str], object], str]] = {
    "name": (_NAME.fullmatch, "a name of letters, digits, '.', '_' and '-'"),
    "python": (lambda path: path.startswith("/") and path.isprintable(), "an absolute path"),
    "interface": (_INTERFACE.fullmatch, "the name of a network interface"),
}
