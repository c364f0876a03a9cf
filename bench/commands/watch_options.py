"""What `bench watch` looks at, and where it may be asked: the options of its scope, and their types."""

from typing import Any

import click

from bench.commands.options import Count, Decorated, option

_SCOPE = "Scope"
_OTHERS = ("netns", "pid", "process", "container")
_LOCAL = "127.0.0.1"
_HIGHEST_PORT = 65_535
_HIGHEST_PID = 1 << 22
"""PID_MAX_LIMIT in include/linux/threads.h."""


class ListenAddress(click.ParamType[tuple[str, int]]):
    """HOST:PORT, [IPV6]:PORT, :PORT or PORT; without a host it is 127.0.0.1."""

    name = "[host]:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return the host and the port."""
        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
        if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) <= _HIGHEST_PORT):
            self.fail(f"{value!r} has no port from 1 to {_HIGHEST_PORT}; write :9100", param, ctx)
        if ":" in host and f"[{host}]" not in str(value):
            self.fail(f"{value!r} is not HOST:PORT; write an IPv6 address as [::1]:{port}", param, ctx)
        return host or _LOCAL, int(port)


def _others(name: str) -> tuple[str, ...]:
    return tuple(each for each in _OTHERS if each != name)


_OPTIONS = (
    option(
        _SCOPE,
        "--netns",
        metavar="NAME|FILE",
        not_with=_others("netns"),
        shown_default="that of bench",
        help="A network namespace: its name in /run/netns, or a file, as /proc/PID/ns/net.",
    ),
    option(
        _SCOPE,
        "--pid",
        type=Count(1, _HIGHEST_PID),
        not_with=_others("pid"),
        shown_default="every process",
        help="A process with its children, in its network namespace.",
    ),
    option(
        _SCOPE,
        "--process",
        metavar="NAME",
        not_with=_others("process"),
        shown_default="every process",
        help="All processes of this name, as nginx, with their children.",
    ),
    option(
        _SCOPE,
        "--container",
        metavar="NAME",
        not_with=_others("container"),
        shown_default="none",
        help="A container or pod, whose process its runtime is asked for.",
    ),
)


def scope_options(function: Decorated) -> Decorated:
    """Add what is watched; it reaches the command as arguments for `opening.Asked`."""
    for each in reversed(_OPTIONS):
        function = each(function)
    return function
